"""Read one meter with the gurux-dlms client: a program of its own, since gurux-dlms is GPL; no test imports it.

Takes JSON on stdin and prints JSON. In: host, port, client, authentication (gurux-dlms' name of the mechanism),
password, keys (hex), system_title (hex), counter (object that tells the last invocation counter), clock, profile,
scalers (logical names), first and last (wall times of the first and the last row). Out: clock, rows, columns, scalers,
as gurux-dlms decodes them and unscaled.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from datetime import datetime
from typing import Any

from gurux_dlms import GXByteBuffer, GXDateTime, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, DateTimeSkips, InterfaceType, Security
from gurux_dlms.objects import GXDLMSClock, GXDLMSData, GXDLMSProfileGeneric
from gurux_dlms.secure import GXDLMSSecureClient

TIMEOUT_S = 20.0
PUBLIC_CLIENT = 16


class Connection:
    """A TCP connection with an association of `client` on it, from beginning to end of a `with` block."""

    def __init__(self, client: GXDLMSClient, host: str, port: int) -> None:
        self.client = client
        self._socket = socket.create_connection((host, port), TIMEOUT_S)

    def __enter__(self) -> Connection:
        self.client.parseAareResponse(self._exchange_all(self.client.aarqRequest()).data)
        if self.client.isAuthenticationRequired:
            proof = self._exchange_all(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(proof.data)
        return self

    def __exit__(self, *_: object) -> None:
        self._exchange_all(self.client.releaseRequest())
        self._socket.close()

    def read(self, item: Any, attribute: int) -> Any:
        """One attribute, as gurux-dlms puts it into the object."""
        return self.take(item, attribute, self.client.read(item, attribute))

    def take(self, item: Any, attribute: int, requests: list[bytes]) -> Any:
        """The answer to requests for an attribute, put into the object."""
        reply = self._exchange_all(requests)
        return self.client.updateValue(item, attribute, reply.value)

    def _exchange_all(self, requests: list[bytes] | bytes) -> GXReplyData:
        reply = GXReplyData()
        for request in requests if isinstance(requests, list) else [requests]:
            reply.clear()
            self._exchange(request, reply)
            while reply.isMoreData():
                self._exchange(self.client.receiverReady(reply), reply)
        return reply

    def _exchange(self, request: bytes, reply: GXReplyData) -> None:
        self._socket.sendall(request)
        received = GXByteBuffer()
        notify = GXReplyData()
        while not self.client.getData(received, reply, notify):
            octets = self._socket.recv(65536)
            if not octets:
                raise ConnectionError("the meter closed the connection")
            received.set(octets)
        if reply.error:
            raise ConnectionError(f"the meter answered with error {reply.error}")


def read_counter(wanted: dict[str, Any]) -> int:
    """The last invocation counter that the meter has seen, by the public client."""
    client = GXDLMSClient(True, PUBLIC_CLIENT, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    with Connection(client, wanted["host"], wanted["port"]) as connection:
        return int(connection.read(GXDLMSData(wanted["counter"]), 2))


def secure_client(wanted: dict[str, Any], counter: int) -> GXDLMSSecureClient:
    """A client that authenticates and encrypts, starting with this invocation counter."""
    authentication = Authentication[wanted["authentication"]]
    client = GXDLMSSecureClient(
        True, wanted["client"], 1, authentication, wanted.get("password"), InterfaceType.WRAPPER
    )
    client.increaseInvocationCounterForGMacAuthentication = True
    client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
    client.ciphering.systemTitle = bytearray.fromhex(wanted["system_title"])
    client.ciphering.blockCipherKey = bytearray.fromhex(wanted["encryption_key"])
    client.ciphering.authenticationKey = bytearray.fromhex(wanted["authentication_key"])
    client.ciphering.invocationCounter = counter
    return client


def wall_time(text: str) -> GXDateTime:
    """A date-time without deviation and hundredths."""
    moment = GXDateTime(datetime.fromisoformat(text))
    moment.skip |= DateTimeSkips.DEVITATION | DateTimeSkips.MILLISECOND | DateTimeSkips.DAY_OF_WEEK
    return moment


def plain(value: Any) -> Any:
    """A cell as JSON has it; a date-time as its wall time, with the offset where the meter gave one."""
    if isinstance(value, GXDateTime):
        return value.value.isoformat()
    return int(value)


def read_meter(wanted: dict[str, Any]) -> dict[str, Any]:
    """Clock, columns, rows and scalers, in one association."""
    client = secure_client(wanted, read_counter(wanted) + 1)
    clock = GXDLMSClock(wanted["clock"])
    profile, scalers = GXDLMSProfileGeneric(wanted["profile"]), GXDLMSProfileGeneric(wanted["scalers"])
    with Connection(client, wanted["host"], wanted["port"]) as connection:
        now = connection.read(clock, 2)
        connection.read(profile, 3)
        first, last = wall_time(wanted["first"]), wall_time(wanted["last"])
        rows = connection.take(profile, 2, client.readRowsByRange(profile, first, last))
        connection.read(scalers, 3)
        scaler_rows = connection.read(scalers, 2)
    return {
        "clock": plain(now),
        "columns": [item.logicalName for item, _ in profile.captureObjects],
        "rows": [[plain(cell) for cell in row] for row in rows],
        "scalers": {
            item.logicalName: [int(part) for part in cell]
            for (item, _), cell in zip(scalers.captureObjects, scaler_rows[0], strict=True)
        },
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # gurux-dlms prints how each APDU was protected
        said = read_meter(json.load(sys.stdin))
    json.dump(said, sys.stdout)
