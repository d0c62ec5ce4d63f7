"""Places, consumers, replacements, retirement and segments on both databases: what was stays known, dated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from interval_writer import Writer

from headend.meter_facts import load_facts
from headend.meter_page import as_plain, page
from headend.meter_types import MeterTypes
from headend.places import installations, replace_meter, retire_meter, set_meter
from headend.registry import Imported, find_meter, import_meters, list_meters, mark_silent
from headend.store.batch import write_batch
from headend.store.database import Connection
from headend.store.finished import Contact, Finished
from headend.store.rows import MeterIntervals
from headend.vault import Kek, Vault
from profiles.errors import SettingsError

TYPES = MeterTypes()
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HEADER = "name,serial,address,meter_type,commissioned_at,circle,division,feeder,transformer,consumer_id,segment"
OLD = "old,S1,tcp://127.0.0.1,is15959-1ph,2026-01-01T00:00Z,Bhopal,City,F1,T1,C1,"
NEW = "new,S2,tcp://127.0.0.2,is15959-1ph,2025-11-01T00:00Z,,,,,,"


async def take(connection: Connection, *rows: str, now: datetime = NOW, dry_run: bool = False) -> Imported:
    vault = Vault(Kek(bytes(32)))
    return await import_meters(connection, [HEADER, *rows], TYPES, vault, now=now, dry_run=dry_run)


async def asked(connection: Connection, query: bytes) -> list[tuple[object, ...]]:
    return await (await connection.execute(query)).fetchall()


async def history(connection: Connection, name: str) -> list[tuple[datetime, datetime | None, str, str]]:
    found = await installations(connection, (await find_meter(connection, name)).id)
    return [(each.installed_at, each.removed_at, each.transformer, each.consumer_id) for each in found]


async def segments(connection: Connection) -> dict[str, str | None]:
    cursor = await connection.execute("SELECT meter, segment FROM meter_status ORDER BY meter")
    return dict(await cursor.fetchall())


async def test_a_list_dates_what_changes_of_a_place_and_fills_in_what_nobody_knew(connection: Connection) -> None:
    assert await take(connection, OLD.replace("C1", ""), NEW) == Imported(created=2)
    assert await history(connection, "old") == [(START, None, "T1", "")]
    assert await history(connection, "new") == []
    assert await take(connection, OLD) == Imported(updated=1)
    assert await history(connection, "old") == [(START, None, "T1", "C1")]
    moved = OLD.replace("T1", "T2").replace("City", "Rural")
    assert await take(connection, moved, NEW, dry_run=True) == Imported(updated=1, unchanged=1)
    assert await take(connection, moved, NEW) == Imported(updated=1, unchanged=1)
    assert await take(connection, moved, NEW, now=NOW + DAY) == Imported(unchanged=2)
    assert await history(connection, "old") == [(NOW, None, "T2", "C1"), (START, NOW, "T1", "C1")]
    assert (await find_meter(connection, "old")).division == "Rural"
    rows = await asked(connection, b"SELECT meter, division, transformer, consumer_id, installed_at FROM meter_place")
    assert rows == [("old", "Rural", "T2", "C1", NOW)]


async def test_the_beginning_of_an_installation_follows_a_corrected_commissioning(connection: Connection) -> None:
    await take(connection, OLD)
    await take(connection, OLD.replace("2026-01-01", "2026-01-05"))
    assert await history(connection, "old") == [(START + 4 * DAY, None, "T1", "C1")]


async def test_consumers_come_and_go_and_each_interval_stays_with_its_own(
    connection: Connection, writer: Writer, reading: Callable[..., MeterIntervals]
) -> None:
    await take(connection, OLD)
    meter = await find_meter(connection, "old")
    await writer.write([reading(meter.id, 30, {"wh_import": [1, 2, 3]})])
    at = START + timedelta(hours=2, minutes=15)  # the second of them starts then
    assert await set_meter(connection, "S1", {"consumer_id": "C2"}, TYPES, now=NOW, at=at)
    assert not await set_meter(connection, "old", {"consumer_id": "C2"}, TYPES, now=NOW)
    rows = await asked(
        connection, b"SELECT consumer_id, transformer, kwh_import * 1000000 FROM load_profile ORDER BY starts_at"
    )
    assert rows == [("C1", "T1", 1), ("C2", "T1", 2), ("C2", "T1", 3)]
    assert await set_meter(connection, "old", {"consumer_id": "C3"}, TYPES, now=NOW, at=at)  # C2 was a mistake
    assert await history(connection, "old") == [(at, None, "T1", "C3"), (START, at, "T1", "C1")]
    with pytest.raises(SettingsError, match=r"its present installation began 2026-01-01T02:15:00Z.*later --at"):
        await set_meter(connection, "old", {"feeder": "F2"}, TYPES, now=NOW, at=START + timedelta(hours=1))
    with pytest.raises(SettingsError, match="still to come"):
        await set_meter(connection, "old", {"feeder": "F2"}, TYPES, now=NOW, at=NOW + DAY)


async def test_a_replacement_keeps_the_place_and_the_last_reading(connection: Connection) -> None:
    await take(connection, OLD + "cell 7", NEW)
    at = START + 20 * DAY
    await replace_meter(connection, "old", "S2", at=at, last_reading=Decimal("4812.6"), now=NOW)
    old, new = await find_meter(connection, "old"), await find_meter(connection, "new")
    [before] = await installations(connection, old.id)
    assert (before.removed_at, before.last_reading, before.replaced_by) == (at, Decimal("4812.6"), "new")
    assert await history(connection, "new") == [(at, None, "T1", "C1")]
    assert (old.state, new.state, new.division, new.commissioned_at) == ("retired", "registered", "City", at)
    assert [meter.name async for meter in list_meters(connection) if meter.state != "retired"] == ["new"]
    assert await segments(connection) == {"old": None, "new": "cell 7"}
    rows = await asked(connection, b"SELECT * FROM completeness('2026-01-20T00:00Z', '2026-01-23T00:00Z')")
    assert rows == [("City", 2, 96 + 192, 0)]
    rows = await asked(connection, b"SELECT * FROM completeness('2026-01-22T00:00Z', '2026-01-23T00:00Z')")
    assert rows == [("City", 1, 96, 0)]
    assert await take(connection, OLD + "cell 7", now=NOW) == Imported(unchanged=1)  # as a list of the utility goes on


async def test_what_can_replace_nothing_is_refused_and_nothing_changes(connection: Connection) -> None:
    await take(connection, OLD, NEW, NEW.replace("new,S2", "third,S3").replace(",,,,,,", ",,,,T9,,"))
    for old, new, at, told in (
        ("new", "old", NOW, "installed nowhere, so nothing can replace it there"),
        ("old", "third", NOW, "installed elsewhere already"),
        ("old", "old", NOW, "does not replace itself"),
        ("old", "nobody", NOW, "there is no meter 'nobody'"),
        ("old", "new", START, "its installation began 2026-01-01T00:00:00Z"),
        ("old", "new", NOW + DAY, "still to come"),
    ):
        with pytest.raises(SettingsError, match=told):
            await replace_meter(connection, old, new, at=at, last_reading=None, now=NOW)
    assert await history(connection, "old") == [(START, None, "T1", "C1")]
    assert len([meter async for meter in list_meters(connection)]) == 3


async def test_a_retired_meter_is_left_alone_until_it_is_taken_back(connection: Connection) -> None:
    await take(connection, OLD)
    gone, back = START + 10 * DAY, START + 12 * DAY
    await retire_meter(connection, "old", at=gone, last_reading=Decimal(7), now=NOW)
    assert [meter.state async for meter in list_meters(connection, state="retired")] == ["retired"]
    assert await asked(connection, b"SELECT starts_at, ends_at FROM owed_interval('2026-02-01Z')") == [(START, gone)]
    await write_batch(connection, [Finished(Contact(1, NOW))], now=NOW)
    assert await take(connection, OLD.replace("T1", "T2")) == Imported(unchanged=1)
    for act, told in (
        (retire_meter(connection, "old", at=NOW, last_reading=None, now=NOW), "retired already"),
        (set_meter(connection, "old", {"feeder": "F"}, TYPES, now=NOW), "with --state registered it is taken back"),
        (
            set_meter(connection, "old", {}, TYPES, now=NOW, at=START, state="registered"),
            "its last installation ended 2026-01-11",
        ),
    ):
        with pytest.raises(SettingsError, match=told):
            await act
    assert await set_meter(connection, "old", {"consumer_id": "C2"}, TYPES, now=NOW, at=back, state="registered")
    assert await history(connection, "old") == [(back, None, "T1", "C2"), (START, gone, "T1", "C1")]
    [meter] = [one async for one in list_meters(connection)]
    assert (meter.state, meter.commissioned_at, meter.division) == ("registered", back, "City")
    assert await segments(connection) == {"old": "transformer City / F1 / T1"}


async def test_a_meter_is_active_once_it_answered_and_silent_when_it_has_not_for_long(connection: Connection) -> None:
    await take(connection, OLD, NEW)
    await write_batch(connection, [Finished(Contact(1, NOW)), Finished(Contact(2, NOW, "no answer"))], now=NOW)
    assert [meter.state async for meter in list_meters(connection)] == ["active", "registered"]
    assert await mark_silent(connection, NOW) == 0
    assert await mark_silent(connection, NOW + DAY) == 1
    assert (await find_meter(connection, "old")).state == "silent"
    await write_batch(connection, [Finished(Contact(1, NOW + DAY))], now=NOW)
    assert (await find_meter(connection, "old")).state == "active"


async def test_meters_are_collected_with_their_line_their_transformer_or_in_buckets(connection: Connection) -> None:
    def row(name: str, address: str, transformer: str = "", segment: str = "") -> str:
        return f"{name},s{name},{address},is15959-1ph,2026-01-01,,City,,{transformer},,{segment}"

    first = (
        row("a", "hdlc+tcp://GW:4059?physical=17", "T1"),
        row("b", "tcp://127.0.0.1", "T1"),
        row("c", "serial:///dev/ttyUSB0?client=48"),
        row("d", "tcp://127.0.0.1:4060", "T1", "by hand"),
    )
    assert await take(connection, *first) == Imported(created=4)
    grid = "transformer City / T1"
    assert await segments(connection) == {"a": grid, "b": grid, "c": "bucket 0", "d": "by hand"}
    later = (
        row("e", "hdlc+tcp://gw?physical=18", "T2"),
        row("f", "serial:/dev/ttyUSB0?physical=2"),
        row("g", "tcp://[::1]"),
        row("h", "tcp://[::1]:4059", segment="by hand"),
    )
    await take(connection, *later)
    found = await segments(connection)
    gateway, port = "line gw:4059", "line /dev/ttyUSB0"
    assert list(found.items()) == [
        *(("a", gateway), ("b", grid), ("c", port), ("d", "by hand")),
        *(("e", gateway), ("f", port), ("g", "line [::1]:4059"), ("h", "by hand")),
    ]
    assert await take(connection, *first, *later) == Imported(unchanged=8)
    assert await segments(connection) == found
    assert await set_meter(connection, "b", {"segment": "by hand"}, TYPES, now=NOW)
    assert await set_meter(connection, "f", {"address": "tcp://127.0.0.9"}, TYPES, now=NOW)
    found = await segments(connection)
    assert (found["b"], found["f"]) == ("by hand", "bucket 0")


async def test_a_bucket_has_room_for_three_hundred_meters_and_a_line_for_all_behind_it(connection: Connection) -> None:
    def row(number: int, address: str) -> str:
        return f"m{number},s{number},{address},is15959-1ph,2026-01-01,,,,,,"

    await take(connection, *(row(n, f"tcp://127.2.{n // 200}.{n % 200}") for n in range(450)))
    await take(connection, *(row(n, f"tcp://127.3.{n // 200}.{n % 200}") for n in range(450, 700)))
    await take(connection, *(row(n, f"tcp://127.0.0.1?gateway={n:04x}") for n in range(700, 1050)))
    rows = await asked(
        connection,
        b"SELECT s.name, s.kind, count(*) FROM meter m JOIN segment s ON s.id = m.segment_id GROUP BY 1, 2 ORDER BY 1",
    )
    assert rows == [
        *(("bucket 0", "bucket", 300), ("bucket 1", "bucket", 300), ("bucket 2", "bucket", 100)),
        ("line 127.0.0.1:4059", "line", 350),
    ]


async def test_all_that_is_known_of_a_meter_is_shown_but_no_key(connection: Connection) -> None:
    key = "0A" * 16
    header = HEADER + ",encryption_key,system_title"
    vault = Vault(Kek(bytes(32)))
    for row in (OLD, OLD.replace("C1", "C2")):
        await import_meters(connection, [header, f"{row},{key},4D54523030303031"], TYPES, vault, now=NOW)
        key = "0B" * 16
    await connection.execute(
        "INSERT INTO invocation_counter (meter_key_id, system_title, highest) "
        "SELECT k.id, u.client_system_title, 2000000001 FROM meter_key k, utility u WHERE k.version = 2"
    )
    await write_batch(connection, [Finished(Contact(1, NOW + DAY, "hung up"))], now=NOW)
    await connection.execute("INSERT INTO clock_check VALUES (1, 2500, 100, %s, NULL, false)", (NOW,))
    facts = await load_facts(connection, "S1", TYPES, START + 2 * DAY)
    told = page(facts)
    for line in (
        "system title      4D54523030303031",
        "segment           transformer City / F1 / T1",
        "  2026-02-01      circle Bhopal, division City, feeder F1, transformer T1, consumer C2",
        "consumer C1, until 2026-02-01 00:00:00Z",
        "  last error      2026-02-02 00:00:00Z: hung up",
        "  owed            192 intervals in 1 ranges, the first from 2026-01-01 00:00:00Z",
        "  clock           +2.500 s, at 2026-02-01 00:00:00Z",
        "  encryption      version 2, active; our counter 2000000001, ALARM: near its end, change the key",
        "  encryption      version 1, retired",
    ):
        assert line in told, told
    plain = as_plain(facts)
    assert isinstance(plain, dict)
    assert plain["collected"]["owed_intervals"] == 192
    assert plain["meter"]["system_title"] == "4D54523030303031"
    for text in (told.upper(), repr(plain).upper()):
        assert "0A0A" not in text
        assert "0B0B" not in text
