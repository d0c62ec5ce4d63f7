"""Collection from meters whose rows, layouts or transfers are not what they should be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from field import COMMISSIONED, DUE, METER_TYPE, NOW, Make, field

from drivers.dlms import axdr, client
from headend.collection import collector as collecting
from profiles.intervals import IN_THE_FUTURE, NO_DATE_TIME, OFF_THE_GRID, OTHER_COLUMNS, TOO_OLD
from profiles.objects import CaptureObject, Obis
from simulators.meter import SimulatedMeter
from simulators.objects import Attribute
from simulators.refusals import Refused
from simulators.stamps import Stamps

BAD = 1
"""The odd one of three."""
GOOD = (0, 2)
ODD_ROW = 40
"""Of the 96 of the day."""
STAMPS = Stamps.of(METER_TYPE)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)


def with_row(change: Callable[[bytes], bytes]) -> Make:
    """A meter that changes the octets of its row number 40."""

    class Odd(SimulatedMeter):
        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            stamp = STAMPS.write_one(COMMISSIONED.timestamp() + (ODD_ROW + 1) * 900)
            return [change(row) if stamp in row else row for row in super().rows(bounds)]

    return Odd


def stamped(moment: datetime) -> Callable[[bytes], bytes]:
    return with_clock(STAMPS.write_one(moment.timestamp()))


def with_clock(octets: bytes) -> Callable[[bytes], bytes]:
    """structure, number of columns, octet-string, 12, the clock, the other columns."""
    return lambda row: row[:4] + octets + row[16:]


def without_last_column(row: bytes) -> bytes:
    """The last column of this maker is the meter's health, uint8: two octets."""
    return row[:1] + bytes([row[1] - 1]) + row[2:-2]


def with_another_column(row: bytes) -> bytes:
    return row[:1] + bytes([row[1] + 1]) + row[2:] + axdr.uint16(7)


FEBRUARY_30 = b"\x07\xea\x02\x1e\xff\x0a\x00\x00\xff\x80\x00\x00"
SLOT = COMMISSIONED + ODD_ROW * timedelta(minutes=15)


@pytest.mark.parametrize(
    ("change", "reason", "has_stamp"),
    [
        pytest.param(without_last_column, OTHER_COLUMNS, False, id="a column is missing"),
        pytest.param(with_another_column, OTHER_COLUMNS, False, id="a column too many"),
        pytest.param(with_clock(b"\xff" * 12), NO_DATE_TIME, True, id="clock of FF octets"),
        pytest.param(with_clock(FEBRUARY_30), NO_DATE_TIME, True, id="February 30"),
        pytest.param(stamped(datetime(2000, 1, 1, tzinfo=UTC)), TOO_OLD, True, id="stamped 2000"),
        pytest.param(stamped(datetime(2099, 12, 31, tzinfo=UTC)), IN_THE_FUTURE, True, id="stamped 2099"),
        pytest.param(stamped(NOW + timedelta(minutes=52.5)), IN_THE_FUTURE, True, id="stamped within the hour to come"),
        pytest.param(stamped(SLOT + timedelta(minutes=7)), OFF_THE_GRID, True, id="off the grid"),
    ],
)  # fmt: skip
async def test_a_row_that_cannot_be_believed_is_kept_apart_whole_and_counted_once(
    timescale_dsn: str, change: Callable[[bytes], bytes], reason: str, has_stamp: bool
) -> None:
    async with field(timescale_dsn, odd={BAD: with_row(change)}) as place:
        first = await place.cycle()
        assert (first.answered, first.failed, first.written.suspects) == (3, {}, 1)
        assert await place.complete(GOOD) == [True, True]
        missing = place.expected(BAD) - await place.stored(BAD)
        assert await place.stored(BAD) < place.expected(BAD)
        assert [row[0] for row in missing] == [SLOT]
        (suspect,) = await place.suspects(BAD)
        odd = change(SimulatedMeter.rows(place.meters[BAD], None)[ODD_ROW])
        assert (suspect["reason"], bytes(suspect["raw"])) == (reason, odd)
        assert bytes(suspect["stamp"]) == (odd[4:16] if has_stamp else b"")
        assert (await place.status(BAD))["complete_until"] == SLOT

        second = await place.cycle()
        assert (second.meters, second.answered, second.written.suspects) == (1, 1, 0)
        assert len(await place.suspects(BAD)) == 1
        assert (await place.status(BAD))["complete_until"] == SLOT


async def test_a_meter_whose_clock_is_lost_has_every_row_kept_apart_and_its_watermark_stays(timescale_dsn: str) -> None:
    class Clockless(SimulatedMeter):
        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            return [with_clock(b"\xff" * 12)(row) for row in super().rows(bounds)]

        def clock_octets(self) -> bytes:
            return b"\xff" * 12

    async with field(timescale_dsn, odd={BAD: Clockless}) as place:
        report = await place.cycle()
        different = len(set(place.meters[BAD].rows(None)))
        assert (report.answered, report.written.inserted, report.written.suspects) == (3, 2 * DUE, different)
        assert different > DUE / 2
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        assert (await place.cycle()).written.suspects == 0
        assert {bytes(suspect["raw"]) for suspect in await place.suspects(BAD)} == set(place.meters[BAD].rows(None))


async def test_a_firmware_update_that_adds_a_column_makes_the_layout_be_read_again(timescale_dsn: str) -> None:
    class Updated(SimulatedMeter):
        """Captures one more register from some day on, one that is no column of ours."""

        new_firmware = False

        def capture_objects(self) -> list[CaptureObject]:
            more = [CaptureObject(1, Obis(0, 0, 96, 9, 7), 2)] if self.new_firmware else []
            return [*super().capture_objects(), *more]

        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            rows = super().rows(bounds)
            return [with_another_column(row) for row in rows] if self.new_firmware else rows

    async with field(timescale_dsn, odd={BAD: Updated}) as place:
        assert (await place.cycle()).failed == {}
        Updated.new_firmware = True
        place.now += timedelta(hours=1)
        report = await place.cycle()
        assert (report.answered, report.failed, report.written.suspects, report.written.extras) == (3, {}, 0, 4)
        assert await place.complete(range(3)) == [True] * 3
        extras = await place.ask("SELECT class_id, obis, attribute, value, raw FROM interval_extra ORDER BY ts")
        assert [(row["class_id"], row["obis"], row["value"]) for row in extras] == [(1, "0.0.96.9.7.255", 7)] * 4
        layouts = await place.ask(
            "SELECT capture_objects FROM meter_profile WHERE profile = 'block_load' ORDER BY meter_id"
        )
        assert [len(layout["capture_objects"]) for layout in layouts] == [9, 9, 9]


async def test_columns_that_no_meter_can_have_are_an_error_of_that_meter_alone(timescale_dsn: str) -> None:
    class Mad(SimulatedMeter):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            of = self.meter_type.profiles["block_load"].obis
            block = self.objects[of]
            column = axdr.structure(axdr.uint32(2**31), axdr.octet_string(bytes(of)), axdr.int8(2), axdr.uint16(0))
            answers = {**block.attributes, 3: Attribute(lambda meter, association: axdr.array([column] * 9))}
            self.objects = {**self.objects, of: type(block)(block.class_id, answers)}

    async with field(timescale_dsn, odd={BAD: Mad}) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"ProtocolError": 1})
        assert await place.complete(GOOD) == [True, True]
        assert "capture objects" in (await place.status(BAD))["last_error"]


async def test_numbers_that_are_none_are_kept_as_they_came(timescale_dsn: str) -> None:
    class Broken(SimulatedMeter):
        """Gives its voltage as a float that is not a number."""

        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            return [row[:16] + b"\x17\x7f\xc0\x00\x00" + row[19:] for row in super().rows(bounds)]

    async with field(timescale_dsn, odd={BAD: Broken}) as place:
        report = await place.cycle()
        assert (report.answered, report.failed, report.written.inserted) == (3, {}, 3 * DUE)
        assert await place.complete(GOOD) == [True, True]
        assert {row[1] for row in await place.stored(BAD)} == {None}
        assert len(await place.ask("SELECT FROM interval_extra WHERE raw = '\\x177fc00000'")) == DUE


async def test_a_clock_reset_to_2000_harms_nobody_where_commissioning_is_put_at_2000(timescale_dsn: str) -> None:
    listed = {BAD: {"commissioned_at": "2000-01-01T00:00:00+00:00"}}
    odd = {BAD: with_row(stamped(datetime(1999, 12, 31, 18, 45, tzinfo=UTC)))}
    async with field(timescale_dsn, odd=odd, listed=listed) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (3, {})
        assert await place.complete(GOOD) == [True, True]
        assert [suspect["reason"] for suspect in await place.suspects(BAD)] == [TOO_OLD]


class Stalling(SimulatedMeter):
    """Says nothing more after some answers, or hangs up; the number counts from each connection's first GET on."""

    after = 0
    then: bytes | None = b""
    spoilt = True

    def on_wire(self, apdu: bytes) -> bytes | None:
        if apdu[0] == 0x61:
            self.answers = 0
        self.answers += 1
        return self.then if self.spoilt and apdu[0] == 0xCC and self.answers > self.after else apdu


@pytest.mark.parametrize(
    ("then", "kind", "words"),
    [(b"", "LinkTimeout", "no answer within 2 s"), (None, "LinkError", "the meter closed the connection")],
    ids=["stalls", "cut"],
)
async def test_a_meter_lost_in_mid_block_leaves_nothing_half_written_and_is_read_by_the_next_cycle(
    timescale_dsn: str, then: bytes | None, kind: str, words: str
) -> None:
    class Lost(Stalling):
        pass

    Lost.then, Lost.after = then, 12
    async with field(
        timescale_dsn, odd={BAD: Lost}, listed={BAD: {"address": "tcp://{host}:{port}?timeout=2"}}
    ) as place:
        report = await place.cycle(attempts=1)
        assert (report.answered, report.failed) == (2, {kind: 1})
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        ((reason,),) = place.failures().values()
        assert reason.startswith(f"{place.name(BAD)} · get 7/1.0.99.1.0.255/2: {words}")
        Lost.spoilt = False
        report = await place.cycle()
        assert (report.meters, report.answered) == (1, 1)
        assert await place.complete(range(3)) == [True] * 3


async def test_what_was_read_before_a_meter_was_lost_is_stored(timescale_dsn: str) -> None:
    class Lost(SimulatedMeter):
        """Gives the older range, then hangs up."""

        spoilt = False

        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            if self.spoilt and bounds is not None and bounds[0] > NOW.timestamp():
                raise Refused(1)
            return super().rows(bounds)

    async with field(timescale_dsn, odd={BAD: Lost}) as place:
        await place.cycle()
        await place.ask("DELETE FROM interval_reading WHERE ts < %s RETURNING 1", COMMISSIONED + timedelta(hours=2))
        await place.ask("DELETE FROM watermark RETURNING 1")
        Lost.spoilt = True
        place.now += timedelta(hours=1)
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"AccessDenied": 1})
        assert await place.complete(GOOD) == [True, True]
        assert sorted(row[0] for row in place.expected(BAD) - await place.stored(BAD)) == [
            COMMISSIONED + timedelta(days=1, minutes=15 * slot) for slot in range(4)
        ]


async def test_a_transfer_without_end_is_cut_off(timescale_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(SimulatedMeter):
        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            return super().rows(bounds) * 20

    monkeypatch.setattr(client, "MAX_TRANSFER", 20_000)
    async with field(timescale_dsn, odd={BAD: Endless}) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"ProtocolError": 1})
        assert await place.complete(GOOD) == [True, True]
        assert "more than 20000 octets came" in (await place.status(BAD))["last_error"]


async def test_a_session_that_takes_too_long_is_ended(timescale_dsn: str) -> None:
    class Slow(SimulatedMeter):
        """Lets us in and then says nothing, though its address allows it ten minutes for an answer."""

        def on_wire(self, apdu: bytes) -> bytes | None:
            return b"" if apdu[0] == 0xCC else apdu

    async with field(
        timescale_dsn, odd={BAD: Slow}, listed={BAD: {"address": "tcp://{host}:{port}?timeout=600"}}
    ) as place:
        report = await place.cycle(session_timeout_s=2, attempts=1)
        assert (report.answered, report.failed) == (2, {"LinkTimeout": 1})
        assert await place.complete(GOOD) == [True, True]
        assert (await place.status(BAD))["last_error"].startswith(f"{place.name(BAD)} · session: not done after 2 s (")
