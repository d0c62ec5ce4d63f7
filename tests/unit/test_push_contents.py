"""What an opened push brings: intervals, rows of profiles, events, the event status word, what is not understood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.credentials import Credentials
from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification, EventNotification
from drivers.push import Arrival, Push, PushingMeter, Route
from drivers.push.opening import Cover, Replay
from drivers.reading import Layout
from headend.push.allowance import Allowance
from headend.push.blocks import Block, Cell, looked_closer, ordinary
from headend.push.contents import NO_SCALERS, NOT_UNDERSTOOD, Content, content_of
from headend.push.meters import KnownMeter
from headend.store.finished import PushCounter, StatusWord
from headend.store.rows import Source, microseconds
from profiles.datetimes import encode_local
from profiles.intervals import IN_THE_FUTURE, IntervalBatch, Quality
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.push_readings import Reading
from profiles.scaling import exact

ONE_PHASE = load_meter_type("is15959-1ph")
WIREPAS = load_meter_type("is15959-1ph+wirepas-pushes")
CT = load_meter_type("is15959-ltct")
NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
TITLE = b"LTX00001"
DEVICE = axdr.octet_string(b"LT00000001")
BLOCK, ALERT, DAILY = Obis(0, 5, 25, 9, 0), Obis(0, 4, 25, 9, 0), Obis(0, 6, 25, 9, 0)
UNITS = {12: 35, 11: 33, 91: 33, 1: 30, 2: 30, 9: 31, 10: 31}
"""By group C."""


def clock(at: datetime, meter_type: MeterType = ONE_PHASE) -> bytes:
    return axdr.octet_string(encode_local(at, meter_type.zone, meter_type.deviation))


def layout_of(columns: tuple[CaptureObject, ...], period_s: int = 900) -> Layout:
    """Everything in tenths."""
    scaled = {(c.class_id, c.obis, 2): ScalerUnit(-1, UNITS[c.obis.c]) for c in columns if c.obis.c in UNITS}
    return Layout(columns, scaled, period_s)


PUSHED = tuple(column.captured for column in ONE_PHASE.pushes["block_load"].columns)
LAYOUT = layout_of(ONE_PHASE.profiles["block_load"].capture_objects)


def meter(
    meter_type: MeterType = ONE_PHASE,
    layouts: dict[str, Layout] | None = None,
    lists: dict[str, tuple[CaptureObject, ...]] | None = None,
) -> KnownMeter:
    layouts = {"block_load": LAYOUT} if layouts is None else layouts
    return KnownMeter(
        id=7,
        meter_type=meter_type,
        pushing=PushingMeter("m7", TITLE, Credentials()),
        key_id=70,
        interval_s=900,
        commissioned_at=NOW - timedelta(days=10),
        layouts=layouts,
        scalers={name: layout.scalers for name, layout in layouts.items()},
        lists=lists or {},
        found_at=0,
        readings=Allowance(1, 1, 0),
        alarms=Allowance(1, 1, 0),
    )


def content(
    notification: DataNotification | EventNotification,
    of: KnownMeter | None = None,
    *,
    authenticated: bool = True,
    replay: Replay = "counter",
) -> Content:
    of = of or meter()
    push = Push(of.pushing, Arrival(b"", Route("bare")), TITLE, Cover(), authenticated, notification, 5, replay=replay)
    return content_of(push, of, NOW)


def data(*elements: bytes, sent_at: bytes = b"") -> DataNotification:
    return DataNotification(1, axdr.structure(DEVICE, *elements), sent_at)


def block(at: datetime, *cells: bytes) -> DataNotification:
    return data(axdr.octet_string(bytes(BLOCK)), clock(at), *cells)


def test_a_block_is_the_interval_that_had_ended_when_the_push_was_made() -> None:
    cells = [axdr.uint16(2301), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    brought = content(block(NOW, *cells))
    assert not brought.alarm
    assert brought.finished.push == PushCounter(70, TITLE, 5)
    (item,) = brought.finished.readings
    assert (item.meter_id, item.read_at, item.source) == (7, NOW, Source.PUSH)
    assert item.batch.start.tolist() == [microseconds(datetime(2026, 1, 3, 5, 45, tzinfo=UTC))]
    assert item.batch.interval_s == 900
    assert {name: column.tolist() for name, column in item.batch.values.items()} == {
        "voltage": [230_100],
        "wh_import": [12_000],
        "vah_import": [13_000],
        "wh_export": [0],
        "vah_export": [0],
        "current": [1500],
    }
    assert item.batch.quality.tolist() == [0]
    on_time = content(block(datetime(2026, 1, 3, 6, 0, tzinfo=UTC), *cells)).finished.readings[0].batch
    assert on_time.start.tolist() == item.batch.start.tolist()


def test_a_block_before_the_first_visit_is_kept_as_it_came_and_no_scale_is_invented_for_it() -> None:
    cells = [axdr.uint16(2301), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    notification = block(NOW, *cells)
    (item,) = content(notification, meter(layouts={})).finished.readings
    assert len(item.batch.start) == 0
    (suspect,) = item.batch.suspects
    assert (suspect.reason, suspect.raw) == (NO_SCALERS, notification.data)
    nothing_to_scale = block(NOW, *[axdr.null()] * 7)
    (item,) = content(nothing_to_scale, meter(layouts={})).finished.readings
    assert len(item.batch.start) == 1


def test_what_nothing_proves_is_marked_and_has_no_counter() -> None:
    cells = [axdr.uint16(2301), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    brought = content(block(NOW, *cells), authenticated=False, replay="nothing")
    assert brought.finished.push is None
    assert brought.finished.readings[0].batch.quality.tolist() == [Quality.NOT_AUTHENTICATED]


CHANNELS = PUSHED[3:]


@given(
    values=st.lists(
        st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**64 - 1), st.floats(width=32), st.booleans()),
        min_size=len(CHANNELS),
        max_size=len(CHANNELS),
    ),
    scaler=st.integers(-6, 6),
    at=st.datetimes(datetime(2025, 12, 1), datetime(2026, 2, 1)),
    interval_s=st.sampled_from([300, 900, 1800, 3600]),
)
def test_the_short_way_comes_to_what_the_general_way_does(
    values: list[int | float | None], scaler: int, at: datetime, interval_s: int
) -> None:
    stamp = encode_local(at.replace(tzinfo=UTC), ONE_PHASE.zone, ONE_PHASE.deviation)
    cells = []
    for captured, value in zip(CHANNELS, values, strict=True):
        number = None if value is None else exact(value, scaler)
        reading = Reading(captured.obis, AttributeRef(*captured[:3]), value, number, UNITS[captured.obis.c])
        cells.append(Cell(reading, octets(value)))
    pushed = Block(stamp, [cell.reading for cell in cells], ONE_PHASE.profiles["block_load"], interval_s)
    earliest = NOW - timedelta(days=30)
    short = ordinary(pushed, ONE_PHASE, NOW, earliest)
    if short is not None:
        assert same(short, looked_closer(pushed, cells, ONE_PHASE, NOW, earliest))


def octets(value: int | float | None) -> bytes:
    if value is None:
        return axdr.null()
    if isinstance(value, bool):
        return axdr.boolean(value)
    if isinstance(value, float):
        return axdr.float32(value)
    return axdr.int64(value) if value < 2**63 else axdr.uint64(value)


def same(one: IntervalBatch, other: IntervalBatch) -> bool:
    assert other.nulls == {}
    return (
        one.start.tolist() == other.start.tolist()
        and one.interval_s == other.interval_s
        and one.quality.tolist() == other.quality.tolist()
        and {name: column.tolist() for name, column in one.values.items()}
        == {name: column.tolist() for name, column in other.values.items()}
        and (one.extras, one.suspects, one.revisions) == (other.extras, other.suspects, other.revisions)
    )


def test_a_value_that_its_column_cannot_hold_stands_beside_the_interval() -> None:
    fine = layout_of(ONE_PHASE.profiles["block_load"].capture_objects)
    fine.scalers[3, Obis(1, 0, 12, 27, 0), 2] = ScalerUnit(-5, 35)
    cells = [axdr.uint32(23_012_345), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    batch = content(block(NOW, *cells), meter(layouts={"block_load": fine})).finished.readings[0].batch
    assert batch.values["voltage"].tolist() == [230_123]
    assert batch.quality.tolist() == [Quality.ROUNDED]
    (extra,) = batch.extras
    assert (extra.value, extra.raw) == (Decimal("230.12345"), cells[0])


def test_a_block_of_the_future_is_a_suspect_with_its_octets() -> None:
    cells = [axdr.uint16(2301), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    (item,) = content(block(NOW + timedelta(days=400), *cells)).finished.readings
    assert len(item.batch.start) == 0
    assert [suspect.reason for suspect in item.batch.suspects] == [IN_THE_FUTURE]


def test_zeros_of_an_outage_are_marked_as_such() -> None:
    batch = content(block(NOW, *[axdr.uint32(0)] * 6, axdr.null())).finished.readings[0].batch
    assert batch.quality.tolist() == [Quality.ZERO_FILLED]


def test_an_alert_brings_the_event_status_word_and_is_an_alarm() -> None:
    bits = "".join("1" if place in (85, 3) else "0" for place in range(128))
    at = NOW - timedelta(seconds=40)
    brought = content(data(axdr.octet_string(bytes(ALERT)), clock(at), axdr.bit_string(bits)))
    assert brought.alarm
    assert brought.finished.status_word == StatusWord(7, at, (3, 85), source=Source.PUSH)
    assert brought.finished.contact.at == at, "a last gasp that was late says nothing of power now"
    late = content(data(axdr.octet_string(bytes(ALERT)), clock(NOW + timedelta(days=1)), axdr.bit_string(bits)))
    assert late.finished.status_word is not None
    assert late.finished.status_word.at == NOW, "a clock that is not believed"


def test_an_event_notification_brings_an_event_of_its_log() -> None:
    code = next(log.event_log.code for log in ONE_PHASE.of_kind("event_log") if log.event_log is not None)
    when = encode_local(NOW - timedelta(minutes=1), ONE_PHASE.zone, ONE_PHASE.deviation)
    brought = content(EventNotification(code, axdr.uint16(101), when))
    (event,) = brought.finished.events
    assert brought.alarm
    assert (event.code, event.occurred_at, event.source) == (101, NOW - timedelta(minutes=1), Source.PUSH)
    other = content(EventNotification(AttributeRef(3, Obis(1, 0, 1, 7, 0), 2), axdr.uint16(7)))
    (kept,) = other.finished.profiles
    assert kept.values == {"3/1.0.1.7.0.255/2": Decimal(7)}
    assert not other.alarm


def test_rows_of_a_profile_come_as_its_buffer_has_them() -> None:
    first = datetime(2026, 1, 3, 5, 30, tzinfo=UTC)
    rows = [
        axdr.structure(
            clock(first + timedelta(minutes=15 * n)),
            axdr.uint16(2300 + n),
            *map(axdr.uint32, (n, n, 0, 0)),
            *[axdr.uint16(n)] * (len(LAYOUT.capture_objects) - 6),
        )
        for n in range(3)
    ]
    pushed = data(axdr.octet_string(bytes(BLOCK)), clock(NOW), axdr.array(rows))
    (item,) = content(pushed, meter(WIREPAS)).finished.readings
    assert item.batch.start.tolist() == [microseconds(first + timedelta(minutes=15 * (n - 1))) for n in range(3)]
    assert item.batch.values["voltage"].tolist() == [230_000, 230_100, 230_200]
    assert item.source == Source.PUSH


def test_a_list_that_the_type_does_not_know_is_read_by_what_the_meter_said_of_it() -> None:
    energy = CaptureObject(3, Obis(1, 0, 1, 8, 0), 2)
    columns = (
        CaptureObject(1, Obis(0, 0, 96, 1, 2), 2),
        CaptureObject(40, DAILY, 1),
        CaptureObject(*ONE_PHASE.clock),
        energy,
    )
    layouts = {
        "daily_load": Layout((CaptureObject(*ONE_PHASE.clock), energy), {(3, energy.obis, 2): ScalerUnit(1, 30)}, 86400)
    }
    pushed = data(axdr.octet_string(bytes(DAILY)), clock(NOW), axdr.uint32(1234))
    (row,) = content(pushed, meter(layouts=layouts, lists={"daily_load": columns})).finished.profiles
    assert row.profile == "daily_load"
    assert row.values == {"3/1.0.1.8.0.255/2": Decimal(12340)}
    assert row.units == {"3/1.0.1.8.0.255/2": 30}
    end = ONE_PHASE.profiles["daily_load"].stamp == "end"
    assert row.ts == datetime(2026, 1, 1 if end else 2, 18, 30, tzinfo=UTC)
    assert row.quality == 0
    (unknown,) = content(pushed).finished.profiles
    assert unknown.values["?/3"] == Decimal(1234), "nobody knows what it is, and it is kept"


def test_a_body_that_is_not_understood_is_kept_as_a_suspect() -> None:
    odd = block(NOW, axdr.uint16(1))
    (item,) = content(odd).finished.readings
    (suspect,) = item.batch.suspects
    assert suspect.reason.startswith(NOT_UNDERSTOOD)
    assert suspect.raw == odd.data
    assert not content(DataNotification(1, axdr.uint16(3))).alarm


def test_octets_of_no_kind_break_nothing() -> None:
    @given(
        body=st.recursive(
            st.sampled_from(
                [
                    axdr.null(),
                    axdr.uint16(1),
                    axdr.octet_string(b"\0" * 12),
                    DEVICE,
                    axdr.octet_string(bytes(BLOCK)),
                    axdr.octet_string(bytes(ALERT)),
                    axdr.bit_string("1" * 128),
                    axdr.float32(float("nan")),
                ]
            ),
            lambda inner: (
                st.lists(inner, max_size=12).map(lambda some: axdr.structure(*some))
                | st.lists(inner, max_size=4).map(axdr.array)
            ),
            max_leaves=30,
        )
    )
    def holds(body: bytes) -> None:
        for of in (meter(), meter(WIREPAS), meter(CT, {})):
            brought = content(DataNotification(1, body), of).finished
            assert brought.readings or brought.profiles or brought.status_word

    holds()


def test_quality_bits_are_of_the_type_that_is_stored() -> None:
    cells = [axdr.uint16(2301), *map(axdr.uint32, (120, 130, 0, 0)), axdr.uint16(15), axdr.null()]
    batch = content(block(NOW, *cells), authenticated=False).finished.readings[0].batch
    assert batch.quality.dtype == np.int32
