"""Sends prepared pushes over TCP: a program of its own, so that what it does is not counted.

push_sender.py PORT FILE SECONDS: FILE is a JSON list of what each connection sends, in hex; all of them send evenly
over so many seconds, or with 0 as fast as it is taken. Prints when it begins, by time.monotonic().
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

TURN_S = 0.01


async def send(port: int, octets: bytes, seconds: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun, sent = time.monotonic(), 0
    while sent < len(octets):
        due = int(len(octets) * (time.monotonic() - begun) / seconds) if seconds else sent + 16_384
        writer.write(octets[sent:due])
        sent = max(sent, due)
        await writer.drain()
        if seconds:
            await asyncio.sleep(TURN_S)
    writer.write_eof()
    await reader.read()
    writer.close()


async def main(port: int, parts: list[bytes], seconds: float) -> None:
    print(time.monotonic(), flush=True)
    async with asyncio.TaskGroup() as sending:
        for part in parts:
            sending.create_task(send(port, part, seconds))


if __name__ == "__main__":
    prepared = [bytes.fromhex(part) for part in json.loads(Path(sys.argv[2]).read_text())]
    asyncio.run(main(int(sys.argv[1]), prepared, float(sys.argv[3])))
