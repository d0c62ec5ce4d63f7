"""A head-end that only listens to a broker, as a process of its own that a test kills.

python push_process.py DSN KEK FOLDER PORT SECONDS: writes what came when it has waited so long; tells what it received
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pushing import NOW

from headend import intake as intakes
from headend.intake import Intake
from headend.meter_types import MeterTypes
from headend.push.listener import open_listener
from headend.settings import Push
from headend.spool.spool import open_spool
from headend.store.batch import Store
from headend.store.database import connect, edition, open_pool
from headend.vault import Kek, Vault


async def listen(dsn: str, kek: bytes, folder: Path, port: int) -> None:
    pool = await open_pool(dsn, connections=3)
    async with await connect(dsn) as connection:
        store = Store(pool, await edition(connection))
    async with open_spool(folder, max_mb=50, min_free_mb=1) as spool:
        intake = Intake(store, spool, clock=lambda: NOW)
        settings = Push(mqtt_host="127.0.0.1", mqtt_port=port, mqtt_client_id="one", cached_s=60)
        async with (
            intake.open(),
            open_listener(settings, pool, Vault(Kek(kek)), MeterTypes(), intake, spool, clock=lambda: NOW) as listening,
        ):
            told = -1
            while True:
                if (kept := listening.arrivals.kept) != told:
                    told = kept
                    print(told, flush=True)
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    intakes.SECONDS = float(sys.argv[5])  # type: ignore[misc]
    asyncio.run(listen(sys.argv[1], bytes.fromhex(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
