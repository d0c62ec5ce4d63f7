"""Sends prepared pushes over TCP as fast as they are taken: a program of its own, so that what it does is not counted.

push_sender.py PORT FILE: FILE is a JSON list of what each connection sends, in hex
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path


async def send(port: int, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for at in range(0, len(octets), 16_384):
        writer.write(octets[at : at + 16_384])
        await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()


async def main(port: int, parts: list[bytes]) -> None:
    async with asyncio.TaskGroup() as sending:
        for part in parts:
            sending.create_task(send(port, part))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), [bytes.fromhex(part) for part in json.loads(Path(sys.argv[2]).read_text())]))
