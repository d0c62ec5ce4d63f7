"""The registry on both databases: a list is taken whole or not at all, and its faults are told by line and column."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.dlms.security import Key, Secret
from drivers.reading import Layout
from headend.meter_types import MeterTypes, with_quirks
from headend.registry import Imported, find_meter, import_meters, list_meters, park, unpark
from headend.store.batch import write_batch
from headend.store.database import Connection
from headend.store.finished import Contact, Finished
from headend.store.layouts import load_layouts, save_layouts
from headend.vault import Kek, Vault
from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.objects import Obis, ScalerUnit
from simulators.fleet import Fleet

TYPES = {"is15959-1ph": load_meter_type("is15959-1ph")}
HEADER = "name,serial,address,meter_type,commissioned_at,division,system_title,encryption_key,lls_secret"
ROW = "m1,SN1,tcp://127.0.0.1:4059,is15959-1ph,2026-01-01,Bhopal city,4D54523030303031," + "0A" * 16 + ",hex:3132"
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def vault() -> Vault:
    return Vault(Kek(bytes(32)))


async def take(connection: Connection, vault: Vault, *lines: str) -> Imported:
    return await import_meters(connection, lines, TYPES, vault, now=NOW)


async def count(connection: Connection) -> tuple[int, int]:
    cursor = await connection.execute("SELECT (SELECT count(*) FROM meter), (SELECT count(*) FROM meter_key)")
    meters, keys = await cursor.fetchone() or (-1, -1)
    return meters, keys


async def test_a_listed_meter_is_registered_with_its_keys(connection: Connection, vault: Vault) -> None:
    assert await take(connection, vault, HEADER, ROW) == Imported(created=1, keys=2)
    [meter] = [one async for one in list_meters(connection)]
    assert (meter.name, meter.serial, meter.division, meter.interval_s) == ("m1", "SN1", "Bhopal city", 900)
    assert meter.system_title == b"MTR00001"
    assert meter.commissioned_at == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
    keys = (await vault.get(connection, [meter.id]))[meter.id]
    assert keys["encryption"].material == Key(b"\x0a" * 16)
    assert keys["lls_secret"].material == Secret(b"12")


async def test_the_list_of_a_simulated_fleet_is_taken_and_the_second_time_changes_nothing(
    connection: Connection, vault: Vault
) -> None:
    fleet = Fleet(7, 5000, {"Bhopal city": 3, "Betul": 1}, datetime(2026, 1, 1, tzinfo=UTC))
    stream = io.StringIO()
    fleet.write_registry(stream, port=4059, meter_type="is15959-1ph")
    lines = stream.getvalue().splitlines()
    assert await take(connection, vault, *lines) == Imported(created=5000, keys=20_000)
    cursor = await connection.execute("SELECT sum(xmin::text::bigint) FROM meter")
    before = await cursor.fetchone()
    assert await take(connection, vault, *lines) == Imported(unchanged=5000)
    cursor = await connection.execute("SELECT sum(xmin::text::bigint) FROM meter")
    assert await cursor.fetchone() == before
    assert [meter.id async for meter in list_meters(connection)] == list(range(1, 5001))


async def test_a_meter_type_may_be_named_with_its_quirks(connection: Connection, vault: Vault, tmp_path: Path) -> None:
    """As a simulated fleet of such meters names it; also of a type from a file."""
    own = tmp_path / "is15959-own.toml"
    own.write_text('extends = "is15959-1ph"\ntitle = "Ours"\n[profiles.block_load]\ncapture_period_s = 1800\n')
    types = MeterTypes((own,))
    fleet, stream = Fleet(7, 2, {"Bhopal city": 1}, datetime(2026, 1, 1, tzinfo=UTC)), io.StringIO()
    fleet.write_registry(stream, port=4059, meter_type="is15959-1ph+no-release+entry-only")
    lines = stream.getvalue().splitlines()
    other = ROW.replace("is15959-1ph", "is15959-own+no-release")
    assert await import_meters(connection, lines, types, vault, now=NOW) == Imported(created=2, keys=8)
    assert await import_meters(connection, [HEADER, other], types, vault, now=NOW) == Imported(created=1, keys=2)
    found = [(meter.meter_type, meter.interval_s) async for meter in list_meters(connection)]
    assert found == [("is15959-1ph+no-release+entry-only", 900)] * 2 + [("is15959-own+no-release", 1800)]
    assert types[with_quirks("is15959-own", "Allied Engineering", "V1")].quirks == ("allied-push-cover",)
    for wrong, words in (
        ("+haste", "line 2, meter_type: there is no quirk 'haste'"),
        ("x+entry-only", "no meter type 'is15959-1phx+entry-only'"),
    ):
        row = ROW.replace("is15959-1ph", f"is15959-1ph{wrong}")
        with pytest.raises(SettingsError, match="1 fault") as caught:
            await import_meters(connection, [HEADER, row], types, vault, now=NOW)
        assert words in str(caught.value)


async def test_a_changed_row_changes_what_it_says_and_no_more(connection: Connection, vault: Vault) -> None:
    await take(connection, vault, HEADER, ROW)
    short = "name,serial,address,meter_type,commissioned_at"
    assert await take(connection, vault, short, "m1,SN1,tcp://127.0.0.2,is15959-1ph,2026-01-01") == Imported(updated=1)
    meter = await find_meter(connection, "SN1")
    assert (meter.address, meter.division) == ("tcp://127.0.0.2", "Bhopal city")
    assert meter.system_title == b"MTR00001"
    assert await count(connection) == (1, 2)
    assert await take(connection, vault, HEADER, ROW.replace("0A", "0B")) == Imported(updated=1, keys=1)
    assert await count(connection) == (1, 3)


async def test_columns_come_in_any_order_with_quotes_and_a_byte_order_mark(
    connection: Connection, vault: Vault
) -> None:
    lines = (
        "\ufeffDivision, serial ,name,meter_type,address,commissioned_at",
        '"Itarsi, Pipariya",s1, m1 ,is15959-1ph,tcp://127.0.0.1,2026-01-01T00:00+05:30',
        "",
    )
    assert await take(connection, vault, *lines) == Imported(created=1)
    assert (await find_meter(connection, "m1")).division == "Itarsi, Pipariya"


FAULTS = [
    (ROW.replace("SN1", ""), "line 2, serial: is empty"),
    (ROW + ",", "line 2: 10 cells, the first line has 9"),
    (ROW.replace("tcp:", "ftp:"), "line 2, address: .*is not a meter address.*tcp://host:4059"),
    (ROW.replace("1ph", "9ph"), "line 2, meter_type: no meter type 'is15959-9ph' is known .*known: is15959-1ph"),
    (ROW.replace("2026-01-01", "01.02.2026"), "line 2, commissioned_at: '01.02.2026' is not a date"),
    (ROW.replace("2026-01-01", "1926-01-01"), "line 2, commissioned_at: .* is not in 2000 to 2099"),
    (ROW.replace("4D54", "4D"), "line 2, system_title: .*16 hex digits"),
    (ROW.replace("0A" * 16, "0A" * 15), "line 2, encryption_key: .*32 hex digits"),
    (ROW.replace("0A" * 16, "xy" * 16), "line 2, encryption_key: .*not a row of hex digits"),
    (ROW.replace("hex:3132", "hex:313"), "line 2, lls_secret: .*not a row of hex digits"),
    (ROW.replace("m1", "m" * 501), "line 2, name: is longer than 500 characters"),
]


async def test_a_fault_is_told_with_line_column_and_remedy_and_nothing_is_imported(
    connection: Connection, vault: Vault
) -> None:
    good = ROW.replace("m1", "m2").replace("SN1", "SN2").replace("3031,", "3032,")
    for row, told in FAULTS:
        with pytest.raises(SettingsError, match=told) as refused:
            await take(connection, vault, HEADER, row, good)
        assert "has 1 fault;" in str(refused.value)
        for secret in ("0A0A", "xyxy", "hex:"):
            assert secret not in str(refused.value)
        assert await count(connection) == (0, 0)


async def test_all_faults_of_a_list_are_told_at_once_up_to_a_limit(connection: Connection, vault: Vault) -> None:
    rows = [ROW.replace("m1", f"m{n}").replace("tcp:", "ftp:") for n in range(100)]
    with pytest.raises(SettingsError) as refused:
        await take(connection, vault, HEADER, *rows)
    told = str(refused.value).splitlines()
    assert len(told) == 51
    assert told[1].startswith("line 2, address: ")
    assert "50 faults or more" in told[0]


HEADERS = [
    ((), "the meter list is empty"),
    (("name,serial,adress",), "there is no column 'adress'"),
    (("name,serial,name",), "column name comes twice"),
    (("name,serial,meter_type,commissioned_at",), "column address is missing"),
    ((HEADER, 'm1,"s1'), "not CSV at line 2"),
]


async def test_what_is_no_meter_list_is_refused(connection: Connection, vault: Vault) -> None:
    for lines, told in HEADERS:
        with pytest.raises(SettingsError, match=told):
            await take(connection, vault, *lines)


async def test_a_file_that_is_not_utf8_is_refused(connection: Connection, vault: Vault) -> None:
    octets = f"{HEADER}\n{ROW}".replace("Bhopal", "Bh\u00f6pal").encode("latin-1")
    lines = io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8")
    with pytest.raises(SettingsError, match="not UTF-8"):
        await import_meters(connection, lines, TYPES, vault, now=NOW)


TWICE = [
    (ROW.replace("SN1", "SN2").replace("3031,", "3032,"), "line 3, name: m1 stands in line 2 already"),
    (ROW.replace("m1", "m2").replace("3031,", "3032,"), "line 3, serial: SN1 stands in line 2 already"),
    (
        ROW.replace("m1", "m2").replace("SN1", "SN2").replace("4D54", "4d54"),
        "line 3, system_title: 4d54523030303031 stands in line 2 already",
    ),
]


async def test_a_meter_listed_twice_is_a_fault(connection: Connection, vault: Vault) -> None:
    for second, told in TWICE:
        with pytest.raises(SettingsError, match=told):
            await take(connection, vault, HEADER, ROW, second)


async def test_a_serial_or_title_of_another_meter_is_a_fault(connection: Connection, vault: Vault) -> None:
    await take(connection, vault, HEADER, ROW)
    with pytest.raises(SettingsError) as refused:
        await take(connection, vault, HEADER, ROW.replace("m1", "m2"))
    assert str(refused.value).splitlines()[1:] == [
        "line 2, serial: meter m1 has it already: correct one of the two",
        "line 2, system_title: meter m1 has it already: correct one of the two",
    ]


async def test_a_meter_that_was_changed_for_another_device_forgets_its_layout(
    connection: Connection, vault: Vault
) -> None:
    await take(connection, vault, HEADER, ROW)
    layout = Layout(TYPES["is15959-1ph"].profiles["block_load"].capture_objects, {}, 900)
    [meter] = [one async for one in list_meters(connection)]
    await save_layouts(connection, {meter.id: layout}, "block_load", NOW)
    await take(connection, vault, HEADER, ROW.replace("127.0.0.1", "127.0.0.2"))
    assert await load_layouts(connection, [meter.id], ["block_load"]) == {meter.id: {"block_load": layout}}
    await take(connection, vault, HEADER, ROW.replace("SN1", "SN2"))
    assert await load_layouts(connection, [meter.id], ["block_load"]) == {}


async def test_a_layout_comes_back_as_it_was_and_sets_the_meters_interval(
    connection: Connection, meters: list[int]
) -> None:
    objects = TYPES["is15959-1ph"].profiles["block_load"].capture_objects
    scalers = {(3, Obis(1, 0, 12, 27, 0), 2): ScalerUnit(-2, 35), (3, Obis(1, 0, 1, 29, 0), 2): ScalerUnit(1, 30)}
    layout = Layout(objects, scalers, 1800)
    await save_layouts(connection, {meters[0]: layout}, "block_load", NOW)
    older = Layout(objects[:3], {}, 900)
    await save_layouts(connection, {meters[0]: older}, "block_load", NOW - timedelta(days=1))
    assert await load_layouts(connection, meters, ["block_load"]) == {meters[0]: {"block_load": layout}}
    assert [one.interval_s async for one in list_meters(connection)][:1] == [1800]


async def test_a_parked_meter_keeps_its_first_reason_until_it_is_released(
    connection: Connection, meters: list[int]
) -> None:
    await park(connection, meters[0], "another meter answers", NOW)
    await park(connection, meters[0], "later", NOW + timedelta(days=1))
    cursor = await connection.execute(
        "SELECT meter, parked_at, parked_reason FROM meter_status WHERE parked_at IS NOT NULL"
    )
    assert await cursor.fetchall() == [("m1", NOW, "another meter answers")]
    assert (await find_meter(connection, "m1")).parked_reason == "another meter answers"
    await unpark(connection, meters[0])
    assert (await find_meter(connection, "m1")).parked_reason is None


async def test_contacts_and_errors_are_kept_side_by_side(connection: Connection, meters: list[int]) -> None:
    later = NOW + timedelta(hours=1)
    await write_batch(
        connection, [Finished(Contact(meters[0], NOW)), Finished(Contact(meters[1], NOW, "no answer"))], now=NOW
    )
    await write_batch(
        connection, [Finished(Contact(meters[0], later, "hung up")), Finished(Contact(meters[1], later))], now=NOW
    )
    cursor = await connection.execute(
        "SELECT last_contact, last_error, last_error_at FROM meter_status WHERE meter IN ('m1', 'm2') ORDER BY meter"
    )
    assert await cursor.fetchall() == [(NOW, "hung up", later), (later, "no answer", NOW)]


async def test_a_meter_that_is_not_there_says_how_to_register_it(connection: Connection) -> None:
    with pytest.raises(SettingsError, match=r"there is no meter 'm77'.*headend meters import"):
        await find_meter(connection, "m77")
