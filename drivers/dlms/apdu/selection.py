"""Selective access to a profile's buffer, by range or by entry (Blue Book, Profile generic, attribute 2).

A selection is the access selector's octet and its parameters in A-XDR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.dlms import axdr
from profiles.errors import ProtocolError
from profiles.objects import CaptureObject, Obis


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """Selector 1: rows whose `clock` column lies in [start, end], date-times of 12 octets; no columns: all."""

    clock: CaptureObject
    start: bytes
    end: bytes
    columns: tuple[CaptureObject, ...] = ()


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """Selector 2: rows `first` to `last` counted from 1 (0: to the end), columns likewise."""

    first: int
    last: int
    first_column: int = 1
    last_column: int = 0


def range_selection(clock: CaptureObject, start: bytes, end: bytes, columns: Sequence[CaptureObject] = ()) -> bytes:
    """Selector 1, by range of the clock; `start` and `end` are date-times of 12 octets; no columns: all of them."""
    return b"\x01" + axdr.structure(
        _definition(clock),
        axdr.octet_string(start),
        axdr.octet_string(end),
        axdr.array([_definition(column) for column in columns]),
    )


def entry_selection(first: int, last: int = 0, first_column: int = 1, last_column: int = 0) -> bytes:
    """Selector 2, by entry: rows `first` to `last` counted from 1 (0: to the end), columns likewise."""
    return b"\x02" + axdr.structure(
        axdr.uint32(first), axdr.uint32(last), axdr.uint16(first_column), axdr.uint16(last_column)
    )


def decode_selection(selection: bytes) -> RangeSelection | EntrySelection:
    """What a selection asks for; ProtocolError on other selectors and other shapes."""
    value = axdr.decode(selection[1:]) if selection else None
    match selection[:1], value:
        case b"\x01", (clock, bytes(start), bytes(end), [*columns]) if len(start) == len(end) == 12:
            return RangeSelection(_read_definition(clock), start, end, tuple(map(_read_definition, columns)))
        case b"\x02", (int(first), int(last), int(first_column), int(last_column)):
            return EntrySelection(first, last, first_column, last_column)
        case _:
            raise ProtocolError(f"a selection that is not known here: {selection[:64].hex()}")


def _definition(column: CaptureObject) -> bytes:
    """capture_object_definition."""
    return axdr.structure(
        axdr.uint16(column.class_id),
        axdr.octet_string(bytes(column.obis)),
        axdr.int8(column.attribute),
        axdr.uint16(column.data_index),
    )


def _read_definition(value: axdr.Value) -> CaptureObject:
    match value:
        case (int(class_id), bytes(obis), int(attribute), int(index)) if len(obis) == 6:
            return CaptureObject(class_id, Obis.of(obis), attribute, index)
        case _:
            raise ProtocolError("a selection whose columns are no capture objects")
