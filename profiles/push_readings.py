"""The bodies of pushes as named readings.

The one rule: a list is known by the logical name of its push setup, where bodies carry one, and else by its shape;
nothing is dropped: what no column names is kept with its OBIS code, or without one.

Bodies are plain values: a structure is a tuple, an array a list, an octet-string bytes, null-data None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from profiles.errors import ProtocolError
from profiles.meter_type import Column, MeterType, Push
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.scaling import exact

Scalers = Mapping[tuple[int, Obis, int], ScalerUnit]
"""By (class id, logical name, 2), as a profile's layout has them."""

_LOGICAL_NAME: Final = 6
_MEDIA: Final = 15
"""The largest value group A that the standard gives a meaning."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a push."""

    obis: Obis | None
    """None for what stands in a body without a code."""
    attribute: AttributeRef | None
    """None where the body gives the code alone and the type does not know it."""
    value: object
    """As it came."""
    number: Decimal | None = None
    """The value scaled; None where it is no number or no scaler is known."""
    unit: int | None = None

    @property
    def name(self) -> str:
        """In English; empty where the code has none."""
        return (obis_name(self.obis) or "") if self.obis is not None else ""


@dataclass(frozen=True, slots=True)
class PushReadings:
    """What one push says."""

    push: Push
    readings: tuple[Reading, ...]
    rows: object = None
    """The rows of the profile `push.rows_of`, as they came."""


def push_readings(
    meter_type: MeterType,
    body: object,
    *,
    scalers: Mapping[str, Scalers] | None = None,
    learnt: Mapping[str, Sequence[CaptureObject]] | None = None,
) -> PushReadings:
    """The readings of a push's body.

    `scalers`, by name, scale the columns that have none of their own: those of the profile that the push names, else
    what there is under the push's own name, which is that of the profile it tells of. `learnt` has, by the push's name,
    the object list of its push setup as the meter gave it, which wins over the type's columns. Raises ProtocolError for
    a body that is none of the type's pushes, or has another number of columns.
    """
    push = push_of(meter_type, body)
    known = (scalers or {}).get(push.scalers_of or push.name, {})
    columns = push.columns
    if learnt and push.name in learnt:
        columns = _learnt(learnt[push.name], columns)
    named = {column.captured.obis: column for column in columns}
    if push.form == "objects":
        return PushReadings(push, tuple(_objects(body, named, push, known)))
    if push.form == "pairs":
        return PushReadings(push, tuple(_pairs(body, named, push, known)))
    return _columns(push, columns, body, known)


def push_of(meter_type: MeterType, body: object) -> Push:
    """Which of the type's pushes a body is. Raises ProtocolError for none."""
    pushes = meter_type.pushes.values()
    if isinstance(body, tuple) and len(body) > 1 and (code := _obis(body[1])) is not None:
        for push in pushes:
            if push.obis == code:
                return push
    for push in pushes:
        if push.obis is None and _fits(push, body):
            return push
    shape = f"{len(body)} elements" if isinstance(body, tuple | list) else "one value"
    raise ProtocolError(f"a push of {shape} is none that a {meter_type.name} meter sends", retry=False)


def _fits(push: Push, body: object) -> bool:
    if push.form == "objects":
        return isinstance(body, list) and all(isinstance(one, tuple) and one and _obis(one[0]) for one in body)
    if not isinstance(body, tuple):
        return False
    if push.form == "pairs":
        return any(_obis(one) for one in body)
    return len(body) == len(push.columns)


def _columns(push: Push, columns: Sequence[Column], body: object, scalers: Scalers) -> PushReadings:
    values = body if isinstance(body, tuple) else ()
    expected = len(columns) + (push.rows_of is not None)
    if columns and len(values) != expected:
        raise ProtocolError(
            f"push {push.name}: {len(values)} elements in place of {expected}",
            remedy="read attribute 2 of its push setup: the meter sends another list than its type says",
            retry=False,
        )
    if not columns:
        return PushReadings(push, tuple(Reading(None, None, value) for value in values))
    readings = tuple(_reading(column, value, push, scalers) for column, value in zip(columns, values, strict=False))
    return PushReadings(push, readings, values[-1] if push.rows_of is not None else None)


def _objects(body: object, named: Mapping[Obis, Column], push: Push, scalers: Scalers) -> Iterator[Reading]:
    """An array of {code, value [, scaler_unit]}."""
    for one in body if isinstance(body, list) else ():
        code, value, *rest = (*one, None) if len(one) == 1 else one
        yield _coded(code, value, rest[0] if rest else None, named, push, scalers)


def _pairs(body: object, named: Mapping[Obis, Column], push: Push, scalers: Scalers) -> Iterator[Reading]:
    """Codes, each before its value; null-data between pairs fills the places of what the meter does not measure."""
    elements = iter(body if isinstance(body, tuple) else ())
    for element in elements:
        if _obis(element) is not None:
            yield _coded(element, next(elements, None), None, named, push, scalers)
        elif element is not None:
            yield Reading(None, None, element)


def _coded(
    code: object, value: object, stated: object, named: Mapping[Obis, Column], push: Push, scalers: Scalers
) -> Reading:
    obis = _obis(code)
    assert obis is not None, "the shape was looked at"
    column = named.get(obis)
    scaler_unit = _scaler_unit(stated)
    if scaler_unit is not None:
        attribute = _corrected(obis, push) if column is None else AttributeRef(*column.captured[:3])
        power = scaler_unit.scaler + (push.corrections.get(attribute, 0) if attribute else 0)
        return Reading(obis, attribute, value, exact(value, power), scaler_unit.unit)
    return Reading(obis, None, value) if column is None else _reading(column, value, push, scalers)


def _corrected(obis: Obis, push: Push) -> AttributeRef | None:
    """What the type's corrections name by this code, where no column does."""
    return next((attribute for attribute in push.corrections if attribute.obis == obis), None)


def _reading(column: Column, value: object, push: Push, scalers: Scalers) -> Reading:
    attribute = AttributeRef(*column.captured[:3])
    scaler, unit = column.scaler, column.unit
    if scaler is None and (stated := scalers.get((attribute.class_id, attribute.obis, 2))) is not None:
        scaler, unit = stated.scaler, stated.unit
    if scaler is None or not column.scaled:
        return Reading(attribute.obis, attribute, value, None, unit)
    return Reading(attribute.obis, attribute, value, exact(value, scaler + push.corrections.get(attribute, 0)), unit)


def _learnt(objects: Iterable[CaptureObject], documented: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that the meter lists, with what the type knows of their scalers and units."""
    known = {column.captured[:3]: column for column in documented}
    return tuple(
        replace(known[one[:3]], captured=one) if one[:3] in known else Column(one, date_time=one.class_id == 8)
        for one in objects
    )


def _scaler_unit(value: object) -> ScalerUnit | None:
    match value:
        case (int(scaler), int(unit)) if -128 <= scaler <= 127 and 0 <= unit <= 255:
            return ScalerUnit(scaler, unit)
    return None


def _obis(value: object) -> Obis | None:
    """Six octets that can be an OBIS code."""
    if isinstance(value, bytes) and len(value) == _LOGICAL_NAME and value[0] <= _MEDIA:
        return Obis.of(value)
    return None
