"""Read one meter over HDLC on TCP with the gurux-dlms client: a program of its own, since gurux-dlms is GPL.

Takes JSON on stdin and prints JSON. In: host, port, logical, physical (0: no physical address), information.
Out: the information lengths agreed, the serial number and the object list of the public client.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType
from gurux_dlms.objects import GXDLMSData

TIMEOUT_S = 20.0
PUBLIC_CLIENT = 16


def read_meter(wanted: dict[str, Any]) -> dict[str, Any]:
    """SNRM, AARQ, a short and a long GET, DISC."""
    address = wanted["logical"]
    if wanted["physical"]:
        address = GXDLMSClient.getServerAddress(wanted["logical"], wanted["physical"])
    client = GXDLMSClient(True, PUBLIC_CLIENT, address, Authentication.NONE, None, InterfaceType.HDLC)
    limits = client.hdlcSettings
    limits.maxInfoRX = limits.maxInfoTX = wanted["information"]
    with socket.create_connection((wanted["host"], wanted["port"]), TIMEOUT_S) as connection:

        def exchange(requests: Any) -> GXReplyData:
            reply = GXReplyData()
            for request in requests if isinstance(requests, list) else [requests]:
                reply.clear()
                ask(request, reply)
                while reply.isMoreData():
                    ask(client.receiverReady(reply), reply)
            return reply

        def ask(request: bytes, reply: GXReplyData) -> None:
            connection.sendall(request)
            received, notify = GXByteBuffer(), GXReplyData()
            while not client.getData(received, reply, notify):
                octets = connection.recv(65536)
                if not octets:
                    raise ConnectionError("the meter closed the connection")
                received.set(octets)
            if reply.error:
                raise ConnectionError(f"the meter answered with error {reply.error}")

        client.parseUAResponse(exchange(client.snrmRequest()).data)
        agreed = [limits.maxInfoTX, limits.maxInfoRX]
        client.parseAareResponse(exchange(client.aarqRequest()).data)
        serial = GXDLMSData("0.0.96.1.0.255")
        value = client.updateValue(serial, 2, exchange(client.read(serial, 2)).value)
        objects = client.parseObjects(exchange(client.getObjectsRequest()).data, True)
        exchange(client.releaseRequest())
        exchange(client.disconnectRequest())
    return {
        "agreed": agreed,
        "serial": value if isinstance(value, str) else bytes(value).decode(),
        "objects": [f"{int(item.objectType)}/{item.logicalName}" for item in objects],
    }


if __name__ == "__main__":
    json.dump(read_meter(json.load(sys.stdin)), sys.stdout)
