"""Profiles (Blue Book, class 7): block load, its scalers, the nameplate, and the log of power failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu, axdr
from profiles.meter_type import Association, Profile
from profiles.objects import CaptureObject, Obis
from simulators import block_load, event_log
from simulators.model.identity import NAMEPLATE
from simulators.objects import DATA, PROFILE, Attribute, CosemObject, Invoke, Read, number_of
from simulators.selection import selected

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_FIFO: Final = 1
_BY_RANGE, _BY_ENTRY = 1, 2
"""Access selectors."""

_Rows = Callable[["SimulatedMeter", Association, tuple[int, int] | None], list[bytes]]
_Columns = Callable[["SimulatedMeter"], Iterable[CaptureObject]]


def objects(block: Profile, nameplate: Obis) -> dict[Obis, CosemObject]:
    assert block.scaler_obis is not None
    return {
        block.obis: _block_load(),
        block.scaler_obis: _one_row(
            lambda meter: block_load.scaler_objects(meter.identity.maker), lambda meter, _: meter.scaler_row()
        ),
        nameplate: _one_row(
            lambda meter: [CaptureObject(DATA, obis, 2) for obis, _ in NAMEPLATE],
            lambda meter, kind: axdr.structure(*(read(meter, kind) for _, read in NAMEPLATE)),
        ),
        event_log.LOG: _events(),
    }


def _block_load() -> CosemObject:
    attributes = {
        2: _buffer(lambda meter, _, bounds: meter.rows(bounds), lambda meter: meter.capture_objects(), _BY_RANGE),
        3: _capture_objects(lambda meter: meter.capture_objects()),
        4: Attribute(lambda meter, _: axdr.uint32(meter.period_s), _set_period),
        5: Attribute(lambda *_: axdr.enum(_FIFO)),
        6: Attribute(lambda *_: block_load.encode_capture_object(block_load.CLOCK)),
        7: Attribute(lambda meter, _: axdr.uint32(len(meter.stored_starts()))),
        8: Attribute(lambda meter, _: axdr.uint32(meter.depth)),
    }
    return CosemObject(PROFILE, attributes, {1: _reset}, version=1)


def _one_row(columns: _Columns, row: Read) -> CosemObject:
    """A profile that always holds one row: nameplate, scalers."""
    return CosemObject(
        PROFILE,
        {
            2: _buffer(lambda meter, kind, _: [row(meter, kind)], columns),
            3: _capture_objects(columns),
            4: Attribute(lambda *_: axdr.uint32(0)),
            7: Attribute(lambda *_: axdr.uint32(1)),
            8: Attribute(lambda *_: axdr.uint32(1)),
        },
        version=1,
    )


def _events() -> CosemObject:
    """Version 0, whose methods 3 and 4 give parts of the buffer; later versions leave that to selective access."""
    attributes = {
        2: _buffer(_event_rows, lambda _: event_log.COLUMNS, _BY_RANGE),
        3: _capture_objects(lambda _: event_log.COLUMNS),
        4: Attribute(lambda *_: axdr.uint32(0)),
        5: Attribute(lambda *_: axdr.enum(_FIFO)),
        6: Attribute(lambda *_: block_load.encode_capture_object(block_load.CLOCK)),
        7: Attribute(lambda meter, _: axdr.uint32(len(event_log.rows(meter, None)))),
        8: Attribute(lambda *_: axdr.uint32(event_log.ENTRIES)),
    }
    return CosemObject(PROFILE, attributes, {3: _get_buffer(_BY_RANGE), 4: _get_buffer(_BY_ENTRY)})


def _event_rows(meter: SimulatedMeter, _: Association, bounds: tuple[int, int] | None) -> list[bytes]:
    return event_log.rows(meter, bounds)


def _get_buffer(selector: int) -> Invoke:
    def get_buffer(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> bytes:
        asked = apdu.decode_selection(bytes([selector]) + (parameters or b""))
        return selected(asked, lambda bounds: event_log.rows(meter, bounds), event_log.COLUMNS)

    return get_buffer


def _buffer(rows: _Rows, columns: _Columns, *more_selectors: int) -> Attribute:
    return Attribute(
        lambda meter, kind: axdr.array(rows(meter, kind, None)),
        select=lambda meter, kind, asked: selected(
            asked, lambda bounds: rows(meter, kind, bounds), tuple(columns(meter))
        ),
        selectors=(*more_selectors, _BY_ENTRY),
    )


def _capture_objects(columns: _Columns) -> Attribute:
    return Attribute(lambda meter, _: block_load.encode_capture_objects(columns(meter)))


def _set_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.set_period(number_of(value, axdr.DOUBLE_LONG_UNSIGNED, 0, 0xFFFF_FFFF))


def _reset(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    meter.erase_rows()
