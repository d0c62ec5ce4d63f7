"""COSEM data as a tree in which readings are seen: OBIS names, values with their units, capture objects, rows.

The one rule: only what the data itself says is shown; a value beside which no name and no unit stands gets none.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from drivers.capture.tree import Node
from drivers.cosem.rendering import REDACTED, remark
from drivers.dlms.axdr import Datum
from profiles.classes import attribute_name
from profiles.classes.shapes import Array, Record, Scalar, Shape
from profiles.obis_names import obis_name
from profiles.objects import Obis
from profiles.units import unit_symbol

_CONTAINERS: Final = frozenset({"array", "structure", "compact-array"})
_MEDIA: Final = 15
"""The largest value group A that the standard gives a meaning."""
_CAPTURE_OBJECT: Final = ("long-unsigned", "octet-string", "integer", "long-unsigned")


def named(obis: Obis) -> str:
    """`1.0.1.8.0.255 Active energy import`."""
    return f"{obis} {obis_name(obis) or ''}".rstrip()


def datum_node(datum: Datum, shape: Shape | None = None, label: str = "") -> Node:
    """A datum and what is in it; `shape` gives its parts their names."""
    head = f"{label}: " if label else ""
    parts = datum.value
    if not isinstance(parts, tuple):
        return Node(head + _leaf(datum, shape))
    whole = None if shape not in (None, Scalar.ANY) else _short(parts, datum.type)
    if whole is not None:
        return Node(head + whole)
    node = Node(f"{head}{datum.type} of {len(parts)}")
    if isinstance(shape, Record) and len(shape.fields) == len(parts):
        fields = shape.fields.items()
        node.children = [datum_node(part, inner, name) for part, (name, inner) in zip(parts, fields, strict=True)]
    elif isinstance(shape, Array):
        node.children = [datum_node(part, shape.item) for part in parts]
    elif datum.type == "structure":
        node.children = _structure(parts)
    else:
        node.children = [_row(part) or datum_node(part) for part in parts]
    return node


def column_names(capture_objects: Datum) -> list[str]:
    """What the columns of a profile are, by its capture_objects; empty where they are none."""
    rows = capture_objects.value
    texts = (
        [_capture_object(row.value) for row in rows if isinstance(row.value, tuple)] if isinstance(rows, tuple) else []
    )
    return [text for text in texts if text]


def _capture_object(parts: Sequence[Datum]) -> str | None:
    if tuple(part.type for part in parts) != _CAPTURE_OBJECT or (obis := _obis(parts[1])) is None:
        return None
    class_id, attribute = parts[0].value, parts[2].value
    assert isinstance(class_id, int)
    assert isinstance(attribute, int)
    return f"{named(obis)} · {attribute_name(class_id, attribute)}"


def _short(parts: Sequence[Datum], kind: str) -> str | None:
    """A structure that reads as one line: a scaler and unit, a capture object, one reading."""
    if kind != "structure":
        return None
    unit = _scaler_unit(parts)
    if unit is not None:
        return f"scaler {unit[0]}, unit {unit[1] or 'none'}"
    column = _capture_object(parts)
    if column is not None:
        return column
    reading, used = _reading(parts, 0)
    return reading if reading is not None and used == len(parts) else None


def _structure(parts: Sequence[Datum]) -> list[Node]:
    """The elements of a structure, among which OBIS codes may stand before their values."""
    nodes: list[Node] = []
    at, behind_class = 0, False
    while at < len(parts):
        # Behind a class id an OBIS code is a logical name, and what follows is no value of it.
        reading, used = (None, 1) if behind_class else _reading(parts, at)
        behind_class = reading is None and parts[at].type == "long-unsigned"
        nodes.append(datum_node(parts[at]) if reading is None else Node(reading))
        at += used
    return nodes


def _reading(parts: Sequence[Datum], at: int) -> tuple[str | None, int]:
    """An OBIS code with its value and, where they stand there, scaler and unit; and how many elements that takes.

    None and 1 for anything else.
    """
    obis = _obis(parts[at])
    if obis is None or at + 1 == len(parts) or _obis(parts[at + 1]) is not None:
        return None, 1
    value = parts[at + 1]
    if value.type in _CONTAINERS:
        return None, 1
    after = parts[at + 2].value if at + 2 < len(parts) and parts[at + 2].type == "structure" else None
    unit = _scaler_unit(after) if isinstance(after, tuple) else None
    number = value.value
    if unit is not None and isinstance(number, int | float) and not isinstance(number, bool):
        scaled = Decimal(str(number)).scaleb(unit[0])
        return f"{named(obis)}: {scaled:f} {unit[1]}".rstrip(), 3
    return f"{named(obis)}: {_leaf(value)}", 2 if unit is None else 3


def _row(datum: Datum) -> Node | None:
    """A row of a buffer on one line; None for what is none."""
    parts = datum.value
    if datum.type != "structure" or not isinstance(parts, tuple) or len(parts) < 2:
        return None
    if any(part.type in _CONTAINERS for part in parts) or _short(parts, datum.type) is not None:
        return None
    if any(_obis(part) is not None for part in parts):
        return None
    return Node("row: " + ", ".join(map(_cell, parts)))


def _cell(datum: Datum) -> str:
    match datum.value:
        case None:
            return "-"
        case bytes(octets):
            return remark(datum) or octets.hex()
        case str(text) if datum.type != "bit-string":
            return repr(text)
        case value:
            return str(value)


def _scaler_unit(parts: Sequence[Datum]) -> tuple[int, str] | None:
    """scaler_unit: a structure of an integer and an enum, and nothing else is."""
    if [part.type for part in parts] != ["integer", "enum"]:
        return None
    scaler, unit = parts[0].value, parts[1].value
    assert isinstance(scaler, int)
    assert isinstance(unit, int)
    return scaler, unit_symbol(unit)


def _obis(datum: Datum) -> Obis | None:
    """Six octets that can be an OBIS code."""
    octets = datum.value
    if datum.type != "octet-string" or not isinstance(octets, bytes) or len(octets) != 6 or octets[0] > _MEDIA:
        return None
    return Obis.of(octets)


def _leaf(datum: Datum, shape: Shape | None = None) -> str:
    """Type, value, and what it means where that is not the same."""
    if datum.type == REDACTED:
        return "not shown: it is, or may hold, a secret"
    match datum.value:
        case None:
            shown = datum.type
        case bytes(octets):
            shown = f"{datum.type} {octets.hex() or '(empty)'}"
        case str(text) if datum.type != "bit-string":
            shown = f"{datum.type} {text!r}"
        case value:
            shown = f"{datum.type} {str(value).lower() if isinstance(value, bool) else value}"
    meaning = remark(datum, shape)
    return f"{shown}  {meaning}" if meaning else shown
