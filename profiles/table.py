"""ProfileTable: the rows of one profile buffer, held as columns.

Made once by the decoder in `drivers`; from here to the database nothing turns it back into rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiles.objects import CaptureObject


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a profile buffer.

    `values` has one entry a row, in one of four forms:
    integers and floats of any width and byte order, shape (rows,), for numeric A-XDR types;
    uint8, shape (rows, n), where every row holds an octet-string of n octets (n = 12: date-times);
    object, shape (rows,), for everything else and for mixed types (`None` stands for null-data).
    `null` is a bool mask of shape (rows,) of the rows that held null-data (their entry in a numeric or octet
    column is 0), or None where no row did.
    """

    values: NDArray[Any]
    null: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProfileTable:
    """Rows of one profile buffer as columns, in the order of the meter's capture objects.

    `odd_rows` holds what could not be a row of this profile (a missing or an extra column): the index at which
    it stood among all rows of the buffer, and its A-XDR octets. `rows` counts only the rows in `columns`.
    `row_octets(i)` and `cell_octets(i, c)` give A-XDR octets, tag included, for what has to be kept raw: row i stands
    in `buffer` from `row_offsets[i]` to `row_offsets[i + 1]`, its cells where `cell_offsets[layout_of[i]]` (one more
    than there are columns, counted from the row's first octet) says.
    """

    capture_objects: tuple[CaptureObject, ...]
    columns: tuple[Column, ...]
    rows: int
    buffer: bytes
    row_offsets: NDArray[np.int64]
    cell_offsets: NDArray[np.int64]
    layout_of: NDArray[np.int64]
    odd_rows: tuple[tuple[int, bytes], ...] = ()

    def row_octets(self, row: int) -> bytes:
        """The A-XDR octets of row `row` (0-based), tag of its structure included."""
        return self.buffer[int(self.row_offsets[row]) : int(self.row_offsets[row + 1])]

    def cell_octets(self, row: int, column: int) -> bytes:
        """The A-XDR octets of one cell, its tag included."""
        start = int(self.row_offsets[row])
        first, end = self.cell_offsets[int(self.layout_of[row]), column : column + 2].tolist()
        return self.buffer[start + first : start + end]
