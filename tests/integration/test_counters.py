"""Invocation counters on both databases: they rise, are spent before they are used, and believe little."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from drivers.credentials import MAX_COUNTER, CounterRange
from headend.store.counters import ALARM, MAX_STEP, client_title, highest, learn, record_received, reserve
from headend.store.database import Connection, Pool, borrow, connect
from headend.store.migrate import migrate
from profiles.errors import StoreError, UnbelievableCounter

OURS = b"HES00001"
LAPTOP = b"HES00002"
THEIRS = b"MTR00001"


@pytest.fixture
async def keys(connection: Connection, meters: list[int]) -> list[int]:
    cursor = await connection.execute(
        "INSERT INTO meter_key (meter_id, key_type, version, state, kek_id, nonce, ciphertext) "
        "SELECT id, 'encryption', 1, 'active', 'k', '123456789012', '' FROM meter RETURNING id"
    )
    return [key_id for (key_id,) in await cursor.fetchall()]


async def set_highest(connection: Connection, key_id: int, title: bytes, value: int) -> None:
    await connection.execute("INSERT INTO invocation_counter VALUES (%s, %s, %s)", (key_id, title, value))


async def test_a_set_of_keys_is_reserved_at_once_and_runs_follow_each_other(
    connection: Connection, keys: list[int]
) -> None:
    assert await reserve(connection, keys[:3], OURS, 64) == dict.fromkeys(keys[:3], CounterRange(1, 65))
    assert await reserve(connection, keys[2:4], OURS, 8) == {
        keys[2]: CounterRange(65, 73),
        keys[3]: CounterRange(1, 9),
    }


async def test_every_issuer_has_its_own_counter_under_a_key(connection: Connection, keys: list[int]) -> None:
    await reserve(connection, keys[:1], OURS, 64)
    assert await reserve(connection, keys[:1], LAPTOP, 64) == {keys[0]: CounterRange(1, 65)}


async def test_workers_at_once_never_get_the_same_counter(pool: Pool, keys: list[int]) -> None:
    async def worker() -> list[CounterRange]:
        runs: list[CounterRange] = []
        async with borrow(pool) as connection:
            for _ in range(10):
                runs += (await reserve(connection, keys, OURS, 7)).values()
        return runs

    of_workers = await asyncio.gather(*(worker() for _ in range(5)))
    starts = [run.next for runs in of_workers for run in runs]
    assert sorted(starts) == sorted([1 + 7 * n for n in range(50)] * len(keys))


async def test_what_is_reserved_is_durable_before_it_is_used(dsn: str, connection: Connection, keys: list[int]) -> None:
    await reserve(connection, keys[:1], OURS, 64)
    await connection.close()
    async with await connect(dsn) as other:
        assert await reserve(other, keys[:1], OURS, 64) == {keys[0]: CounterRange(65, 129)}


async def test_nothing_is_reserved_inside_a_transaction(connection: Connection, keys: list[int]) -> None:
    async with connection.transaction():
        with pytest.raises(StoreError, match="not reserved inside a transaction"):
            await reserve(connection, keys[:1], OURS, 64)


async def test_a_high_counter_raises_an_alarm(connection: Connection, keys: list[int]) -> None:
    await set_highest(connection, keys[0], OURS, ALARM - 65)
    with capture_logs() as logs:
        await reserve(connection, keys[:1], OURS, 64)
        assert logs == []
        await reserve(connection, keys[:1], OURS, 64)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("invocation_counter_high", "warning")]
    cursor = await connection.execute("SELECT count(*) FROM meter_status WHERE counter_alarm")
    assert await cursor.fetchone() == (1,)


async def test_a_counter_near_its_end_is_refused_and_the_others_go_on(connection: Connection, keys: list[int]) -> None:
    await set_highest(connection, keys[0], OURS, MAX_COUNTER - 63)
    await set_highest(connection, keys[1], OURS, MAX_COUNTER - 64)
    with capture_logs() as logs:
        runs = await reserve(connection, keys[:3], OURS, 64)
    assert runs == {keys[1]: CounterRange(MAX_COUNTER - 63, MAX_COUNTER + 1), keys[2]: CounterRange(1, 65)}
    assert {"event": "invocation_counter_used_up", "key_id": keys[0], "wanted": 64, "log_level": "error"} in logs
    assert (await highest(connection, keys[:1]))[keys[0], OURS] == MAX_COUNTER - 63


async def test_hearsay_raises_a_counter_by_a_step_and_lowers_nothing(connection: Connection, keys: list[int]) -> None:
    assert await learn(connection, keys[0], OURS, 500) == 500
    assert await reserve(connection, keys[:1], OURS, 10) == {keys[0]: CounterRange(501, 511)}
    assert await learn(connection, keys[0], OURS, 3) == 510
    assert await learn(connection, keys[0], OURS, 510 + MAX_STEP) == 510 + MAX_STEP
    assert await learn(connection, keys[0], OURS, 600 + MAX_STEP, max_step=90) == 600 + MAX_STEP


@pytest.mark.parametrize("known", [None, 40])
async def test_hearsay_beyond_a_step_is_not_believed(
    connection: Connection, keys: list[int], known: int | None
) -> None:
    if known is not None:
        await set_highest(connection, keys[0], OURS, known)
    for forged in ((known or 0) + MAX_STEP + 1, MAX_COUNTER):
        with pytest.raises(UnbelievableCounter, match=str(forged)):
            await learn(connection, keys[0], OURS, forged)
    assert await highest(connection, keys[:1]) == ({} if known is None else {(keys[0], OURS): known})


async def test_a_received_counter_rises_strictly(connection: Connection, keys: list[int]) -> None:
    one, two = (keys[0], THEIRS), (keys[1], THEIRS)
    assert await record_received(connection, {one: 7, two: 0}) == set()
    assert await record_received(connection, {one: 7, two: 1}) == {one}
    assert await record_received(connection, {one: 6, two: 2}) == {one}
    assert await record_received(connection, {one: 8}) == set()
    assert await highest(connection, keys[:2]) == {one: 8, two: 2}


async def test_received_counters_go_with_the_transaction_that_settles_them(
    connection: Connection, keys: list[int]
) -> None:
    async with connection.transaction(force_rollback=True):
        await record_received(connection, {(keys[0], THEIRS): 7})
    assert await highest(connection, keys[:1]) == {}


async def test_each_database_draws_a_client_title_of_its_own(connection: Connection, empty_dsn: str) -> None:
    title = await client_title(connection)
    assert len(title) == 8
    assert await client_title(connection) == title
    await migrate(empty_dsn)
    async with await connect(empty_dsn) as other:
        assert await client_title(other) != title
