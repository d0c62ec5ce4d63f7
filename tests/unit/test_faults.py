"""Faults by declaration: which there are, whom they befall, when they strike, and what rows look like under them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.dlms import axdr
from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.toml_file import Source
from profiles.type_file import Keys
from simulators.faults import FAULTS, Fault, MeterFaults, fault, faults_of_meters, read_faults
from simulators.faulty_meter import FaultyMeter, maker_of_meters
from simulators.faulty_rows import OF_ROWS, Buffer, faulty_rows
from simulators.fleet import Fleet
from simulators.meter import simulated_meters
from simulators.stamps import Stamps

STAMPS = Stamps.of(load_meter_type("is15959-1ph"))
SEED, METERS, PERIOD_S = 7, 2000, 900
MIDNIGHT = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
DAY = (MIDNIGHT + PERIOD_S, MIDNIGHT + 96 * PERIOD_S)
"""Stamps of a day's rows."""


# --- declarations ---------------------------------------------------------------------------------------------


def declared(tmp_path: Path, text: str) -> tuple[Fault, ...]:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    source = Source.read(file, "faults")
    return read_faults(Keys([source], (), source.table))


def test_a_table_declares_faults_with_their_shares_and_figures(tmp_path: Path) -> None:
    latency, wrong_key, jump = declared(
        tmp_path,
        """
        latency = { share = 0.25, median_ms = 300 }
        wrong_key = { meters = [3, 5] }
        [clock_jump]
        at = 2026-01-05T00:00:00+05:30
        """,
    )
    assert latency == Fault("latency", {"median_ms": 300.0, "longest_ms": 5000}, share=0.25)
    assert wrong_key == Fault("wrong_key", {}, share=0.0, meters=frozenset({3, 5}))
    assert jump.share == 1.0
    assert jump.figures == {"seconds": 3600, "at": datetime(2026, 1, 4, 18, 30, tzinfo=UTC).timestamp()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[latncy]\nshare = 0.1", r"faults\.toml:1: latncy: 'latncy' is no fault; there are never_answers, latency"),
        ("[latency]\nshare = 0.1\nmean_ms = 3", r"faults\.toml:3: latency\.mean_ms: is not a key here"),
        ("[latency]\n\nshare = 1.5", r"faults\.toml:3: latency\.share: must be a number from 0 to 1"),
        ("[loss]\nchance = 'often'", r"faults\.toml:2: loss\.chance: must be a number"),
        ("[loss]\nmeters = [-1]", r"faults\.toml:2: loss\.meters: must be a list of indexes"),
        ("[loss]\nmeters = 4", r"faults\.toml:2: loss\.meters: must be a list of indexes"),
        ("loss = 0.5", r"faults\.toml:1: loss: must be a table"),
        ("[clock_jump]\nseconds = 60", r"faults\.toml:1: clock_jump\.at: is missing"),
        ("[clock_jump]\nat = 2026-01-01T00:00:00", r"faults\.toml:2: clock_jump\.at: must be a date and time with"),
    ],
)
def test_what_is_no_fault_is_refused_by_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        declared(tmp_path, text)


def test_faults_are_declared_by_programs_under_the_same_checks() -> None:
    assert fault("loss", chance=0.5) == Fault("loss", {"chance": 0.5}, share=1.0)
    for name in FAULTS:
        assert fault(name, share=0.5, **({"at": MIDNIGHT} if name == "clock_jump" else {})).name == name
    for wrong, words in (
        (lambda: fault("losss"), "'losss' is no fault"),
        (lambda: fault("loss", chance=2.0), "chance of fault loss is 0 to 1, not 2"),
        (lambda: fault("loss", odds=1.0), "fault loss has no figure 'odds'"),
        (lambda: fault("loss", share=2.0), "a share is 0 to 1"),
        (lambda: fault("clock_jump"), "fault clock_jump needs at"),
    ):
        with pytest.raises(SettingsError, match=words):
            wrong()


def test_a_share_of_the_fleet_has_a_fault_and_meters_that_are_named_have_it_for_sure() -> None:
    has = fault("loss", share=0.1, meters=frozenset({0, 1, 1999, 5000})).of(SEED, METERS)
    assert {0, 1, 1999} < set(has)
    assert 150 < len(has) < 250
    assert max(has) < METERS
    assert fault("loss", share=1.0).of(SEED, METERS) == list(range(METERS))
    assert fault("loss", share=0.0).of(SEED, METERS) == []


def test_the_seed_decides_and_faults_fall_independently_of_each_other() -> None:
    some = {name: set(fault(name, share=0.5).of(SEED, METERS)) for name in ("loss", "reset")}
    assert set(fault("loss", share=0.5).of(SEED, METERS)) == some["loss"]
    assert set(fault("loss", share=0.5).of(SEED + 1, METERS)) != some["loss"]
    assert 0.4 < len(some["loss"] & some["reset"]) / len(some["loss"]) < 0.6
    both = faults_of_meters((fault("loss", share=0.5), fault("reset", share=0.5)), SEED, METERS)
    assert set(both) == some["loss"] | some["reset"]
    assert {index for index, of_meter in both.items() if "reset" in of_meter} == some["reset"]


def test_a_fault_strikes_as_often_as_it_says_and_in_the_same_places_each_time() -> None:
    def struck() -> list[bool]:
        faults = MeterFaults(SEED, 3, {"loss": {"chance": 0.3}})
        return [faults.strikes("loss") for _ in range(1000)]

    first = struck()
    assert struck() == first
    assert 0.25 < sum(first) / 1000 < 0.35
    faults = MeterFaults(SEED, 3, {"loss": {"chance": 0.3}})
    assert not faults.strikes("reset"), "the meter does not have it"
    assert [faults.strikes("loss") for _ in range(1000)].count(True) == faults.struck["loss"] == sum(first)


# --- rows -----------------------------------------------------------------------------------------------------


def stamp(second: int) -> bytes:
    return STAMPS.write_one(second)


def read(bounds: tuple[int, int] | None) -> list[bytes]:
    """Two days of rows; each counts the quarters since midnight, and has a value that never changes."""
    first, last = bounds or (DAY[0], DAY[1] + 96 * PERIOD_S)
    stamps = range(max(-(-first // PERIOD_S) * PERIOD_S, DAY[0]), min(last, DAY[1] + 96 * PERIOD_S) + 1, PERIOD_S)
    return [
        axdr.structure(axdr.octet_string(stamp(second)), axdr.uint32((second - MIDNIGHT) // PERIOD_S), axdr.uint8(9))
        for second in stamps
    ]


def rows(name: str, *, now: float = 2e9, repeats: bool = False, **figures: float) -> list[tuple[int | None, object]]:
    """Number of the quarter by the stamp, None for a null stamp, and the first value, of the rows of the day."""
    faults = MeterFaults(SEED, 1, {name: dict(fault(name, **figures).figures)})
    buffer = Buffer(read, STAMPS.read, PERIOD_S, now, repeats)
    found = []
    for octets in faulty_rows(faults, buffer, DAY):
        row = axdr.decode(octets)
        assert isinstance(row, axdr.Structure)
        when = row[0] if row[0] is None else (STAMPS.read(bytes(row[0])) - MIDNIGHT) // PERIOD_S  # type: ignore[arg-type]
        found.append((when, row[1] if not repeats else row[1:]))
    return found


WHOLE = [(n, n) for n in range(1, 97)]


def test_some_rows_are_missing_for_good() -> None:
    found = rows("missing_rows", chance=0.2)
    assert 60 < len(found) < 90
    assert [row for row in WHOLE if row in found] == found
    assert rows("missing_rows", chance=0.2) == found


def test_some_rows_come_twice() -> None:
    found = rows("duplicate_rows", chance=0.2)
    assert 100 < len(found) < 130
    assert sorted(set(found)) == WHOLE
    assert found == sorted(found)


def test_rows_outside_of_the_range_come_with_those_that_were_asked_for() -> None:
    found = rows("rows_outside", rows=3)
    assert found == [*WHOLE, (97, 97), (98, 98), (99, 99)], "the buffer begins with the day"


def test_rows_of_2000_and_2099_come_beside_the_true_ones() -> None:
    faults = MeterFaults(SEED, 1, {"wild_stamps": {"chance": 0.2}})
    found = faulty_rows(faults, Buffer(read, STAMPS.read, PERIOD_S, 2e9), DAY)
    true = read(DAY)
    wild = [row for row in found if row not in true]
    assert [row for row in found if row in true] == true
    assert 5 <= len(wild) < 40
    assert {int.from_bytes(row[4:6], "big") for row in wild} == {2000, 2099}


def test_stamps_are_null_where_they_follow_from_the_one_before() -> None:
    assert rows("null_rows") == [(1, 1), *((None, n) for n in range(2, 97))]
    repeating = rows("null_rows", repeats=True)
    assert repeating[0] == (1, (1, 9))
    assert repeating[1:] == [(None, (n, None)) for n in range(2, 97)]


def test_after_a_missing_row_the_next_stamp_is_written_out() -> None:
    faults = MeterFaults(SEED, 1, {"null_rows": {}, "missing_rows": {"chance": 0.2}})
    found = faulty_rows(faults, Buffer(read, STAMPS.read, PERIOD_S, 2e9), DAY)
    stamped = [row for row in found if row[2:3] != axdr.null()]
    assert 1 < len(stamped) < len(found) < 96


def test_rows_are_there_some_time_after_their_stamps() -> None:
    now = DAY[1] + 60.0
    last = len(rows("late_capture", now=now, longest_s=3600))
    assert 92 <= last < 96
    assert rows("late_capture", now=now + 3600, longest_s=3600) == WHOLE


def test_a_clock_that_jumps_ahead_leaves_a_gap() -> None:
    at = MIDNIGHT + 10 * PERIOD_S + 7
    assert rows("clock_jump", now=at - 1, at=at, seconds=3600) == WHOLE
    assert rows("clock_jump", at=at, seconds=3600) == [row for row in WHOLE if not 11 <= row[0] <= 14]


def test_a_clock_that_jumps_back_stamps_other_rows_as_before() -> None:
    at = MIDNIGHT + 10 * PERIOD_S + 7
    found = rows("clock_jump", at=at, seconds=-2000)
    assert found == [*WHOLE[:10], (9, 11), (10, 12), *WHOLE[10:]]
    assert rows("clock_jump", at=at, seconds=-60) == WHOLE


# --- meters ---------------------------------------------------------------------------------------------------

COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def faulty(time: Time, *faults: Fault) -> FaultyMeter:
    fleet = Fleet(SEED, 1, {"Datia": 1}, COMMISSIONED)
    make = maker_of_meters(faults_of_meters(faults, SEED, 1))
    (meter,) = simulated_meters(fleet, load_meter_type("is15959-1ph"), time, make).values()
    assert isinstance(meter, FaultyMeter)
    return meter


def test_a_clock_drifts_until_it_is_set_and_then_drifts_on() -> None:
    time = Time()
    meter = faulty(time, fault("clock_drift", s_per_day=-40.0))
    true = time.now.timestamp()
    assert meter.now() - true == pytest.approx(-40 * (true - COMMISSIONED.timestamp()) / 86_400)
    meter.set_clock(true)
    assert meter.now() == pytest.approx(true)
    time.now = datetime(2026, 1, 4, tzinfo=UTC)
    assert meter.now() - time.now.timestamp() == pytest.approx(-40)


def test_a_clock_jumps_once_and_stays_right_when_it_was_set() -> None:
    time = Time()
    meter = faulty(time, fault("clock_jump", at=datetime(2026, 1, 4, tzinfo=UTC).timestamp(), seconds=7200))
    assert meter.now() == time.now.timestamp()
    time.now = datetime(2026, 1, 4, 1, tzinfo=UTC)
    assert meter.now() == time.now.timestamp() + 7200
    meter.set_clock(time.now.timestamp())
    assert meter.now() == time.now.timestamp()


def test_only_meters_with_faults_are_faulty_ones() -> None:
    fleet, time = Fleet(SEED, 50, {"Datia": 1}, COMMISSIONED), Time()
    faults = faults_of_meters((fault("loss", share=0.3),), SEED, 50)
    meters = simulated_meters(fleet, load_meter_type("is15959-1ph"), time, maker_of_meters(faults)).values()
    assert {meter.identity.index for meter in meters if isinstance(meter, FaultyMeter)} == set(faults)
    assert 5 < len(faults) < 25


def test_a_meter_without_faults_of_rows_answers_its_rows_untouched() -> None:
    meter = faulty(Time(), fault("loss", chance=1.0))
    assert OF_ROWS.isdisjoint(meter.faults)
    assert len(meter.rows(None)) == len(meter.stored_starts())


# --- what is told of them -------------------------------------------------------------------------------------


def test_the_documentation_lists_every_fault_with_its_figures() -> None:
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    rows = [line.split("|")[1:3] for line in text.partition("### Faults")[2].splitlines() if line.startswith("| `")]
    told = {name.strip(" `"): tuple(part.strip(" `") for part in of.split(",") if part.strip()) for name, of in rows}
    assert told.keys() == FAULTS.keys()
    assert {name: set(figures) for name, figures in told.items()} == {name: set(of) for name, of in FAULTS.items()}
