"""Blocks that were pushed before their meter's scalers were known: taken in once a visit has read them.

The one rule: a block is forgotten among the suspects only when it is durable as a reading; one that still can't be
scaled stays there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from drivers.dlms.apdu import DataNotification
from drivers.push import Arrival, Route
from drivers.push import Push as Opened
from drivers.push.opening import Cover
from headend.intake import Intake
from headend.push.contents import NO_SCALERS, content_of
from headend.push.meters import KnownMeter, KnownMeters
from headend.push.senders import Claim
from headend.store.database import Pool, borrow, store_errors
from headend.store.finished import Finished
from headend.store.statements import statement
from headend.vault import Vault
from profiles.errors import StoreError
from profiles.meter_type import MeterType

EVERY_S: Final = 600.0
"""From one look for blocks that can be taken in to the next."""
AT_ONCE: Final = 200

log = structlog.get_logger(__name__)


class _Kept(NamedTuple):
    """A row of `kept_blocks`."""

    id: int
    raw: bytes
    stamp: bytes
    read_at: datetime
    reason: str
    serial: str
    system_title: bytes | None

    @property
    def claim(self) -> Claim:
        return Claim(bytes(self.system_title)) if self.system_title is not None else Claim(devices=(self.serial,))


class KeptBlocks:
    """Takes them in; it looks meters up for itself, so that it is in nobody's way."""

    def __init__(self, pool: Pool, vault: Vault, types: Mapping[str, MeterType], intake: Intake) -> None:
        self._pool = pool
        self._vault = vault
        self._types = types
        self._intake = intake

    async def run(self) -> None:
        """Look every so often, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                if not self._intake.away and (taken := await self.take_in()):
                    log.info("kept_blocks_taken_in", count=taken)
            except StoreError as error:
                log.warning("kept_blocks_wait", reason=error.message)

    async def take_in(self) -> int:
        """All that can be taken in now; how many. Raises StoreError."""
        meters = KnownMeters(self._pool, self._vault, self._types, most=AT_ONCE, for_s=EVERY_S, per_minute=1)
        taken = after = 0
        while rows := await self._page(after):
            known = await meters.find({row.claim for row in rows})
            done = []
            for row in rows:
                meter = known[row.claim]
                finished = None if meter is None else _read_again(row, meter)
                if finished is not None:
                    await self._intake.put(finished)
                    done.append(row.id)
            await self._intake.settled()
            async with borrow(self._pool) as connection, store_errors():
                await connection.execute(statement("kept_blocks_done"), {"ids": done})
            taken, after = taken + len(done), rows[-1].id
        return taken

    async def _page(self, after: int) -> list[_Kept]:
        parameters = {"after": after, "limit": AT_ONCE}
        async with borrow(self._pool) as connection, store_errors():
            cursor = await connection.execute(statement("kept_blocks"), parameters)
            return [_Kept(*row) for row in await cursor.fetchall()]


def _read_again(row: _Kept, meter: KnownMeter) -> Finished | None:
    """What the block says now, as of when it came; None where something in it still can't be read or believed."""
    push = Opened(
        meter.pushing,
        Arrival(b"", Route("bare")),
        meter.pushing.title,
        Cover(),
        row.reason == NO_SCALERS,
        DataNotification(0, bytes(row.raw), bytes(row.stamp)),
    )
    try:
        finished = content_of(push, meter, row.read_at).finished
    except Exception:  # one block must not end the listener
        log.exception("kept_block_broke", meter=meter.pushing.name, suspect_row=row.id)
        return None
    return None if any(item.batch.suspects for item in finished.readings) else finished
