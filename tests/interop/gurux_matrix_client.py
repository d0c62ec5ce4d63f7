"""Do all sorts of things with one meter by gurux-dlms' client: a program of its own, since gurux-dlms is GPL; no test
imports it.

Takes JSON on stdin and prints JSON. In: host, port, hdlc, physical; client, mechanism, secret; security (null, or
suite, policy, keys in hex, client_title, counter), ciphered, protection, dedicated; max_pdu; steps, each a list of its
name (`step_...`) and what it takes. Out: an answer for each step: A-XDR in hex, values of a list as it decodes them,
{"error": result}.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSAccessItem, GXDLMSClient, GXReplyData
from gurux_dlms.enums import AccessServiceCommandType, Authentication, Conformance, InterfaceType, Security
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import GXDLMSProfileGeneric
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

TIMEOUT_S = 20.0


class RefusedError(Exception):
    """The meter answered with a data-access-result or an action-result other than success."""


def plain(value: Any) -> Any:
    """What gurux-dlms decoded, as JSON has it: octets as hex."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, str)) else int(value)


class Meter:
    """An association on a connection, from beginning to end of a `with` block."""

    def __init__(self, client: GXDLMSClient, wanted: dict[str, Any]) -> None:
        self.client = client
        self.hdlc = wanted["hdlc"]
        self._socket = socket.create_connection((wanted["host"], wanted["port"]), TIMEOUT_S)
        self._received = GXByteBuffer()

    def __enter__(self) -> Meter:
        if self.hdlc:
            self.client.parseUAResponse(self.exchange(self.client.snrmRequest()).data)
        self.client.parseAareResponse(self.exchange(self.client.aarqRequest()).data)
        if self.client.isAuthenticationRequired:
            proof = self.exchange(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(proof.data)
        return self

    def __exit__(self, *_: object) -> None:
        with self._socket:
            self.exchange(self.client.releaseRequest())
            if self.hdlc:
                self.exchange(self.client.disconnectRequest())

    def exchange(self, requests: Any) -> GXReplyData:
        """The answer to all of the requests, the last one's where there are several."""
        reply = GXReplyData()
        for request in requests if isinstance(requests, list) else [requests]:
            reply.clear()
            self._ask(request, reply)
            while reply.isMoreData():
                self._ask(self.client.receiverReady(reply), reply)
        return reply

    def _ask(self, request: bytes, reply: GXReplyData) -> None:
        self._socket.sendall(request)
        notify = GXReplyData()
        while not self.client.getData(self._received, reply, notify):
            octets = self._socket.recv(65536)
            if not octets:
                raise ConnectionError("the meter closed the connection")
            self._received.set(octets)
        self._received.trim()


class Steps:
    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.client = meter.client

    def do(self, step: list[Any]) -> Any:
        try:
            return getattr(self, f"step_{step[0]}")(*step[1:])
        except RefusedError as refusal:
            return {"error": refusal.args[0]}

    def _data(self, requests: Any) -> GXReplyData:
        reply = self.meter.exchange(requests)
        if reply.error:
            raise RefusedError(int(reply.error))
        return reply

    def _object(self, class_id: int, obis: str) -> Any:
        item = self.client.createObject(class_id)
        item.logicalName = obis
        return item

    def step_view(self) -> Any:
        objects = self.client.parseObjects(self._data(self.client.getObjectsRequest()).data, False)
        return [
            [
                int(item.objectType),
                item.version,
                item.logicalName,
                [one.index for one in item.attributes if int(one.access) & 1],
                [one.index for one in item.attributes if int(one.access) & 2],
                [one.index for one in item.methodAttributes if int(one.methodAccess) & 1],
            ]
            for item in objects
        ]

    def step_get(self, class_id: int, obis: str, attribute: int) -> Any:
        return whole(self._data(self.client.read(self._object(class_id, obis), attribute)))

    def step_entries(self, obis: str, first: int, last: int, first_column: int, last_column: int) -> Any:
        profile = self._profile(obis)
        columns = profile.captureObjects[first_column - 1 : last_column or None] if last_column else None
        return whole(self._data(self.client.readRowsByEntry(profile, first, last - first + 1, columns)))

    def step_range(self, obis: str, start: str, end: str, columns: list[list[Any]]) -> Any:
        profile = self._profile(obis)
        names = {name for _, name, _ in columns}
        wanted = [one for one in profile.captureObjects if one[0].logicalName in names]
        bounds = [_GXCommon.changeType(self.client.settings, bytes.fromhex(one), 25) for one in (start, end)]
        return whole(self._data(self.client.readRowsByRange(profile, *bounds, wanted)))

    def _profile(self, obis: str) -> GXDLMSProfileGeneric:
        profile = GXDLMSProfileGeneric(obis)
        self.client.updateValue(profile, 3, self._data(self.client.read(profile, 3)).value)
        return profile

    def step_get_list(self, items: list[list[Any]]) -> Any:
        wanted = [(self._object(class_id, obis), attribute) for class_id, obis, attribute in items]
        (requests,) = self.client.readList(wanted)
        reply = self.meter.exchange(requests)
        return [{"error": int(reply.error)} if one is None else plain(one) for one in reply.value]

    def step_set(self, class_id: int, obis: str, attribute: int, value: str) -> Any:
        item = self._object(class_id, obis)
        decoded, kind = datum(self.client, value)
        item.setDataType(attribute, kind)
        self.client.updateValue(item, attribute, decoded)
        self._data(self.client.write(item, attribute))

    def step_call(self, class_id: int, obis: str, method: int, parameters: str) -> Any:
        octets = bytes.fromhex(parameters)
        decoded, kind = datum(self.client, parameters)
        if octets[:1] in (b"\x01", b"\x02"):  # it takes arrays and structures as they are encoded
            decoded = octets
        reply = self._data(self.client.method(self._object(class_id, obis), method, decoded, kind))
        return whole(reply) or None

    def step_access(self, items: list[list[Any]]) -> Any:
        wanted = [
            GXDLMSAccessItem(AccessServiceCommandType.GET, self._object(class_id, obis), attribute)
            for _, class_id, obis, attribute, _ in items
        ]
        self.client.parseAccessResponse(wanted, self._data(self.client.accessRequest(None, wanted)).data)
        return [[int(one.error), plain(one.value)] for one in wanted]


def whole(reply: GXReplyData) -> str:
    """All octets of the value."""
    return bytes(reply.data.array()).hex()


def datum(client: GXDLMSClient, value: str) -> tuple[Any, Any]:
    """A value in A-XDR as gurux-dlms has it, and its type."""
    info = _GXDataInfo()
    return _GXCommon.getData(client.settings, GXByteBuffer(bytes.fromhex(value)), info), info.type_


def client_of(wanted: dict[str, Any]) -> GXDLMSClient:
    address = 1
    if wanted["hdlc"] and wanted["physical"] is not None:
        address = GXDLMSClient.getServerAddress(1, wanted["physical"])
    link = InterfaceType.HDLC if wanted["hdlc"] else InterfaceType.WRAPPER
    mechanism = Authentication(wanted["mechanism"])
    client = GXDLMSSecureClient(True, wanted["client"], address, mechanism, wanted["secret"], link)
    client.maxReceivePDUSize = wanted["max_pdu"]
    client.proposedConformance |= Conformance.ACCESS
    client.autoIncreaseInvokeID = True
    if wanted["security"] is not None:
        secure(client, wanted)
    return client


def secure(client: GXDLMSClient, wanted: dict[str, Any]) -> None:
    security, cipher = wanted["security"], client.ciphering
    client.increaseInvocationCounterForGMacAuthentication = True
    client.useProtectedRelease = wanted["ciphered"]
    cipher.security = Security(security["policy"] if wanted["ciphered"] else 0)
    cipher.securitySuite = SecuritySuite(security["suite"])
    cipher.systemTitle = bytearray.fromhex(security["client_title"])
    cipher.blockCipherKey = bytearray.fromhex(security["encryption_key"])
    cipher.authenticationKey = bytearray.fromhex(security["authentication_key"])
    cipher.invocationCounter = security["counter"]
    if wanted["dedicated"]:
        cipher.dedicatedKey = bytearray(os.urandom(16))
    client.proposedConformance &= ~Conformance.GENERAL_PROTECTION
    if wanted["protection"] == "general-glo":
        client.proposedConformance |= Conformance.GENERAL_PROTECTION


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # it prints remarks of its own
        order = json.load(sys.stdin)
        with Meter(client_of(order), order) as meter:
            answers = [Steps(meter).do(step) for step in order["steps"]]
    json.dump({"answers": answers}, sys.stdout)
