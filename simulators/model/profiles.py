"""Profiles (Blue Book, class 7): all those of the meter's type, and their scaler profiles.

The one rule: which part of a buffer can be asked for, and how, is as the type says, quirks included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu, axdr
from profiles.meter_type import LOAD_KINDS, Association, MeterType, Profile
from profiles.objects import CaptureObject, Obis
from simulators import buffers, event_log
from simulators.objects import PROFILE, Attribute, CosemObject, Invoke, Read, Select, number_of
from simulators.refusals import Refused, Result
from simulators.registers import Register
from simulators.rows import encode_capture_object, encode_capture_objects, scaler_objects, scaler_row
from simulators.selection import given, offered, selected

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_FIFO: Final = 1
_BY_RANGE, _BY_ENTRY = 1, 2
"""Access selectors."""
_NOTHING: Final = CaptureObject(0, Obis(0, 0, 0, 0, 0, 0), 0)
_SELECTORS: Final = {"range": (_BY_RANGE,), "entry": (_BY_ENTRY,), "none": ()}

_Columns = Callable[["SimulatedMeter"], Iterable[CaptureObject]]


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    by_scalers: dict[Obis, list[Profile]] = {}
    for profile in meter_type.profiles.values():
        if profile.scaler_obis is not None:
            by_scalers.setdefault(profile.scaler_obis, []).append(profile)
    return {
        **{profile.obis: _profile(meter_type, profile) for profile in meter_type.profiles.values()},
        **{obis: _scalers(profiles) for obis, profiles in by_scalers.items()},
    }


def _profile(meter_type: MeterType, profile: Profile) -> CosemObject:
    if profile.kind == "nameplate":
        return _one_row(lambda meter: _captured(meter, profile), lambda meter, kind: _nameplate(meter, kind, profile))
    ordered = meter_type.buffer_habit.newest_last
    attributes = {
        2: Attribute(
            lambda meter, _: axdr.array(given(meter, profile, None)),
            select=None if profile.selective_access == "none" else _select(profile),
            selectors=_SELECTORS[profile.selective_access],
        ),
        3: Attribute(lambda meter, _: encode_capture_objects(_captured(meter, profile))),
        4: Attribute(
            lambda meter, _: axdr.uint32(buffers.period_of(meter, profile)),
            _set_period if profile.kind == "block_load" else None,
        ),
        5: Attribute(lambda *_: axdr.enum(_FIFO)),
        6: Attribute(lambda meter, _: encode_capture_object(_sorted_by(meter, profile) if ordered else _NOTHING)),
        7: Attribute(lambda meter, _: axdr.uint32(len(buffers.captured(meter, profile).at))),
        8: Attribute(lambda meter, _: axdr.uint32(_depth(meter, profile))),
    }
    methods: dict[int, Invoke] = {1: lambda meter, *_: meter.erase_rows(profile)}
    if profile.kind == "billing":
        methods[2] = _end_billing_period
    if profile.event_log is None:
        return CosemObject(PROFILE, attributes, methods, version=1)
    # Version 0, whose methods 3 and 4 give parts of the buffer; later versions leave that to selective access.
    methods |= {3: _get_buffer(profile, _BY_RANGE), 4: _get_buffer(profile, _BY_ENTRY)}
    return CosemObject(PROFILE, attributes, methods)


def _select(profile: Profile) -> Select:
    return lambda meter, _, asked: offered(meter, profile, asked, tuple(_captured(meter, profile)))


def _scalers(profiles: list[Profile]) -> CosemObject:
    """The scaler profile of one profile, or of several that share theirs."""

    def registers(meter: SimulatedMeter) -> list[Register]:
        return [one for profile in profiles for one in meter.columns.of(profile, meter.identity.maker)]

    def row(meter: SimulatedMeter, _: Association) -> bytes:
        return meter.scaler_row() if profiles[0].name == "block_load" else scaler_row(registers(meter))

    return _one_row(lambda meter: scaler_objects(registers(meter), profiles[0].scaler_attribute), row)


def _one_row(columns: _Columns, row: Read) -> CosemObject:
    """A profile that always holds one row and is read whole: nameplate, scalers."""
    return CosemObject(
        PROFILE,
        {
            2: Attribute(lambda meter, kind: axdr.array([row(meter, kind)])),
            3: Attribute(lambda meter, _: encode_capture_objects(columns(meter))),
            4: Attribute(lambda *_: axdr.uint32(0)),
            5: Attribute(lambda *_: axdr.enum(_FIFO)),
            6: Attribute(lambda *_: encode_capture_object(_NOTHING)),
            7: Attribute(lambda meter, _: axdr.uint32(1)),
            8: Attribute(lambda meter, _: axdr.uint32(1)),
        },
        version=1,
    )


def _captured(meter: SimulatedMeter, profile: Profile) -> Iterable[CaptureObject]:
    if profile.name == "block_load":
        return meter.capture_objects()
    return [one.captured for one in meter.columns.of(profile, meter.identity.maker)]


def _nameplate(meter: SimulatedMeter, kind: Association, profile: Profile) -> bytes:
    """What the captured objects hold."""
    cells = []
    for column in meter.columns.of(profile, meter.identity.maker):
        attribute = meter.objects[column.captured.obis].attributes[column.captured.attribute]
        assert attribute.read is not None
        cells.append(attribute.read(meter, kind))
    return axdr.structure(*cells)


def _sorted_by(meter: SimulatedMeter, profile: Profile) -> CaptureObject:
    """The column of the time, if there is one."""
    times = (one.captured for one in meter.columns.of(profile, meter.identity.maker) if one.is_time)
    return next(times, _NOTHING)


def _depth(meter: SimulatedMeter, profile: Profile) -> int:
    if profile.event_log is not None:
        return event_log.depth(profile)
    if profile.kind in LOAD_KINDS:
        return buffers.depth(profile, buffers.period_of(meter, profile))
    return profile.depth_rows or 1


def _get_buffer(profile: Profile, selector: int) -> Invoke:
    def get_buffer(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> bytes:
        asked = apdu.decode_selection(bytes([selector]) + (parameters or b""))
        return selected(meter, profile, asked, tuple(_captured(meter, profile)))

    return get_buffer


def _set_period(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.set_period(number_of(value, axdr.DOUBLE_LONG_UNSIGNED, 0, 0xFFFF_FFFF))


def _end_billing_period(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    """Capture: what a schedule does at the end of a month, a client does now."""
    resets = meter.conditions.resets
    if len(resets) >= event_log.ENTRIES:
        raise Refused(Result.OTHER_REASON)
    resets.append(int(meter.now()))
    meter.note(event_log.DEMAND_RESET)
