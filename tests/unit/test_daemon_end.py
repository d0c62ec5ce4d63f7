"""A daemon that is told to stop ends, whatever hangs in it."""

from __future__ import annotations

import subprocess
import sys

HANGS = """
import asyncio, time
from headend import daemon
from headend.seeing.sight import Sight
from headend.times import utc_now

daemon.GRACE_S = daemon.CUT_S = daemon.LAST_S = daemon.THREADS_S = 0.1

async def hang():
    stop = asyncio.Event()
    stop.set()
    thread = asyncio.create_task(asyncio.to_thread(time.sleep, 600))
    await asyncio.gather(thread, daemon._insist(stop, Sight((), utc_now)))

asyncio.run(hang())
"""


def test_a_thread_that_hangs_keeps_no_process_from_its_end() -> None:
    assert subprocess.run([sys.executable, "-c", HANGS], capture_output=True, timeout=60).returncode == 0
