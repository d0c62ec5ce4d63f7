"""Outages to show, as the view `power_outage` has them."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

from headend.store.database import Connection, store_errors
from headend.store.statements import statement

AT_MOST = 1000


class Outage(NamedTuple):
    """One of a meter, transformer or feeder. Times are those of the utility's zone; `local_end`, `minutes`: None while
    it goes on; `meter_minutes`: of all meters together, None while none has power again."""

    outage: int
    kind: str
    division: str
    feeder: str
    transformer: str
    meter: str | None
    local_begin: datetime
    local_end: datetime | None
    open: bool
    meters: int
    still_off: int
    minutes: float | None
    meter_minutes: float | None

    @property
    def place(self) -> str:
        """What is without power."""
        if self.kind == "feeder":
            return self.feeder
        return self.transformer if self.kind == "transformer" or self.meter is None else self.meter


async def outages(connection: Connection, *, only_open: bool = False, day: date | None = None) -> list[Outage]:
    """Those that go on, then the latest, `AT_MOST`; `day`: those that touch this day. Raises StoreError."""
    async with store_errors():
        parameters = {"open": only_open, "day": day, "limit": AT_MOST}
        cursor = await connection.execute(statement("outage_list"), parameters)
        return [Outage(*row) for row in await cursor.fetchall()]
