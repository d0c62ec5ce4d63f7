"""Read and write one attribute by general block transfer with the gurux-dlms client: a program of its own, since
gurux-dlms is GPL; no test imports it.

Takes JSON on stdin and prints JSON. In: host, port, max_pdu (of the meter), window (of this client), write (octets in
hex for attribute 2 of a data object, null to read it). Out: the value read in hex, or null after writing.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, Conformance, DataType, InterfaceType
from gurux_dlms.objects import GXDLMSData

TIMEOUT_S = 20.0


def use_meter(wanted: dict[str, Any]) -> str | None:
    client = GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    client.settings.negotiatedConformance |= Conformance.GENERAL_BLOCK_TRANSFER
    client.settings.maxPduSize = wanted["max_pdu"]
    client.gbtWndowSize = wanted["window"]
    # 1.0.203 acknowledges by a number that its settings do not have; this is the one that it means.
    type(client.settings).blockNumber = property(lambda settings: settings.blockIndex)
    item = GXDLMSData("0.0.96.1.0.255")
    with socket.create_connection((wanted["host"], wanted["port"]), TIMEOUT_S) as connection:
        received = GXByteBuffer()

        def ask(request: bytes | None, reply: GXReplyData) -> None:
            if request is not None:
                connection.sendall(request)
            notify = GXReplyData()
            while not client.getData(received, reply, notify):
                octets = connection.recv(65536)
                if not octets:
                    raise ConnectionError("the meter closed the connection")
                received.set(octets)
            received.trim()
            if reply.error:
                raise ConnectionError(f"the meter answered with error {reply.error}")

        def exchange(requests: list[bytes]) -> GXReplyData:
            reply = GXReplyData()
            for request in requests:
                reply.clear()
                ask(request, reply)
                while reply.isMoreData():
                    ask(None if reply.isStreaming() else client.receiverReady(reply), reply)
            return reply

        if wanted["write"] is None:
            reply = exchange(client.read(item, 2))
            return bytes(client.updateValue(item, 2, reply.value)).hex()
        item.setDataType(2, DataType.OCTET_STRING)
        item.value = bytes.fromhex(wanted["write"])
        exchange(client.write(item, 2))
        return None


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # it prints remarks of its own
        value = use_meter(json.load(sys.stdin))
    json.dump(value, sys.stdout)
