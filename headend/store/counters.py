"""Invocation counters in the database: ours by (key, our system title), a meter's by (key, its system title).

The one rule: they only rise, and ours are committed as spent before the first of them is used. A pair (title,
counter) that comes twice under one key breaks AES-GCM (NIST SP 800-38D, 8), so a crash skips what it had reserved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from psycopg.pq import TransactionStatus

from drivers.credentials import MAX_COUNTER, CounterRange
from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.errors import StoreError, UnbelievableCounter

ALARM: Final = 2_000_000_000
"""From here on the key is to be changed; `invocation_counter.alarm` shows it."""

MAX_STEP: Final = 1_000_000

log = structlog.get_logger(__name__)


async def client_title(connection: Connection) -> bytes:
    """The system title, 8 octets, under which this head-end spends counters. Raises StoreError."""
    async with store_errors():
        row = await (await connection.execute(statement("client_title"))).fetchone()
    assert row is not None, "a migration made the one row"
    return bytes(row[0])


async def renew_title(connection: Connection) -> bytes:
    """Draw another title for this head-end, which a database that has forgotten counters needs. Raises StoreError."""
    async with store_errors():
        row = await (await connection.execute(statement("client_title_renew"))).fetchone()
    assert row is not None, "a migration made the one row"
    return bytes(row[0])


async def reserve(connection: Connection, key_ids: Sequence[int], title: bytes, n: int) -> dict[int, CounterRange]:
    """Spend `n` counters of each key for the issuer `title`: by key id (of `meter_key`), committed on return.

    A key with fewer than `n` left is not in the answer (and logged): it has to be changed. Raises StoreError, also
    inside a transaction, whose rollback would give the same counters out again.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise StoreError("counters are not reserved inside a transaction", retry=False)
    keys = sorted(set(key_ids))
    async with store_errors():
        cursor = await connection.execute(statement("counter_reserve"), {"keys": keys, "title": title, "n": n})
        rows = await cursor.fetchall()
    for key_id, first, alarm in rows:
        if alarm:
            log.warning("invocation_counter_high", key_id=key_id, counter=first + n - 1, alarm_at=ALARM)
    reserved = {key_id: CounterRange(first, first + n) for key_id, first, _ in rows}
    for key_id in keys:
        if key_id not in reserved:
            log.error("invocation_counter_used_up", key_id=key_id, wanted=n)
    return reserved


async def learn(connection: Connection, key_id: int, title: bytes, seen: int, *, max_step: int = MAX_STEP) -> int:
    """Take the meter's word, given in clear, for the highest counter of ours that it has seen.

    Such a word can be forged: it raises ours by at most `max_step`, and lowers nothing. Returns the highest counter
    that counts as spent now. Raises UnbelievableCounter for more: the meter is parked until someone has looked.
    """
    parameters = {"key": key_id, "title": title, "seen": min(seen, MAX_COUNTER), "max_step": max_step}
    async with store_errors():
        row = await (await connection.execute(statement("counter_learn"), parameters)).fetchone()
    if row is None:
        raise UnbelievableCounter(
            f"the meter says that it has seen our invocation counter at {seen}, more than {max_step} above ours",
            remedy="a forged answer, or another head-end's work: look, then `headend meters unpark --accept-counter`",
        )
    return int(row[0])


async def highest(connection: Connection, key_ids: Sequence[int]) -> dict[tuple[int, bytes], int]:
    """The highest counters settled under these keys, by (key id, system title): ours and the meters'."""
    async with store_errors():
        cursor = await connection.execute(statement("counter_load"), {"keys": sorted(set(key_ids))})
        return {(key_id, bytes(title)): highest for key_id, title, highest in await cursor.fetchall()}


async def record_received(connection: Connection, counters: Mapping[tuple[int, bytes], int]) -> set[tuple[int, bytes]]:
    """Settle the highest counter received by (key id, meter's system title), in the caller's transaction.

    Returns those that do not rise above what is settled: a replay, or another node took the same APDU. Raises
    StoreError.
    """
    order = sorted(counters)
    parameters = {
        "keys": [key_id for key_id, _ in order],
        "titles": [title for _, title in order],
        "counters": [counters[each] for each in order],
    }
    async with store_errors():
        cursor = await connection.execute(statement("counter_received"), parameters)
        return set(order) - {(key_id, bytes(title)) for key_id, title in await cursor.fetchall()}
