"""One side of general block transfer by pydlms-client: a program of its own, since pydlms-client is GPL; no test
imports it. It takes one connection after another, each for one exchange, and lines of JSON over it.

In: {"window": n, "block_size": n} first; then {"start": APDU}, {"handle": GBT APDU} or {"idle": true}, in hex.
Out: {"send": GBT APDUs, "apdu": an APDU that has come whole, or null}.
"""

from __future__ import annotations

import json
import socketserver
from typing import Any

from pydlms.apdu.gbt import GbtTransfer, decode_gbt

TIMEOUT_S = 20.0


class Exchange(socketserver.StreamRequestHandler):
    timeout = TIMEOUT_S

    def handle(self) -> None:
        settings = json.loads(self.rfile.readline())
        transfer = GbtTransfer(settings["window"])
        for line in self.rfile:
            sent, whole = self.step(transfer, settings["block_size"], json.loads(line))
            answer = {"send": [each.hex() for each in sent], "apdu": None if whole is None else whole.hex()}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    def step(self, transfer: GbtTransfer, size: int, order: dict[str, Any]) -> tuple[list[bytes], bytes | None]:
        if "start" in order:
            return transfer.send(bytes.fromhex(order["start"]), size), None
        if "handle" in order:
            step = transfer.receive(decode_gbt(bytes.fromhex(order["handle"])))
            return step.send, step.apdu
        return transfer.on_timeout(), None


if __name__ == "__main__":
    with socketserver.TCPServer(("127.0.0.1", 0), Exchange) as server:
        print(f"listening on {server.server_address[1]}", flush=True)
        server.serve_forever()
