"""A process of its own that spools and tells after each batch, to be killed or limited by the tests of the spool.

python spooling.py FOLDER [octets that a file may have | claim]
"""

from __future__ import annotations

import asyncio
import resource
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headend.spool.entries import RawApdu
from headend.spool.spool import open_spool
from profiles.errors import SpoolError

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 10


def apdus(first: int, count: int, octets: int = 100) -> list[RawApdu]:
    """APDUs that can be told apart by their time and by what they begin with."""
    return [
        RawApdu(BEGUN + timedelta(seconds=n), "tcp", "127.0.0.1:4059", n.to_bytes(4, "big") * (octets // 4))
        for n in range(first, first + count)
    ]


async def spool_on(folder: Path, limit: int) -> None:
    async with open_spool(folder, max_mb=64, min_free_mb=1) as spool:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        kept = 0
        while True:
            try:
                await spool.append(apdus(kept, BATCH, 4000 if limit else 100))
            except SpoolError as error:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                print("refused", spool.full, error, flush=True)
                await spool.append(apdus(kept, BATCH))
                print("kept", kept + BATCH, spool.full, flush=True)
                return
            kept += BATCH
            print("kept", kept, flush=True)


async def hold_the_claim(folder: Path) -> None:
    async with open_spool(folder, max_mb=64, min_free_mb=1) as spool, spool.claim(RawApdu) as mine:
        print(mine, flush=True)
        await asyncio.sleep(60)


if __name__ == "__main__":
    folder, what = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "0"
    asyncio.run(hold_the_claim(folder) if what == "claim" else spool_on(folder, int(what)))
