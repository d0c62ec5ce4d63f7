"""Rows of profiles as octets: A-XDR structures, whole ranges at once, since one process answers for thousands.

The one rule: the form of a row is that of its registers alone; its first column's stamp and every number stand in one
numpy record, so that a buffer is one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr
from profiles.objects import CaptureObject, Obis
from simulators.registers import Register, counts
from simulators.stamps import OCTETS

Values: TypeAlias = NDArray[Any]
"""Of one column: physical values of shape (rows,), or date-times of shape (rows, 12)."""
_NULL: Final = axdr.null()


def encode_rows(registers: Sequence[Register], values: Sequence[Values]) -> list[bytes]:
    """The A-XDR octets of each row."""
    row_type, template = _row_layout(tuple(registers))
    rows = np.full(len(values[0]), template)
    for place, (register, column) in enumerate(zip(registers, values, strict=True)):
        rows[str(place)] = column if register.is_time else counts(register, column)
    size, octets = row_type.itemsize, rows.tobytes()
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def compressed(rows: Sequence[bytes], stamp_of: Callable[[bytes], int], period_s: int) -> list[bytes]:
    """The same rows with null-data for what is as in the row before, and for a stamp one period after that before.

    `stamp_of`: seconds since 1970 UTC of a date-time.
    """
    cells = [_cells(row) for row in rows]
    return [*rows[:1], *(_shortened(before, row, stamp_of, period_s) for before, row in pairwise(cells))]


def _shortened(before: list[bytes], row: list[bytes], stamp_of: Callable[[bytes], int], period_s: int) -> bytes:
    stamp, values = row[0], zip(row[1:], before[1:], strict=True)
    if _NULL not in (stamp, before[0]) and stamp_of(stamp[2:]) == stamp_of(before[0][2:]) + period_s:
        stamp = _NULL
    return axdr.structure(stamp, *(_NULL if new == old else new for new, old in values))


def _cells(row: bytes) -> list[bytes]:
    reader = axdr.Reader(row, "row", 1)
    return [reader.datum() for _ in range(reader.length())]


def scaler_objects(registers: Iterable[Register], attribute: int) -> tuple[CaptureObject, ...]:
    """The columns of a scaler profile: each object that has a scaler, once; the others are absent."""
    scaled = (one.captured for one in registers if one.scaler is not None)
    return tuple(dict.fromkeys(CaptureObject(one.class_id, one.obis, attribute) for one in scaled))


def scaler_row(registers: Iterable[Register]) -> bytes:
    """The one row of a scaler profile."""
    scaled: dict[tuple[int, Obis], Register] = {}
    for one in registers:
        if one.scaler is not None:
            scaled.setdefault((one.captured.class_id, one.captured.obis), one)
    return axdr.structure(*map(scaler_unit, scaled.values()))


def scaler_unit(register: Register) -> bytes:
    """structure{scaler, unit}."""
    assert register.scaler is not None
    assert register.unit is not None
    return axdr.structure(axdr.int8(register.scaler), axdr.enum(register.unit))


def encode_capture_objects(objects: Iterable[CaptureObject]) -> bytes:
    """Attribute 3 of a profile."""
    return axdr.array([encode_capture_object(column) for column in objects])


def encode_capture_object(column: CaptureObject) -> bytes:
    """structure{class, logical name, attribute, data index}."""
    return axdr.structure(
        axdr.uint16(column.class_id),
        axdr.octet_string(bytes(column.obis)),
        axdr.int8(column.attribute),
        axdr.uint16(column.data_index),
    )


@lru_cache(maxsize=512)
def _row_layout(registers: tuple[Register, ...]) -> tuple[np.dtype[np.void], np.void]:
    """The numpy form of one encoded row, and a row with every tag in its place; columns are named by their numbers."""
    header = axdr.structure(*[_NULL] * len(registers))[: -len(registers)]
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [("header", "u1", (len(header),))]
    for place, register in enumerate(registers):
        if register.is_time:
            fields += [(f"tag {place}", "u1", (2,)), (str(place), "u1", (OCTETS,))]
        else:
            fields += [(f"tag {place}", "u1", (1,)), (str(place), register.dtype)]
    row_type = np.dtype(fields)
    template = np.zeros(1, row_type)
    template["header"] = tuple(header)
    for place, register in enumerate(registers):
        template[f"tag {place}"] = (axdr.OCTET_STRING, OCTETS) if register.is_time else (register.tag,)
    return row_type, template[0]
