"""Through every fault that can be recovered from, what our client reads and what it finds missing is the answer key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.address import parse_address
from drivers.credentials import CounterRange
from drivers.reading import Reader
from drivers.session import open_session
from profiles.errors import HeadEndError
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from simulators.expect import AnswerKey, channel_of
from simulators.faults import Fault, MeterFaults, fault, faults_of_meters
from simulators.faulty_meter import FaultyMeter, maker_of_meters
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.server import MeterServer

COMMISSIONED = datetime(2026, 1, 1, 18, 30, tzinfo=UTC)
NOW = datetime(2026, 1, 5, 6, 7, 30, tzinfo=UTC)
JUMP = datetime(2026, 1, 3, 10, 2, tzinfo=UTC)
TITLE = b"HES\x00\x00\x00\x00\x01"
MOST_SESSIONS = 200
TIMEOUT_S = 0.4
TYPES = ("is15959-1ph", "is15959-3ph", "is15959-ltct")

FAULTS: Mapping[str, tuple[Fault, ...]] = {
    "none": (),
    "latency": (fault("latency", median_ms=2.0, longest_ms=20.0),),
    "loss": (fault("loss", chance=0.03),),
    "reset": (fault("reset", chance=0.05),),
    "half_open": (fault("half_open", chance=0.03),),
    "slow_octets": (fault("slow_octets", octets_per_s=200_000.0),),
    "drop_mid_block": (fault("drop_mid_block", chance=0.1),),
    "wrong_block_number": (fault("wrong_block_number", chance=0.3),),
    "refuse_association": (fault("refuse_association", chance=0.8),),
    "one_association": (fault("one_association", lingers_s=0.0),),
    "exception_response": (fault("exception_response", chance=0.05),),
    "counter_mismatch": (fault("counter_mismatch", ahead=5000.0),),
    "clock_drift": (fault("clock_drift", s_per_day=20.0),),
    "clock_jump ahead": (fault("clock_jump", at=JUMP.timestamp(), seconds=3600.0),),
    "clock_jump back": (fault("clock_jump", at=JUMP.timestamp(), seconds=-3600.0),),
    "missing_rows": (fault("missing_rows", chance=0.1),),
    "duplicate_rows": (fault("duplicate_rows", chance=0.2),),
    "null_rows": (fault("null_rows"),),
    "rows_outside": (fault("rows_outside", rows=3.0),),
    "late_capture": (fault("late_capture", longest_s=300.0),),
    "several": (fault("loss", chance=0.02), fault("drop_mid_block", chance=0.05), fault("missing_rows", chance=0.05)),
}
"""All but those of meters that nobody reaches: never_answers, wrong_key."""


@dataclass
class Found:
    """What a client has: start of the interval (seconds since 1970 UTC) to values; `sessions`: how many it took."""

    values: dict[int, dict[str, int]] = field(default_factory=dict)
    sessions: int = 0


async def read_all(meter: SimulatedMeter, port: int, since: datetime, until: datetime) -> Found:
    """Read until a whole pass got through; what an unfinished one brought is kept, and not asked for again."""
    kind, found, start = meter.meter_type.associations["meter_reader"], Found(), since
    counters = CounterRange(5001, 1_000_000)
    credentials = meter.client_credentials(kind, TITLE, counters)
    address = parse_address(f"tcp://{meter.identity.host}:{port}?timeout={TIMEOUT_S}")
    while found.sessions < MOST_SESSIONS:
        found.sessions += 1
        try:
            async with open_session(address, meter.meter_type, kind, credentials) as session:
                reader = Reader(session, meter.meter_type, clock=lambda: NOW)
                async for part in reader.block_load(start, until, earliest=COMMISSIONED):
                    for place, begun in enumerate((part.batch.start // 1_000_000).tolist()):
                        found.values[begun] = {name: column[place].item() for name, column in part.batch.values.items()}
                    start = part.end
                return found
        except HeadEndError:
            continue
    raise AssertionError(f"not through after {MOST_SESSIONS} sessions")


def expected(fleet: Fleet, meter_type: MeterType, since: datetime, until: datetime) -> dict[int, dict[str, int]]:
    """As the answer key has it."""
    profile = meter_type.profiles["block_load"]
    said = AnswerKey(fleet, meter_type).said(fleet.identity(0), profile, since, until)
    columns = {channel_of(one): values.tolist() for one, values in said.columns if not one.is_time}
    starts = (said.at - profile.capture_period_s).tolist()
    return {start: {name: column[place] for name, column in columns.items()} for place, start in enumerate(starts)}


def absent(faults: MeterFaults, starts: set[int], period_s: int) -> set[int]:
    """The intervals that the meter does not have any more, by its faults."""
    gone = {start for start in starts if faults.strikes_at("missing_rows", start + period_s)}
    if "clock_jump" in faults:
        at = faults.figure("clock_jump", "at")
        gone |= {start for start in starts if at < start + period_s <= at + faults.figure("clock_jump", "seconds")}
    return gone


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    type_name=st.sampled_from(TYPES),
    seed=st.integers(1, 10_000),
    name=st.sampled_from(sorted(FAULTS)),
    first=st.integers(0, 96),
    slots=st.integers(1, 240),
)
def test_what_is_read_and_what_is_missing_is_the_answer_key(
    type_name: str, seed: int, name: str, first: int, slots: int
) -> None:
    asyncio.run(check(load_meter_type(type_name), seed, name, first, slots))


def test_every_fault_is_read_through() -> None:
    """Whatever chance has chosen above; here they strike, and what they take is missing."""
    cost = {name: asyncio.run(check(load_meter_type(TYPES[0]), seed, name, 0, 240)) for seed, name in enumerate(FAULTS)}
    assert {name for name, (_, missing) in cost.items() if missing} == {"missing_rows", "clock_jump ahead", "several"}
    broken = {name for name, (sessions, _) in cost.items() if sessions > 1}
    assert broken >= {"drop_mid_block", "wrong_block_number", "exception_response"}
    assert "none" not in broken


async def check(meter_type: MeterType, seed: int, name: str, first: int, slots: int) -> tuple[int, int]:
    """Read and compare; how many sessions it took, and how many intervals were missing."""
    period_s = meter_type.profiles["block_load"].capture_period_s
    since = COMMISSIONED + timedelta(seconds=first * period_s)
    until = min(since + timedelta(seconds=slots * period_s), NOW - timedelta(seconds=period_s))
    fleet = Fleet(seed, 1, {"Datia": 1}, COMMISSIONED)
    faults = faults_of_meters(FAULTS[name], seed, 1)
    (meter,) = simulated_meters(fleet, meter_type, lambda: NOW, maker_of_meters(faults)).values()
    server = MeterServer({meter.identity.host: meter})
    await server.start()
    try:
        found = await read_all(meter, server.port, since, until)
    finally:
        await server.close()
    due = expected(fleet, meter_type, since, until)
    missing = due.keys() - found.values.keys()
    assert isinstance(meter, FaultyMeter) is bool(faults)
    assert missing == (absent(faults[0], set(due), period_s) if faults else set())
    assert found.values.keys() <= due.keys()
    for start, values in found.values.items():
        assert {channel: values[channel] for channel in due[start]} == due[start]
    assert server.repeats == 0
    return found.sessions, len(missing)
