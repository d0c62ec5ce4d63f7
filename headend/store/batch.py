"""Stand-in until the real one comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headend.registry import park, record_contacts
from headend.store.counters import record_received
from headend.store.database import Edition, Pool, borrow
from headend.store.finished import Finished
from headend.store.layouts import save_layouts
from headend.store.writer import Writer, Written


class Store:
    def __init__(self, pool: Pool, edition: Edition) -> None:
        self._pool = pool
        self._writer = Writer(pool, edition)

    async def write(self, finished: Sequence[Finished], now: datetime) -> Written:
        received: dict[tuple[int, bytes], int] = {}
        for each in finished:
            received |= each.received
        async with borrow(self._pool) as connection:
            if received:
                await record_received(connection, received)
            for each in finished:
                for name, layout in each.layouts.items():
                    await save_layouts(connection, {each.contact.meter_id: layout}, name, each.contact.at)
            await record_contacts(connection, [one.contact for one in finished])
            for one in finished:
                if one.nameplate:
                    await connection.execute(
                        "UPDATE meter SET maker=%s, firmware=%s, identified_at=%s WHERE id=%s",
                        (one.nameplate.maker, one.nameplate.firmware, one.nameplate.at, one.contact.meter_id),
                    )
                if one.park:
                    await park(connection, one.contact.meter_id, one.contact.error or "", one.contact.at)
        return await self._writer.write([item for one in finished for item in one.readings])
