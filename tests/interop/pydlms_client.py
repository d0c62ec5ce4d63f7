"""Do all sorts of things with one meter by pydlms-client's client: a program of its own, since pydlms-client is GPL; no
test imports it.

Takes JSON on stdin and prints JSON. In: host and port, or path of a serial port and mode_e; hdlc, physical; client,
mechanism, secret; security (null, or suite, policy, keys in hex, titles, counter), ciphered, protection, dedicated,
key_info; max_pdu, gbt_window (null: no general block transfer); steps, each a list of its name (`step_...`) and what it
takes. Out: an answer for each step, A-XDR in hex or {"error": result}, and how the release went.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pydlms import AccessAction, AccessGet, AccessSet, DlmsClient, SecurityContext, ServiceError
from pydlms.apdu.xdlms import SelectiveAccess, entry_descriptor, range_descriptor
from pydlms.cosem.data import DlmsData, decode_data, encode_data
from pydlms.hdlc.connection import HdlcParameters
from pydlms.obis import ObisCode
from pydlms.security.ec import load_public_key
from pydlms.security.general import KeyInfo
from pydlms.security.suites import SecurityPolicy

TIMEOUT_S = 20.0
CURVES = {1: ec.SECP256R1(), 2: ec.SECP384R1()}


def data_of(octets: str | None) -> DlmsData | None:
    return None if octets is None else decode_data(bytes.fromhex(octets))[0]


def said(value: Any) -> Any:
    """A datum as A-XDR in hex; a result as such."""
    if value is None:
        return None
    return encode_data(value).hex() if isinstance(value, DlmsData) else {"error": int(value)}


class Steps:
    def __init__(self, client: DlmsClient) -> None:
        self.client = client

    def do(self, step: list[Any]) -> Any:
        try:
            return getattr(self, f"step_{step[0]}")(*step[1:])
        except ServiceError as error:
            return {"error": int(error.result) if isinstance(error.result, int) else str(error)}

    def step_view(self) -> Any:
        return [
            [entry.class_id, entry.version, str(entry.logical_name), entry.rights.summary()]
            for entry in self.client.get_association_view()
        ]

    def step_get(self, class_id: int, obis: str, attribute: int) -> Any:
        return said(self.client.get(obis, class_id, attribute))

    def step_entries(self, obis: str, first: int, last: int, first_column: int, last_column: int) -> Any:
        return self._part(obis, entry_descriptor(first, last, first_column, last_column))

    def step_range(self, obis: str, start: str, end: str, columns: list[list[Any]]) -> Any:
        wanted = [(class_id, ObisCode.parse(name), attribute, 0) for class_id, name, attribute in columns]
        bounds = (DlmsData.octet_string(bytes.fromhex(one)) for one in (start, end))
        return self._part(obis, range_descriptor(*bounds, selected_values=wanted))

    def _part(self, obis: str, selection: SelectiveAccess) -> Any:
        return said(self.client.get(obis, 7, 2, selection))

    def step_get_list(self, items: list[list[Any]]) -> Any:
        return [said(one) for one in self.client.get_many([(obis, class_id, n) for class_id, obis, n in items])]

    def step_set(self, class_id: int, obis: str, attribute: int, value: str) -> Any:
        return said(self.client.set(obis, class_id, attribute, data_of(value)))

    def step_set_list(self, items: list[list[Any]]) -> Any:
        wanted = [(obis, class_id, n, data_of(value)) for class_id, obis, n, value in items]
        return [int(one) for one in self.client.set_many(wanted, split_lists=False)]

    def step_call(self, class_id: int, obis: str, method: int, parameters: str | None) -> Any:
        return said(self.client.action(obis, class_id, method, data_of(parameters)))

    def step_call_list(self, items: list[list[Any]]) -> Any:
        wanted = [(obis, class_id, n, data_of(parameters)) for class_id, obis, n, parameters in items]
        return [said(one) for one in self.client.action_many(wanted, split_lists=False)]

    def step_access(self, items: list[list[Any]]) -> Any:
        wanted = []
        for kind, class_id, obis, number, value in items:
            if kind == "get":
                wanted.append(AccessGet(obis, class_id, number))
            else:
                wanted.append({"set": AccessSet, "call": AccessAction}[kind](obis, class_id, number, data_of(value)))
        return [[int(one.result), said(one.data)] for one in self.client.access(wanted)]

    def step_transfer_keys(self, obis: str, keys: dict[str, str]) -> Any:
        return self.client.transfer_keys({int(one): bytes.fromhex(key) for one, key in keys.items()}, obis)


def security_of(wanted: dict[str, Any]) -> SecurityContext:
    """Of its two readings of what general-ciphering authenticates, and of what general-signing signs, ours."""
    suite = wanted["suite"]

    def octets(name: str) -> bytes | None:
        return bytes.fromhex(wanted[name]) if wanted.get(name) else None

    def private(name: str) -> Any:
        return ec.derive_private_key(int(wanted[name], 16), CURVES[suite]) if wanted.get(name) else None

    def public(name: str) -> Any:
        return load_public_key(suite, octets(name)) if wanted.get(name) else None

    return SecurityContext(
        octets("encryption_key"),
        octets("authentication_key"),
        octets("client_title"),
        octets("server_title"),
        wanted["counter"],
        suite,
        SecurityPolicy(wanted["policy"]),
        master_key=octets("master_key"),
        signing_key=private("signing_key"),
        peer_signing_key=public("peer_signing_key"),
        key_agreement_key=private("agreement_key"),
        peer_key_agreement_key=public("peer_agreement_key"),
        general_aad="with-header",
        signing_form="length-prefixed-content",
    )


def client_of(wanted: dict[str, Any]) -> DlmsClient:
    security = None if wanted["security"] is None else security_of(wanted["security"])
    settings: dict[str, Any] = {
        "client_sap": wanted["client"],
        "mechanism": wanted["mechanism"],
        "password": wanted["secret"],
        "security": security,
        "ciphered_context": security is not None and wanted["ciphered"],
        "protection": wanted["protection"],
        "use_dedicated_key": wanted["dedicated"],
        "key_info": None if wanted["key_info"] is None else KeyInfo(**wanted["key_info"]),
        "max_receive_pdu_size": wanted["max_pdu"],
        "propose_gbt": wanted["gbt_window"] is not None,
        "gbt_window": wanted["gbt_window"] or 1,
        "propose_access": True,
        "timeout": TIMEOUT_S,
    }
    if security is not None:
        settings["signing_key"], settings["server_public_key"] = security.signing_key, security.peer_signing_key
    if wanted["path"] is not None:
        return (DlmsClient.optical if wanted["mode_e"] else DlmsClient.serial)(wanted["path"], **settings)
    if wanted["hdlc"]:
        settings["hdlc_parameters"] = HdlcParameters(window_tx=3)
        settings["server_physical"] = wanted["physical"]
    return DlmsClient.tcp(wanted["host"], wanted["port"], hdlc=wanted["hdlc"], **settings)


if __name__ == "__main__":
    order = json.load(sys.stdin)
    with client_of(order) as client:
        answers = [Steps(client).do(step) for step in order["steps"]]
    json.dump({"answers": answers, "release": client.association.release_status}, sys.stdout)
