"""The block load profile as a meter stores it: rows stamped at the interval's end in local time, A-XDR octets.

The one rule: rows are encoded for a whole range at once (numpy), since one process answers for thousands of meters.
A row is `structure{clock, columns of the maker}`; the first of a day is stamped 00:15, the last 00:00 of the next
(docs/meter-facts.md, "Load profile").
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr
from profiles.errors import ProtocolError
from profiles.objects import CaptureObject, Obis
from simulators.load import IST_OFFSET_S, Load
from simulators.registers import Maker, counts

CLOCK = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2)
CLOCK_OCTETS = 12

_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0 here."""


def capture_objects(maker: Maker) -> tuple[CaptureObject, ...]:
    """The columns of the profile, clock first."""
    return (CLOCK, *(CaptureObject(column.class_id, column.obis, 2) for column in maker.columns))


def scaler_objects(maker: Maker) -> tuple[CaptureObject, ...]:
    """The columns of its scaler profile: attribute 3 of each column that has a scaler, the others are absent."""
    scaled = (column for column in maker.columns if column.scaler is not None)
    return tuple(CaptureObject(column.class_id, column.obis, 3) for column in scaled)


def scaler_row(maker: Maker) -> bytes:
    """The one row of the scaler profile."""
    return axdr.structure(
        *(
            axdr.structure(axdr.int8(column.scaler), axdr.enum(column.unit))
            for column in maker.columns
            if column.scaler is not None and column.unit is not None
        )
    )


def encode_rows(maker: Maker, starts: NDArray[np.int64], period_s: int, flow: Load) -> list[bytes]:
    """The A-XDR octets of each row; `starts` in seconds since 1970 UTC, `flow` of one meter over them."""
    row_type, template = _row_layout(maker)
    rows = np.full(len(starts), template)
    rows["clock"] = clock_octets(starts + period_s)
    for column in maker.columns:
        rows[column.channel] = counts(column, flow)[0]
    size, octets = row_type.itemsize, rows.tobytes()
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def clock_octets(utc: NDArray[np.int64]) -> NDArray[np.uint8]:
    """COSEM date-times of shape (n, 12) for seconds since 1970 UTC: local wall time, hundredths and deviation not
    specified, status 00."""
    local = utc + IST_OFFSET_S
    day, second = local // 86_400, local % 86_400
    months = day.astype("datetime64[D]").astype("datetime64[M]")
    year = months.astype("datetime64[Y]").astype(np.int64) + 1970
    octets = np.empty((len(utc), CLOCK_OCTETS), np.uint8)
    octets[:, 0], octets[:, 1] = year >> 8, year & 0xFF
    octets[:, 2] = months.astype(np.int64) % 12 + 1
    octets[:, 3] = day - months.astype("datetime64[D]").astype(np.int64) + 1
    octets[:, 4] = (day + _EPOCH_WEEKDAY) % 7 + 1
    octets[:, 5], octets[:, 6], octets[:, 7] = second // 3600, second // 60 % 60, second % 60
    octets[:, 8:] = (0xFF, 0x80, 0x00, 0x00)
    return octets


def utc_of_clock(octets: bytes) -> int:
    """Seconds since 1970 UTC of a date-time in a range selection: wall time of the meter, its deviation ignored.

    Second and hundredths may be unspecified. ProtocolError on anything that is no date and time.
    """
    if len(octets) != CLOCK_OCTETS:
        raise ProtocolError(f"a date-time has {CLOCK_OCTETS} octets, not {len(octets)}")
    year, month, day = int.from_bytes(octets[:2], "big"), octets[2], octets[3]
    hour, minute, second = octets[5], octets[6], 0 if octets[7] == 0xFF else octets[7]
    try:
        local = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}", "s")
    except ValueError:
        raise ProtocolError(f"the octets {octets.hex()} are no date and time") from None
    return int(local.astype(np.int64)) - IST_OFFSET_S


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


@lru_cache(maxsize=16)
def _row_layout(maker: Maker) -> tuple[np.dtype[np.void], np.void]:
    """The numpy form of one encoded row, and a row with every tag in its place."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
        ("structure", "u1", (2,)),
        ("clock tag", "u1", (2,)),
        ("clock", "u1", (CLOCK_OCTETS,)),
    ]
    for column in maker.columns:
        fields += [(f"{column.channel} tag", "u1"), (column.channel, column.dtype)]
    row_type = np.dtype(fields)
    template = np.zeros(1, row_type)
    template["structure"] = (axdr.STRUCTURE, len(maker.columns) + 1)
    template["clock tag"] = (axdr.OCTET_STRING, CLOCK_OCTETS)
    for column in maker.columns:
        template[f"{column.channel} tag"] = column.tag
    return row_type, template[0]
