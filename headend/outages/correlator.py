"""The correlator: follows the events that are stored, and keeps the outages that they tell of.

The one rule: a meter's times without power are told anew from all that is stored of it whenever there is news of it. So
news may come late, twice or in any order, and a look that is done again changes nothing. One in the cluster correlates,
whoever holds the lock; it goes on where `outage_mark` says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from psycopg.conninfo import make_conninfo

from headend.collection.locks import KEEPALIVES
from headend.outages.evidence import codes
from headend.settings import Outages
from headend.store.database import Connection, connect, store_errors
from headend.store.events import CHANNEL
from headend.store.statements import statement

LOCK: Final = (0x4846, 1)
LOOK_EVERY_S: Final = 3.0
"""Answers and failures of meters are told by no event, and news may be missed while a connection is made."""
NEWS: Final = 10_000
"""Events that are taken at a time."""
PAUSE_S: Final = 0.5
"""Between looks: in a storm each one then takes many events."""

log = structlog.get_logger(__name__)


async def correlate(
    dsn: str,
    settings: Callable[[], Outages],
    clock: Callable[[], datetime],
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Correlate, or wait until this is the one in the cluster that may; for ever. Raises StoreError.

    `settings` and `clock` are asked at each look; `alive` is called after each.
    """
    connection = await connect(make_conninfo(dsn, **KEEPALIVES))
    async with connection, store_errors():
        names = {"class": LOCK[0], "number": LOCK[1]}
        while not await _got(connection, names):
            alive()
            await asyncio.sleep(LOOK_EVERY_S)
        await connection.execute(f"LISTEN {CHANNEL}")
        log.info("correlating_outages")
        correlator = Correlator(connection)
        while True:
            await correlator.look(settings(), clock())
            alive()
            await asyncio.sleep(PAUSE_S)
            async for _ in connection.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                pass


async def _got(connection: Connection, names: dict[str, int]) -> bool:
    row = await (await connection.execute(statement("outage_lock"), names)).fetchone()
    return row is not None and bool(row[0])


class Correlator:
    """Looks at what happened, on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def look(self, settings: Outages, now: datetime) -> int:
        """Take in what was stored since the last look, and what meters answered; how many events there were.

        Events of transactions that may still be joined by older ones are looked at again next time.
        """
        begun, since = time.monotonic(), now - timedelta(hours=settings.history_h)
        row = await (await self._connection.execute(statement("outage_snapshot"))).fetchone()
        assert row is not None, "made by the migration"
        place, ended = (row[0], 0), row[1]
        count, pages = 0, 0
        while True:
            news = await self._news(place, since)
            meters = sorted({meter for _, _, meter in news})
            if meters or not pages:
                async with self._connection.transaction():
                    await self._take(meters, settings, since, now)
            pages, count = pages + 1, count + len(news)
            if len(news) < NEWS:
                break
            place = (news[-1][0], news[-1][1])
        await self._connection.execute(statement("outage_mark"), {"followed": ended})
        if count:
            log.debug("events_correlated", events=count, ms=round(1000 * (time.monotonic() - begun)))
        return count

    async def _news(self, place: tuple[str, int], since: datetime) -> Sequence[tuple[str, int, int]]:
        makers, numbers, _ = zip(*codes(), strict=True)
        parameters = {"makers": list(makers), "codes": list(numbers), "since": since, "limit": NEWS}
        parameters |= {"stored_by": place[0], "id": place[1]}
        return await (await self._connection.execute(statement("outage_news"), parameters)).fetchall()

    async def _take(self, meters: Sequence[int], settings: Outages, since: datetime, now: datetime) -> None:
        """Tell the times of these meters anew and place them; then see how far every outage reaches."""
        touched: set[int] = set()
        asked: dict[str, Any] = settings.model_dump() | {"meters": list(meters), "since": since, "now": now}
        if meters:
            touched |= await self._outages("outage_of_meters", asked)
            makers, numbers, evidence = zip(*codes(), strict=True)
            lists = {"makers": list(makers), "codes": list(numbers), "evidence": [int(one) for one in evidence]}
            await self._connection.execute(statement("outage_spans"), asked | lists)
        touched |= await self._outages("outage_answered", asked)
        if meters:
            for name in ("outage_join", "outage_open", "outage_join"):
                await self._connection.execute(statement(name), asked)
            touched |= await self._outages("outage_of_meters", asked)
        asked["outages"] = sorted(touched)
        await self._connection.execute(statement("outage_empty"), asked)
        changed = await self._refreshed(asked)
        await self._connection.execute(statement("outage_silent"), asked)
        await self._connection.execute(statement("outage_presume"), asked)
        asked["outages"] = sorted(touched | await self._outages("outage_feeders", asked))
        changed |= await self._refreshed(asked)
        await self._tell(changed)

    async def _outages(self, name: str, asked: dict[str, Any]) -> set[int]:
        cursor = await self._connection.execute(statement(name), asked)
        return {outage for (outage,) in await cursor.fetchall() if outage is not None}

    async def _refreshed(self, asked: dict[str, Any]) -> dict[int, dict[str, Any]]:
        """How far outages reach now: those that have begun or ended."""
        changed = {}
        cursor = await self._connection.execute(statement("outage_refresh"), asked)
        for outage, kind, feeder, transformer, meters, was_closed, closed, restored, is_new in await cursor.fetchall():
            if (is_new and closed is None) or (closed is not None and was_closed is None):
                of = {"kind": kind, "feeder": feeder, "transformer": transformer, "meters": meters}
                changed[outage] = of | ({"restored_at": restored.isoformat()} if closed is not None else {})
        return changed

    async def _tell(self, changed: dict[int, dict[str, Any]]) -> None:
        over = [outage for outage, of in changed.items() if "restored_at" in of]
        for outage, of in changed.items():
            log.info("outage_over" if outage in over else "outage_open", outage=outage, **of)
        if over:
            await self._connection.execute(statement("outage_due"), {"outages": over})
