"""The fleet and its answer key: derived from the seed alone, and checked here by other arithmetic than their own."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from ipaddress import IPv4Address, IPv4Network

import pytest

from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from simulators.expect import COLUMNS, write_expected
from simulators.fleet import REGISTRY_COLUMNS, Fleet
from simulators.meter import town_of

NEW_YEAR_IST = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
DIVISIONS = {"Bhopal city": 1749, "Ashta and Sehore": 527, "Datia": 323, "Not begun": 0}


def fleet(meters: int = 20, seed: int = 5) -> Fleet:
    return Fleet(seed, meters, DIVISIONS, NEW_YEAR_IST)


def expected(of: Fleet, start: datetime, end: datetime) -> list[dict[str, str]]:
    stream = io.StringIO()
    lines = write_expected(stream, of, start, end)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert len(rows) == lines
    return rows


def test_a_fleet_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert list(fleet()) == list(fleet())
    assert [fleet().keys(i) for i in range(20)] == [fleet().keys(i) for i in range(20)]
    assert fleet().keys(3) != fleet(seed=6).keys(3)


def test_a_meter_keeps_its_keys_when_the_fleet_grows() -> None:
    assert fleet(20).keys(7) == fleet(2000).keys(7)
    assert fleet(20).identity(7).system_title == fleet(2000).identity(7).system_title


def test_no_two_meters_share_a_name_serial_title_device_id_address_or_key() -> None:
    meters = fleet(3000)
    for field in ("name", "serial", "system_title", "device_id", "host"):
        assert len({getattr(meter, field) for meter in meters}) == 3000
    assert len({meters.keys(i).encryption.octets for i in range(3000)}) == 3000
    assert len({secret for i in range(50) for secret in _secrets(meters, i)}) == 200


def _secrets(meters: Fleet, index: int) -> list[bytes]:
    keys = meters.keys(index)
    return [secret.octets for secret in (keys.encryption, keys.authentication, keys.lls, keys.hls)]


def test_every_address_is_a_loopback_address() -> None:
    hosts = [IPv4Address(meter.host) for meter in fleet(70_000)]
    assert all(host in IPv4Network("127.0.0.0/8") for host in hosts)
    assert IPv4Address("127.0.0.1") not in hosts


def test_a_system_title_is_the_makers_three_letters_and_five_octets() -> None:
    for meter in fleet():
        assert len(meter.system_title) == 8
        assert meter.system_title[:3].decode() == meter.maker.flag == meter.serial[:3]


def test_meters_are_spread_in_proportion_and_to_the_last_one() -> None:
    counted = dict.fromkeys(DIVISIONS, 0)
    for meter in fleet(200):
        counted[meter.division] += 1
    assert counted == {"Bhopal city": 135, "Ashta and Sehore": 40, "Datia": 25, "Not begun": 0}


def test_a_fleet_without_meters_or_divisions_is_refused() -> None:
    with pytest.raises(SettingsError):
        Fleet(1, 0, DIVISIONS, NEW_YEAR_IST)
    with pytest.raises(SettingsError):
        Fleet(1, 5, {"Nowhere": 0}, NEW_YEAR_IST)


def test_the_registry_list_holds_what_the_meters_have() -> None:
    meters, stream = fleet(), io.StringIO()
    meters.write_registry(stream, port=4059, meter_type="is15959-1ph")
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert tuple(rows[0]) == REGISTRY_COLUMNS
    assert len(rows) == 20
    meter, keys = meters.identity(4), meters.keys(4)
    assert rows[4]["address"] == "tcp://127.1.0.5:4059"
    assert bytes.fromhex(rows[4]["system_title"]) == meter.system_title
    assert bytes.fromhex(rows[4]["encryption_key"]) == keys.encryption.octets
    assert rows[4]["lls_secret"].encode() == keys.lls.octets
    assert datetime.fromisoformat(rows[4]["commissioned_at"]) == NEW_YEAR_IST


def test_the_answer_key_is_the_physical_world_in_the_steps_of_the_makers_registers() -> None:
    start = datetime(2026, 1, 1, 5, 45, tzinfo=UTC)
    rows = expected(fleet(), start, datetime(2026, 1, 1, 6, 0, tzinfo=UTC))
    assert tuple(rows[0]) == COLUMNS
    world = town_of(fleet(), load_meter_type("is15959-1ph"))
    for index, steps in ((0, ("0.01", "0.001", "1")), (1, ("0.1", "0.01", "10"))):
        flow = world.load([index], [int(start.timestamp())], 900)
        row, meter = rows[index], fleet().identity(index)
        assert (row["serial"], row["start"], row["interval_s"]) == (meter.serial, "2026-01-01T05:45:00Z", "900")
        volts, amperes, watt_hours = (
            _thousandths(getattr(flow, channel).item(), step)
            for channel, step in zip(("voltage", "current", "wh_import"), steps, strict=True)
        )
        assert (row["voltage"], row["current"], row["wh_import"]) == (volts, amperes, watt_hours)
        assert row["meter_health"] == "0"
    assert rows[0]["signal_strength"] == str(int(world.load([0], [int(start.timestamp())], 900).signal_strength.item()))
    assert rows[1]["signal_strength"] == ""


def _thousandths(value: float, step: str) -> str:
    in_steps = (Decimal(value) / Decimal(step)).quantize(Decimal(1), ROUND_HALF_EVEN)
    return str(int(in_steps * Decimal(step) * 1000))


def test_the_answer_key_holds_every_interval_that_starts_in_the_range_and_no_other() -> None:
    rows = expected(fleet(3), datetime(2026, 1, 1, 0, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, 0, tzinfo=UTC))
    assert [row["start"] for row in rows] == 3 * [
        "2026-01-01T00:15:00Z",
        "2026-01-01T00:30:00Z",
        "2026-01-01T00:45:00Z",
    ]


def test_nothing_is_expected_from_before_commissioning() -> None:
    rows = expected(fleet(1), datetime(2025, 12, 31, tzinfo=UTC), datetime(2025, 12, 31, 19, 0, tzinfo=UTC))
    assert [row["start"] for row in rows] == ["2025-12-31T18:30:00Z", "2025-12-31T18:45:00Z"]
    assert expected(fleet(1), datetime(2025, 12, 1, tzinfo=UTC), datetime(2025, 12, 2, tzinfo=UTC)) == []


def test_a_range_without_a_time_zone_is_refused() -> None:
    with pytest.raises(SettingsError):
        write_expected(io.StringIO(), fleet(), replace_zone(NEW_YEAR_IST), replace_zone(NEW_YEAR_IST))


def replace_zone(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)
