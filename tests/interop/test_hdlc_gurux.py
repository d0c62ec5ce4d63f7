"""gurux-dlms' HDLC client, a process of its own, at our HDLC server with a simulated meter behind it.

With a window of one: where more frames come in a turn, this client answers each of them, out of turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import lines
import pytest

GURUX_CLIENT = Path(__file__).with_name("gurux_hdlc_client.py")
LIMIT_S = 60.0


@pytest.mark.parametrize(("physical", "information"), [(0, 128), (17, 128), (17, 90), (0, 1024)])
async def test_gurux_reads_our_meter_over_hdlc(physical: int, information: int) -> None:
    place = lines.served()
    async with lines.hdlc_meter(place) as address:
        url = urlsplit(address)
        place_and_size = {"logical": 1, "physical": physical, "information": information}
        wanted = {"host": url.hostname, "port": url.port, **place_and_size}
        process = await asyncio.create_subprocess_exec(
            sys.executable, GURUX_CLIENT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                told, _ = await process.communicate(json.dumps(wanted).encode())
        finally:
            if process.returncode is None:
                process.kill()
    said = json.loads(told)
    assert said["agreed"] == [min(information, 128)] * 2
    assert said["serial"] == place.meter.identity.serial
    assert "1/0.0.96.1.0.255" in said["objects"]
