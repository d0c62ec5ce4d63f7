"""The way into the store: what sessions, pushes and files brought, in one transaction.

The one rule: a batch of `Finished` is stored as a whole or not at all, any number of times, in any order and by any
number of processes at once. Within the transaction the replay windows come first, then the locks on the meters; under
those all the rest is written, and what the ledger concludes from it last.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from drivers.push.window import Freshness
from headend.store.absence import record_coverage
from headend.store.counters import record_received
from headend.store.database import Connection, Edition, Pool, store_errors
from headend.store.events import write_events, write_marks
from headend.store.finished import ClockCheck, Contact, Finished, MeterRatio, Nameplate
from headend.store.layouts import save_layouts
from headend.store.profiles import write_profiles
from headend.store.statements import statement
from headend.store.transactions import Transactions
from headend.store.windows import settle_pushes, settle_transactions
from headend.store.writer import Written, check_years, lock_meters, write_intervals

PARKED_AFTER: Final = 3
"""So many visits in a row in which a meter refuses our keys: it is left alone."""

log = structlog.get_logger(__name__)


class Store:
    """Where batches are written to. May be used by many tasks at once."""

    def __init__(self, pool: Pool, edition: Edition) -> None:
        self._transactions = Transactions(pool, edition)

    async def write(self, finished: Sequence[Finished], now: datetime, *, dry_run: bool = False) -> Written:
        """Store all of it or nothing. About 10 000 rows a call serve best. `dry_run`: only tell what it would change.

        Raises StoreError: `retry` says whether the same call can work later.
        """
        if not finished:
            return Written()
        items = [item for one in finished for item in one.readings]
        check_years(items)

        async def work(connection: Connection) -> Written:
            if not dry_run:
                return await write_batch(connection, finished, now=now)
            async with store_errors(), connection.transaction(force_rollback=True):
                return await write_batch(connection, finished, now=now)

        return await self._transactions.run(items, work)


async def write_batch(connection: Connection, finished: Sequence[Finished], *, now: datetime) -> Written:
    """Everything of all of them, in the caller's transaction. Raises StoreError."""
    async with store_errors():
        fresh = await _fresh(connection, finished)
        written = Written(repeated=len(finished) - len(fresh))
        if not fresh:
            return written
        await lock_meters(connection, {one.contact.meter_id for one in fresh})
        await _write_counters(connection, fresh)
        await _write_layouts(connection, fresh)
        await _write_contacts(connection, fresh)
        await _write_nameplates(connection, [one.nameplate for one in fresh if one.nameplate is not None])
        await _write_ratios(connection, [one.ratio for one in fresh if one.ratio is not None])
        await _write_clock_checks(connection, [one.clock for one in fresh if one.clock is not None])
        if items := [item for one in fresh for item in one.readings]:
            written += await write_intervals(connection, items, now)
        if profiles := [reading for one in fresh for reading in one.profiles]:
            written += await write_profiles(connection, profiles, now)
        words = [(one.status_word, one.contact.at) for one in fresh if one.status_word is not None]
        happened = [event for one in fresh for event in one.events]
        written += Written(events=await write_events(connection, happened, words))
        await write_marks(connection, [(mark, one.contact.at) for one in fresh for mark in one.marks])
        await record_coverage(connection, [covered for one in fresh for covered in one.covered], now)
        return written


async def _fresh(connection: Connection, finished: Sequence[Finished]) -> list[Finished]:
    """Without the pushes that were taken in before."""
    return await _fresh_transactions(connection, await _fresh_counters(connection, finished))


async def _fresh_counters(connection: Connection, finished: Sequence[Finished]) -> list[Finished]:
    pushes = [one.push for one in finished if one.push is not None]
    if not pushes:
        return list(finished)
    said = iter(await settle_pushes(connection, pushes))
    fresh = []
    for one in finished:
        if one.push is None or (freshness := next(said)) is Freshness.NEW:
            fresh.append(one)
        else:
            log.info("push_repeated", meter_id=one.contact.meter_id, counter=one.push.counter, is_=freshness.value)
    return fresh


async def _fresh_transactions(connection: Connection, finished: list[Finished]) -> list[Finished]:
    pushes = [one for one in finished if one.transaction_id]
    if not pushes:
        return finished
    said = iter(await settle_transactions(connection, pushes))
    fresh = []
    for one in finished:
        if not one.transaction_id or next(said):
            fresh.append(one)
        else:
            log.info("push_repeated", meter_id=one.contact.meter_id, transaction_id=one.transaction_id.hex())
    return fresh


async def _write_counters(connection: Connection, finished: Sequence[Finished]) -> None:
    received: dict[tuple[int, bytes], int] = {}
    for one in finished:
        for owner, counter in one.received.items():
            received[owner] = max(counter, received.get(owner, 0))
    if received:
        await record_received(connection, received)


async def _write_layouts(connection: Connection, finished: Sequence[Finished]) -> None:
    for one in finished:
        for profile, layout in one.layouts.items():
            await save_layouts(connection, {one.contact.meter_id: layout}, profile, one.contact.at)


async def _write_contacts(connection: Connection, finished: Sequence[Finished]) -> None:
    """When each meter last answered, how it last failed, and whether it is to be left alone for that."""
    answered: dict[int, datetime] = {}
    failed: dict[int, tuple[bool, Contact, bool]] = {}
    for one in finished:
        contact = one.contact
        if not contact.ours:
            continue
        if contact.error is None:
            answered[contact.meter_id] = max(contact.at, answered.get(contact.meter_id, contact.at))
        else:
            parks, other, _ = failed.get(contact.meter_id, (one.park, contact, False))
            if (one.park, contact.at) >= (parks, other.at):
                failed[contact.meter_id] = one.park, contact, one.refused
    let_in = {one.contact.meter_id for one in finished if one.let_in}
    visits = sorted((one for one in finished if one.missed is not None), key=lambda one: one.contact.at)
    missed = {one.contact.meter_id: " ".join(one.missed or ()) for one in visits}
    meters = sorted({*answered, *failed})
    parameters = {
        "meters": meters,
        "answered_at": [answered.get(meter_id) for meter_id in meters],
        "failed_at": [failed[meter_id][1].at if meter_id in failed else None for meter_id in meters],
        "error": [failed[meter_id][1].error if meter_id in failed else None for meter_id in meters],
        "park": [failed[meter_id][0] if meter_id in failed else False for meter_id in meters],
        "refused": [failed[meter_id][2] if meter_id in failed else False for meter_id in meters],
        "let_in": [meter_id in let_in for meter_id in meters],
        "missed": [missed.get(meter_id) for meter_id in meters],
        "refusals": PARKED_AFTER,
    }
    cursor = await connection.execute(statement("contacts"), parameters)
    for meter_id, name, reason in await cursor.fetchall():
        if reason is not None:
            log.error("meter_parked", meter_id=meter_id, meter=name, reason=reason)
        else:
            log.info("meter_unparked", meter_id=meter_id, meter=name)


async def _write_nameplates(connection: Connection, nameplates: Sequence[Nameplate]) -> None:
    if not nameplates:
        return
    parameters = {
        "meters": [one.meter_id for one in nameplates],
        "maker": [one.maker for one in nameplates],
        "model": [one.model for one in nameplates],
        "firmware": [one.firmware for one in nameplates],
        "at": [one.at for one in nameplates],
    }
    await connection.execute(statement("layouts_outdated"), parameters)
    await connection.execute(statement("nameplates"), parameters)


async def _write_ratios(connection: Connection, ratios: Sequence[MeterRatio]) -> None:
    if not ratios:
        return
    parameters = {
        "meters": [one.meter_id for one in ratios],
        "since": [one.since for one in ratios],
        "ct": [one.ct for one in ratios],
        "pt": [one.pt for one in ratios],
        "secondary": [one.secondary for one in ratios],
    }
    await connection.execute(statement("ratios_keep"), parameters)


async def _write_clock_checks(connection: Connection, checks: Sequence[ClockCheck]) -> None:
    if not checks:
        return
    parameters = {
        "meters": [one.meter_id for one in checks],
        "at": [one.at for one in checks],
        "drift_ms": [None if one.drift_s is None else round(one.drift_s * 1000) for one in checks],
        "uncertainty_ms": [round(one.uncertainty_s * 1000) for one in checks],
        "suspect": [one.suspect for one in checks],
        "set_to": [one.set_to for one in checks],
    }
    await connection.execute(statement("clock_checks"), parameters)
