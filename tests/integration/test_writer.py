"""The writer on both databases: every interval once, whatever is written, again, late, at once or cut short."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interval_writer import Writer
from psycopg import sql

from headend.store.database import Connection, connect, edition, open_pool
from headend.store.embedded import EmbeddedPostgres
from headend.store.migrate import migrate
from headend.store.rows import MeterIntervals, Source
from headend.store.writer import Written
from profiles.errors import StoreError
from profiles.intervals import Extra, Quality, Suspect
from profiles.objects import Obis

Reading = Callable[..., MeterIntervals]
MIDNIGHT = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India: commissioning of every meter here."""
CORRECTED = int(Quality.CORRECTED)


async def stored(connection: Connection, meter_id: int) -> list[tuple[Any, ...]]:
    """(slot, voltage, current, wh_import, hour of read_at, quality, source) of each row."""
    cursor = await connection.execute(
        "SELECT (extract(epoch FROM ts - %s) / 900)::int, voltage, current, wh_import, "
        "(extract(epoch FROM read_at - %s) / 3600)::int, quality, source "
        "FROM interval_reading WHERE meter_id = %s ORDER BY ts",
        (MIDNIGHT, MIDNIGHT, meter_id),
    )
    return await cursor.fetchall()


async def revisions(connection: Connection, meter_id: int) -> list[tuple[Any, ...]]:
    """(slot, voltage, hour of read_at) of each losing row."""
    cursor = await connection.execute(
        "SELECT (extract(epoch FROM ts - %s) / 900)::int, voltage, (extract(epoch FROM read_at - %s) / 3600)::int "
        "FROM reading_revision WHERE meter_id = %s ORDER BY ts, read_at",
        (MIDNIGHT, MIDNIGHT, meter_id),
    )
    return await cursor.fetchall()


async def settled(connection: Connection, meter_id: int) -> int:
    """The watermark, in slots from commissioning."""
    cursor = await connection.execute(
        "SELECT (extract(epoch FROM settled - %s) / 900)::int FROM watermark WHERE meter_id = %s", (MIDNIGHT, meter_id)
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def count(connection: Connection, table: str) -> int:
    row = await (await connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))).fetchone()
    assert row is not None
    return int(row[0])


async def test_what_is_written_stands_in_the_table(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    item = reading(meters[0], 0, {"voltage": [230_000, None], "wh_import": [5, -6]}, quality=2, source=Source.BACKFILL)
    assert await writer.write([item]) == Written(inserted=2)
    assert await stored(connection, meters[0]) == [
        (0, 230_000, None, 5, 24, 2, Source.BACKFILL),
        (1, None, None, -6, 24, 2, Source.BACKFILL),
    ]


async def test_meters_with_other_columns_share_a_batch(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    items = [
        reading(meters[2], 0, {"voltage_l1": [1], "meter_health": [7]}),
        reading(meters[0], 4, {"voltage": [2], "current": [3]}),
        reading(meters[1], 0, {}),
    ]
    assert await writer.write(items) == Written(inserted=2)
    cursor = await connection.execute(
        "SELECT meter_id, voltage, current, voltage_l1, meter_health FROM interval_reading ORDER BY meter_id"
    )
    assert await cursor.fetchall() == [(meters[0], 2, 3, None, None), (meters[2], None, None, 1, 7)]


async def test_the_largest_and_smallest_integers_are_kept(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[0], 0, {"voltage": [2**63 - 1], "current": [-(2**63)]})])
    assert (await stored(connection, meters[0]))[0][1:3] == (2**63 - 1, -(2**63))


async def test_writing_again_changes_nothing_and_writes_no_wal(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    items = [reading(meter, 0, {"voltage": list(range(96))}) for meter in meters]
    assert await writer.write(items) == Written(inserted=96 * 20)
    cursor = await connection.execute("SELECT max(ctid::text), max(xmin::text::bigint) FROM interval_reading")
    before = await cursor.fetchall()
    late = [replace(item, read_at=item.read_at + timedelta(days=1)) for item in items]
    assert await writer.write(late) == Written(unchanged=96 * 20)
    cursor = await connection.execute("SELECT max(ctid::text), max(xmin::text::bigint) FROM interval_reading")
    assert await cursor.fetchall() == before


@pytest.mark.parametrize("first", [1, 2], ids=["in order of reading", "the later read first"])
async def test_the_later_read_wins_and_the_other_is_kept_as_a_revision(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading, first: int
) -> None:
    reads = {n: reading(meters[0], 3, {"voltage": [n * 100]}, read_at=24 + n) for n in (1, 2)}
    await writer.write([reads[first]])
    written = await writer.write([reads[3 - first]])
    assert written == Written(updated=1, revisions=1)
    assert await stored(connection, meters[0]) == [(3, 200, None, None, 26, CORRECTED, Source.SCHEDULED)]
    assert await revisions(connection, meters[0]) == [(3, 100, 25)]
    assert await writer.write(list(reads.values())) == Written(unchanged=2)
    assert await revisions(connection, meters[0]) == [(3, 100, 25)]


async def test_a_null_never_replaces_a_value(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    meter = meters[0]
    await writer.write([reading(meter, 0, {"voltage": [1, 2]}, read_at=24, source=Source.PUSH, quality=1)])
    poll = reading(meter, 0, {"voltage": [None, 2], "current": [8, 9]}, read_at=25, quality=2)
    assert await writer.write([poll]) == Written(updated=2)
    assert await stored(connection, meter) == [
        (0, 1, 8, None, 25, 1 | 2, Source.SCHEDULED),
        (1, 2, 9, None, 25, 2, Source.SCHEDULED),
    ]
    assert await revisions(connection, meter) == []


async def test_two_reads_of_one_meter_in_one_batch_both_count(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    first = reading(meters[0], 0, {"voltage": [1, 2, 3]}, read_at=24)
    second = reading(meters[0], 1, {"voltage": [2, 4, 5]}, read_at=25)
    assert await writer.write([first, second]) == Written(inserted=4, updated=1, unchanged=1, revisions=1)
    assert [row[:2] for row in await stored(connection, meters[0])] == [(0, 1), (1, 2), (2, 4), (3, 5)]
    assert await settled(connection, meters[0]) == 4


async def test_what_lost_within_its_own_read_goes_to_the_revisions_once(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    third = reading(meters[0], 0, {"voltage": [3]}).batch
    second = replace(reading(meters[0], 0, {"voltage": [2]}).batch, revisions=third)
    item = reading(meters[0], 0, {"voltage": [1]}, revisions=second)
    assert await writer.write([item]) == Written(inserted=1, revisions=2)
    assert await writer.write([item]) == Written(unchanged=1)
    assert sorted(row[1] for row in await revisions(connection, meters[0])) == [2, 3]


async def test_suspects_and_extras_are_stored_once(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    start = int(MIDNIGHT.timestamp()) * 1_000_000
    item = reading(
        meters[0],
        0,
        {"voltage": [1]},
        suspects=(Suspect("in the future", b"\xff" * 12, b"row"), Suspect("off the grid", b"", b"other")),
        extras=(
            Extra(start, 3, Obis(1, 0, 99, 7, 0), 2, Decimal("1.23456"), 30, b"\x06\0\0\0\1"),
            Extra(start, 1, Obis(0, 128, 1, 2, 3), 2, None, None, b"\x09\x01a"),
        ),
    )
    assert await writer.write([item]) == Written(inserted=1, suspects=2, extras=2)
    later = replace(item, read_at=item.read_at + timedelta(days=1))
    assert await writer.write([item, later]) == Written(unchanged=2)
    cursor = await connection.execute("SELECT reason, stamp, raw, read_at FROM suspect_row ORDER BY reason")
    assert await cursor.fetchall() == [
        ("in the future", b"\xff" * 12, b"row", item.read_at),
        ("off the grid", b"", b"other", item.read_at),
    ]
    cursor = await connection.execute(
        "SELECT ts, class_id, obis, value, unit, raw FROM interval_extra ORDER BY class_id"
    )
    assert await cursor.fetchall() == [
        (MIDNIGHT, 1, "0.128.1.2.3.255", None, None, b"\x09\x01a"),
        (MIDNIGHT, 3, "1.0.99.7.0.255", Decimal("1.23456"), 30, b"\x06\0\0\0\1"),
    ]


async def test_a_later_extra_replaces_an_earlier_one_in_either_order(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    start = int(MIDNIGHT.timestamp()) * 1_000_000
    reads = [
        reading(meters[0], 0, {}, read_at=hour, extras=(Extra(start, 3, Obis(1, 0, 99, 7, 0), 2, None, None, raw),))
        for hour, raw in ((25, b"later"), (24, b"earlier"))
    ]
    for read in reads:
        await writer.write([read])
    cursor = await connection.execute("SELECT raw FROM interval_extra")
    assert await cursor.fetchall() == [(b"later",)]


async def test_the_watermark_moves_to_the_first_gap(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    meter, steps = meters[0], []
    for slot, rows in ((2, 2), (0, 1), (6, 2), (1, 1), (4, 2), (8, 4)):
        await writer.write([reading(meter, slot, {"voltage": [1] * rows})])
        steps.append(await settled(connection, meter))
    assert steps == [0, 1, 1, 4, 8, 12]


async def test_the_watermark_follows_a_change_of_the_interval(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    meter = meters[0]
    await writer.write([reading(meter, 1, {"voltage": [1, 1]}, interval_s=1800)])
    await writer.write([reading(meter, 6, {"voltage": [1]})])
    await writer.write([reading(meter, 0, {"voltage": [1]}, interval_s=1800)])
    assert await settled(connection, meter) == 7


async def test_the_watermark_begins_at_the_first_slot_after_commissioning(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await connection.execute("UPDATE meter SET commissioned_at = %s", (MIDNIGHT + timedelta(minutes=16),))
    await writer.write([reading(meters[0], 0, {"voltage": [1]})])
    assert await settled(connection, meters[0]) == 2


async def test_an_unknown_meter_is_refused_and_nothing_is_stored(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    with pytest.raises(StoreError, match="no meter with id 999999") as refused:
        await writer.write([reading(meter, 0, {"voltage": [1]}) for meter in (meters[0], 999_999)])
    assert not refused.value.retry
    assert await count(connection, "interval_reading") == 0


async def test_intervals_far_apart_find_their_partitions(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    slots = [0, 96 * 7, 96 * 400, -96 * 30]
    assert await writer.write([reading(meters[0], slot, {"voltage": [1]}) for slot in slots]) == Written(inserted=4)
    assert [row[0] for row in await stored(connection, meters[0])] == sorted(slots)


async def test_a_partition_dropped_meanwhile_is_made_again(postgres_dsn: str, reading: Reading) -> None:
    connection = await connect(postgres_dsn)
    pool = await open_pool(postgres_dsn)
    async with connection, pool:
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "VALUES ('m', 's', 'a', 't', '', %s, 900)",
            (MIDNIGHT,),
        )
        writer = Writer(pool, "postgresql")
        await writer.write([reading(1, 0, {"voltage": [1]})])
        await connection.execute("DROP TABLE interval_reading_20251229")
        assert await writer.write([reading(1, 0, {"voltage": [1]})]) == Written(inserted=1)


async def test_writers_of_overlapping_batches_at_once_store_every_interval_once(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    batches = []
    for number in range(8):
        items = [reading(meter, 20 * number, {"voltage": [meter] * 60}) for meter in meters]
        random.Random(number).shuffle(items)
        batches.append(items)
    written = sum(await asyncio.gather(*map(writer.write, batches)), Written())
    assert written == Written(inserted=200 * 20, unchanged=(8 * 60 - 200) * 20)
    assert await count(connection, "interval_reading") == 200 * 20
    assert {await settled(connection, meter) for meter in meters} == {200}


async def test_a_row_that_another_program_stored_meanwhile_is_merged(
    writer: Writer, dsn: str, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meters[1], 0, {"voltage": [1]})])  # the partition
    async with await connect(dsn) as other:
        async with other.transaction():
            await other.execute(
                "INSERT INTO interval_reading (meter_id, interval_s, ts, read_at, quality, source, voltage) "
                "VALUES (%s, 900, %s, %s, 0, 5, 77)",
                (meters[0], MIDNIGHT, MIDNIGHT),
            )
            write = asyncio.create_task(writer.write([reading(meters[0], 0, {"voltage": [1, 2]})]))
            await wait_until_blocked(connection)
        assert await write == Written(inserted=1, updated=1, revisions=1)
    assert [row[:2] for row in await stored(connection, meters[0])] == [(0, 1), (1, 2)]
    assert await settled(connection, meters[0]) == 2


async def wait_until_blocked(connection: Connection) -> None:
    for _ in range(500):
        cursor = await connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if await cursor.fetchone() is not None:
            return
        await asyncio.sleep(0.01)
    pytest.fail("nobody waits for a lock")


async def test_a_deadlock_with_another_program_is_written_again(
    writer: Writer, dsn: str, connection: Connection, meters: list[int], reading: Reading
) -> None:
    await writer.write([reading(meter, 0, {"voltage": [1]}) for meter in meters[:2]])
    async with await connect(dsn) as other:
        await other.execute("SET deadlock_timeout = '20s'")
        async with other.transaction():
            await other.execute("SELECT FROM watermark WHERE meter_id = %s FOR UPDATE", (meters[1],))
            write = asyncio.create_task(writer.write([reading(m, 1, {"voltage": [1]}) for m in meters[:2]]))
            await wait_until_blocked(connection)
            await other.execute("SELECT FROM watermark WHERE meter_id = %s FOR UPDATE", (meters[0],))
        assert await write == Written(inserted=2)


@dataclass
class Row:
    """The model: what one interval ends up as."""

    read_at: int
    quality: int
    values: tuple[int | None, ...]


def merged(old: Row | None, new: Row, lost: set[tuple[int, tuple[int | None, ...]]]) -> Row:
    if old is None or old.values == new.values:
        return old or new
    later, earlier = (new, old) if new.read_at > old.read_at else (old, new)
    pairs = list(zip(later.values, earlier.values, strict=True))
    values = tuple(e if value is None else value for value, e in pairs)
    conflict = any(value is not None and e is not None and value != e for value, e in pairs)
    if conflict:
        lost.add((earlier.read_at, earlier.values))
    elif values == old.values:
        return old
    kept = any(value is None and e is not None for value, e in pairs)
    quality = later.quality | (earlier.quality if kept else earlier.quality & CORRECTED)
    return Row(later.read_at, quality | CORRECTED * conflict, values)


values = st.tuples(*[st.none() | st.integers(1, 2)] * 3)
reads = st.lists(st.tuples(st.integers(24, 26), st.sampled_from([0, 1, 2]), values), min_size=1, max_size=6)
meter_numbers = itertools.count(1000)


async def new_meter(connection: Connection) -> int:
    number = next(meter_numbers)
    cursor = await connection.execute(
        "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
        "VALUES (%s, %s, 'a', 't', '', %s, 900) RETURNING id",
        (f"m{number}", f"s{number}", MIDNIGHT),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=reads)
async def test_merging_follows_the_model(
    writer: Writer, connection: Connection, reading: Reading, reads: list[tuple[int, int, tuple[int | None, ...]]]
) -> None:
    meter, expected, lost = await new_meter(connection), None, set[tuple[int, tuple[int | None, ...]]]()
    for read_at, quality, (voltage, current, energy) in reads:
        columns = {"voltage": [voltage], "current": [current], "wh_import": [energy]}
        await writer.write([reading(meter, 0, columns, read_at=read_at, quality=quality)])
        expected = merged(expected, Row(read_at, quality, (voltage, current, energy)), lost)
    assert expected is not None
    assert [row[1:6] for row in await stored(connection, meter)] == [
        (*expected.values, expected.read_at, expected.quality)
    ]
    cursor = await connection.execute(
        "SELECT (extract(epoch FROM read_at - %s) / 3600)::int, voltage, current, wh_import "
        "FROM reading_revision WHERE meter_id = %s",
        (MIDNIGHT, meter),
    )
    kept = await cursor.fetchall()
    assert len(kept) == len(lost)
    assert {(row[0], row[1:]) for row in kept} == lost


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([1, 2, 3, 4]))
async def test_the_order_of_writing_does_not_matter(
    writer: Writer, connection: Connection, reading: Reading, order: list[int]
) -> None:
    meter = await new_meter(connection)
    for n in order:
        await writer.write([reading(meter, 0, {"voltage": [n], "current": [10 * n]}, read_at=24 + n)])
    assert await stored(connection, meter) == [(0, 4, 40, None, 28, CORRECTED, Source.SCHEDULED)]
    assert await revisions(connection, meter) == [(0, n, 24 + n) for n in (1, 2, 3)]


WRITE_FOR_EVER = """
import asyncio, sys
sys.path.append(sys.argv[4])
from datetime import datetime, timedelta
import numpy as np
from headend.store.database import connect, edition, open_pool
from headend.store.rows import MeterIntervals, Source, microseconds
from interval_writer import Writer
from profiles.intervals import IntervalBatch

MIDNIGHT = datetime.fromisoformat("2025-12-31T18:30Z")

def batch(day):
    start = microseconds(MIDNIGHT) + (96 * day + np.arange(96)) * 900_000_000
    return IntervalBatch(start, 900, np.zeros(96, np.int32), {"voltage": np.arange(96)}, {})

async def main(dsn, meters, days):
    async with await connect(dsn) as connection:
        writer = Writer(await open_pool(dsn), await edition(connection))
    print("begins", flush=True)
    for day in range(days):
        read_at = MIDNIGHT + timedelta(days=40)
        await writer.write([MeterIntervals(meter, batch(day), read_at, Source.FILE) for meter in meters])
    print("done", flush=True)

asyncio.run(main(sys.argv[1], [int(m) for m in sys.argv[3].split(",")], int(sys.argv[2])))
"""


async def test_a_writer_killed_in_mid_batch_leaves_whole_batches_and_writing_again_mends_it(
    dsn: str, connection: Connection, meters: list[int]
) -> None:
    command = (sys.executable, "-c", WRITE_FOR_EVER, dsn)
    of = ",".join(map(str, meters))
    for pause in (0.0, 0.03, 0.06):
        process = await asyncio.create_subprocess_exec(
            *command, "300", of, str(Path(__file__).parent), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begins\n"
        await asyncio.sleep(pause)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        cursor = await connection.execute("SELECT mod(count(*), 96 * 20) FROM interval_reading")
        assert await cursor.fetchone() == (0,)
    process = await asyncio.create_subprocess_exec(
        *command, "30", of, str(Path(__file__).parent), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.endswith(b"done\n")
    cursor = await connection.execute(
        "SELECT meter_id, count(*), count(DISTINCT ts) FROM interval_reading WHERE ts < %s GROUP BY meter_id",
        (MIDNIGHT + timedelta(days=30),),
    )
    assert sorted(await cursor.fetchall()) == [(meter, 96 * 30, 96 * 30) for meter in meters]


async def test_a_connection_lost_in_mid_batch_is_a_store_error_and_nothing_is_half_written(
    writer: Writer, dsn: str, connection: Connection, meters: list[int], reading: Reading
) -> None:
    start = int(MIDNIGHT.timestamp()) * 1_000_000
    extra = Extra(start, 1, Obis(0, 128, 1, 2, 3), 2, None, None, b"\0")
    item = reading(meters[0], 0, {"voltage": list(range(96))}, extras=(extra,))
    await writer.write([reading(meters[1], 0, {"voltage": [1]})])
    async with await connect(dsn) as other, other.transaction():
        await other.execute("LOCK TABLE interval_extra IN ACCESS EXCLUSIVE MODE")
        write = asyncio.create_task(writer.write([item]))
        await wait_until_blocked(connection)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with pytest.raises(StoreError) as lost:
            await write
    assert lost.value.retry
    assert await stored(connection, meters[0]) == []
    assert await writer.write([item]) == Written(inserted=96, extras=1)
    assert await settled(connection, meters[0]) == 96


async def test_a_database_restarted_in_mid_batch_is_a_store_error_and_the_batch_can_be_written_after(
    service_folder: Path, reading: Reading
) -> None:
    server = EmbeddedPostgres(service_folder)
    dsn = server.start()
    try:
        await migrate(dsn)
        connection = await connect(dsn)
        await connection.execute(
            "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
            "VALUES ('m', 's', 'a', 't', '', %s, 900)",
            (MIDNIGHT,),
        )
        pool = await open_pool(dsn)
        writer = Writer(pool, await edition(connection))
        start = int(MIDNIGHT.timestamp()) * 1_000_000
        extra = Extra(start, 1, Obis(0, 128, 1, 2, 3), 2, None, None, b"\0")
        item = reading(1, 0, {"voltage": list(range(96))}, extras=(extra,))
        await writer.write([reading(1, 100, {"voltage": [1]})])
        holder = await connect(dsn)
        await holder.execute("BEGIN")
        await holder.execute("LOCK TABLE interval_extra IN ACCESS EXCLUSIVE MODE")
        write = asyncio.create_task(writer.write([item]))
        await wait_until_blocked(connection)
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreError) as lost:
            await write
        assert lost.value.retry
        await pool.close()

        dsn = await asyncio.to_thread(server.start)
        async with await connect(dsn) as connection, await open_pool(dsn) as pool:
            assert [row[0] for row in await stored(connection, 1)] == [100]
            assert await count(connection, "interval_extra") == 0
            assert await Writer(pool, "postgresql").write([item]) == Written(inserted=96, extras=1)
            assert await settled(connection, 1) == 96
    finally:
        server.stop()


async def test_a_batch_that_the_database_refuses_in_part_is_not_stored_at_all(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    start = int(MIDNIGHT.timestamp()) * 1_000_000
    no_attribute = Extra(start, 1, Obis(0, 128, 1, 2, 3), 40_000, None, None, b"\0")
    with pytest.raises(StoreError, match="smallint out of range") as refused:
        await writer.write([reading(meters[0], 0, {"voltage": [1]}, extras=(no_attribute,))])
    assert not refused.value.retry
    assert await count(connection, "interval_reading") == 0
    assert await count(connection, "watermark") == 0


async def test_an_interval_of_no_possible_year_is_refused(
    writer: Writer, connection: Connection, meters: list[int], reading: Reading
) -> None:
    good = reading(meters[0], 0, {"voltage": [1]})
    bad = replace(good, meter_id=meters[1], batch=replace(good.batch, start=np.array([2**62], np.int64)))
    with pytest.raises(StoreError, match="does not start in 2000 to 2099"):
        await writer.write([good, bad])
    assert await count(connection, "interval_reading") == 0
