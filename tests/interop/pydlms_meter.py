"""The example meter of pydlms-client's simulator, with what its command line leaves out: a program of its own, since
pydlms-client is GPL; no test imports it.

Takes JSON as its argument: port (on 127.0.0.1; null for a pseudo-terminal), hdlc, window; keys in hex, suite, policy;
clients (SAP, mechanism, secret, whether ciphered); without (names of conformance bits) and block transfer:
gbt_window (null: none), lost (our blocks and the client's that get lost once); push (an APDU in hex that comes before
each answer, ciphered as general-glo). Prints where it listens.

The object 1/0.0.96.13.0.255 has a method 100 beside what classes have: it gives back its parameters.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import tty
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pydlms.apdu.xdlms import Conformance
from pydlms.cosem.data import DlmsData
from pydlms.security.context import SecurityContext
from pydlms.security.ec import load_public_key
from pydlms.security.hls import Mechanism
from pydlms.security.suites import SecurityPolicy
from pydlms.simulator import ClientProfile, HdlcServer, MeterSimulator, example_meter, serve

TITLE = b"PYD\x00\x00\x00\x00\x01"
MESSAGE = "0.0.96.13.0.255"
CURVES = {1: ec.SECP256R1(), 2: ec.SECP384R1()}


def meter_of(wanted: dict[str, Any]) -> MeterSimulator:
    suite = wanted["suite"]
    meter = example_meter()  # with keys of suite 0 alone
    meter.encryption_key, meter.authentication_key = (
        bytes.fromhex(wanted[name]) for name in ("encryption_key", "authentication_key")
    )

    def private(name: str) -> Any:
        return ec.derive_private_key(int(wanted[name], 16), CURVES[suite]) if suite else None

    def public(name: str) -> Any:
        return load_public_key(suite, bytes.fromhex(wanted[name])) if suite else None

    meter.signing_key = private("signing_key")
    meter.security = SecurityContext(
        meter.encryption_key,
        meter.authentication_key,
        TITLE,
        suite=suite,
        policy=SecurityPolicy(wanted["policy"]),
        signing_key=meter.signing_key,
        peer_signing_key=public("peer_signing_key"),
        key_agreement_key=private("agreement_key"),
        peer_key_agreement_key=public("peer_agreement_key"),
        general_aad="with-header",
        signing_form="length-prefixed-content",
    )
    for sap, mechanism, secret, ciphered in wanted["clients"]:
        meter.clients[sap] = ClientProfile(
            Mechanism(mechanism),
            None if secret is None else secret.encode(),
            ciphered,
            client_public_key=public("peer_signing_key"),
        )
    meter.add_object(1, MESSAGE, {2: DlmsData.octet_string(b"")})
    meter.add_method(1, MESSAGE, 100, lambda _, parameters: parameters)
    for name in wanted["without"]:
        meter.conformance &= ~Conformance[name]
    if wanted["gbt_window"] is not None:
        meter.conformance |= Conformance.GENERAL_BLOCK_TRANSFER
        meter.gbt_window = wanted["gbt_window"]
        meter.drop_gbt_blocks, meter.drop_gbt_requests = map(set, wanted["lost"])
    if wanted["push"] is not None:
        pushed = bytes.fromhex(wanted["push"])

        def handle_all(apdu: bytes, session: Any) -> list[bytes]:
            meter.push_before_response(pushed, protection="general-glo")
            return MeterSimulator.handle_all(meter, apdu, session)

        meter.handle_all = handle_all
    return meter


class Terminal:
    """The meter's end of a pseudo-terminal, as far as it is a socket to pydlms-client."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)

    def recv(self) -> bytes:
        return os.read(self._master, 65536)

    def sendall(self, octets: bytes) -> None:
        os.write(self._master, octets)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    if order["port"] is None:
        terminal = Terminal()
        line = HdlcServer(meter_of(order), terminal, window=order["window"])
        print(f"listening on serial:{terminal.path}", flush=True)
        while True:
            line.feed(terminal.recv())
    server = serve(meter_of(order), port=order["port"], hdlc=order["hdlc"], hdlc_window=order["window"])
    print(f"listening on {'hdlc+tcp' if order['hdlc'] else 'tcp'}://127.0.0.1:{server.server_address[1]}", flush=True)
    threading.Event().wait()
