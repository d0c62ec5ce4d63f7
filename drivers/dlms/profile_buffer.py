"""Profile buffers (Profile generic, attribute 2) to columns, and the capture objects and scalers that explain them.

The one rule: no octet is trusted that was not looked at. The layout of a row (its tags and lengths) is learnt from the
row itself; the rows that follow are checked against it octet for octet, all at once, and only then is their data read
as one structured dtype. Where rows differ (null-data, strings that vary), each is walked, and rows of one layout are
still read together. A row that has a column too few or too many is kept apart, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import axdr
from profiles.errors import ProtocolError
from profiles.objects import CaptureObject, Obis, ScalerUnit
from profiles.table import Column, ProfileTable

MAX_ROWS: Final = 100_000
"""Above any meter's depth: 180 days of quarter hours are 17 280 rows."""
MAX_COLUMNS: Final = 512

_ALIKE: Final = 8
"""Rows of one layout in a row after which those that follow are compared at once: fewer are cheaper walked."""
_FIRST_WINDOW: Final = 64
"""Rows that are compared at once at first; doubled while all are alike, so that a short run costs little."""

_NUMBERS: Final[dict[int, str]] = {
    axdr.BOOLEAN: ">u1",
    axdr.DOUBLE_LONG: ">i4",
    axdr.DOUBLE_LONG_UNSIGNED: ">u4",
    axdr.FLOATING_POINT: ">f4",
    axdr.BCD: ">i1",
    axdr.INTEGER: ">i1",
    axdr.LONG: ">i2",
    axdr.UNSIGNED: ">u1",
    axdr.LONG_UNSIGNED: ">u2",
    axdr.LONG64: ">i8",
    axdr.LONG64_UNSIGNED: ">u8",
    axdr.ENUM: ">u1",
    axdr.FLOAT32: ">f4",
    axdr.FLOAT64: ">f8",
}
_OCTETS: Final[dict[int, int]] = {axdr.DATE_TIME: 12, axdr.DATE: 5, axdr.TIME: 4}
_COMPACT: Final = bytes([axdr.COMPACT_ARRAY])
_NULLS: Final = (axdr.NULL, axdr.DONT_CARE)

_Kind = int
"""What one cell is: its tag, where that fixes its size; 256 + length for an octet-string; minus its size otherwise."""


def _data_size(kind: _Kind) -> int:
    """Octets of a cell's data, tag and length apart, where they are fixed."""
    if kind in _NUMBERS:
        return np.dtype(_NUMBERS[kind]).itemsize
    return kind - 256 if kind >= 256 else _OCTETS.get(kind, 0)


_SIZES: Final = [1 + _data_size(tag) if tag in (*_NUMBERS, *_OCTETS, *_NULLS) else 0 for tag in range(256)]
"""By tag: octets of a cell of fixed size, its tag included; 0 for the others."""


def decode_profile(
    buffer: bytes, capture_objects: Sequence[CaptureObject], *, max_rows: int = MAX_ROWS
) -> ProfileTable:
    """The rows of a buffer (A-XDR array of structures) as columns, one for each of `capture_objects`.

    An array of no rows gives a table of no rows; a compact-array is read as the array that it stands for.

    Raises ProtocolError on anything but a whole array, on more than `max_rows` rows, and where octets are missing or
    left over.
    """
    if not 0 < len(capture_objects) <= MAX_COLUMNS:
        raise ProtocolError(f"a profile of {len(capture_objects)} columns; from 1 to {MAX_COLUMNS} are possible")
    if buffer[:1] == _COMPACT:
        buffer = axdr.encode_typed(axdr.Datum("array", axdr.decode_typed(buffer).value))
    reader = axdr.Reader(buffer, "profile buffer")
    tag = reader.octet()
    if tag != axdr.ARRAY:
        raise ProtocolError(f"profile buffer: an array (tag 1) expected, tag {tag} received")
    count = reader.length()
    if count > max_rows:
        raise ProtocolError(f"profile buffer: {count} rows, more than {max_rows}", retry=False)
    rows = _Rows(buffer, axdr.structure(*[axdr.null()] * len(capture_objects))[: -len(capture_objects)])
    try:
        end = rows.read(reader.offset, count, len(capture_objects))
    except IndexError:
        raise ProtocolError(f"profile buffer: {len(buffer)} octets end inside a row of {count} announced") from None
    if end != len(buffer):
        raise ProtocolError(f"profile buffer: {len(buffer) - end} octets after the {count} rows announced")
    return rows.table(tuple(capture_objects))


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """How a row is built. Offsets count from its first octet; those in `fixed`, of tags and lengths, hold `expected`.

    `record` reads the data of such rows at once. Only a row of cells with a fixed size has `record`; any other says
    only where its cells are.
    """

    kinds: tuple[_Kind, ...]
    cells: tuple[int, ...]
    data: tuple[int, ...]
    fixed: NDArray[np.int64]
    expected: NDArray[np.uint8]
    record: np.dtype[np.void] | None

    @property
    def size(self) -> int:
        return self.cells[-1]


@lru_cache(maxsize=512)
def _layout(header: bytes, kinds: tuple[_Kind, ...]) -> _Layout:
    expected = bytearray(header)
    fixed = list(range(len(header)))
    cells, data = [len(header)], []
    for kind in kinds:
        start = cells[-1]
        prefix = bytes((axdr.OCTET_STRING, kind - 256)) if kind >= 256 else bytes((max(kind, 0),))
        expected += prefix
        fixed += range(start, start + len(prefix))
        data.append(start + len(prefix))
        cells.append(data[-1] + _data_size(kind) if kind >= 0 else start - kind)
    record = None
    if min(kinds) >= 0:
        formats = [_NUMBERS.get(kind, f"({_data_size(kind)},)u1") for kind in kinds]
        names = [str(column) for column in range(len(kinds))]
        record = np.dtype({"names": names, "formats": formats, "offsets": data, "itemsize": cells[-1]})
    return _Layout(kinds, tuple(cells), tuple(data), np.array(fixed), np.frombuffer(bytes(expected), np.uint8), record)


@dataclass(slots=True)
class _Rows:
    """Where the rows of one buffer are and how they are built: runs of rows of one layout, and odd rows apart."""

    buffer: bytes
    header: bytes
    layouts: dict[tuple[_Kind, ...], tuple[int, _Layout]] = field(default_factory=dict)
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    """(layout number, offset of the first row, rows)."""
    odd: list[tuple[int, int, int]] = field(default_factory=list)
    """(index among all rows, offset, end)."""

    def read(self, offset: int, count: int, width: int) -> int:
        """Find `count` rows from `offset` on; returns where they end. IndexError where the buffer ends before."""
        row, last, alike = 0, -1, 0
        while row < count:
            if not self.buffer.startswith(self.header, offset):
                end = axdr.decode_from(self.buffer, offset)[1]
                self.odd.append((row, offset, end))
                row, offset = row + 1, end
                continue
            number, layout = self._layout_at(offset, width)
            run, alike = 1, alike + 1 if number == last else 0
            if layout.record is not None and (alike == _ALIKE or row == 0):
                run, alike = self._run(layout, offset, count - row, whole=row == 0), 0
            self.runs.append((number, offset, run))
            row, last, offset = row + run, number, offset + run * layout.size
            if offset > len(self.buffer):
                raise IndexError
        return offset

    def _layout_at(self, offset: int, width: int) -> tuple[int, _Layout]:
        buffer, kinds = self.buffer, []
        offset += len(self.header)
        for _ in range(width):
            tag = buffer[offset]
            size = _SIZES[tag]
            if size:
                kinds.append(tag)
            elif tag == axdr.OCTET_STRING and 0 < buffer[offset + 1] < 0x80:
                size = 2 + buffer[offset + 1]
                kinds.append(254 + size)
            else:
                size = axdr.decode_from(buffer, offset)[1] - offset
                kinds.append(-size)
            offset += size
        key = tuple(kinds)
        known = self.layouts.get(key)
        if known is None:
            known = self.layouts[key] = (len(self.layouts), _layout(self.header, key))
        return known

    def _run(self, layout: _Layout, offset: int, rows: int, *, whole: bool) -> int:
        """How many rows from `offset` on, at most `rows`, have this layout; `whole`: only if all of them may."""
        left = len(self.buffer) - offset
        limit = min(rows, left // layout.size)
        if whole and rows * layout.size != left:
            return 1
        window = limit if whole else _FIRST_WINDOW
        run = 1
        while run < limit:
            many = min(window, limit - run)
            block = np.frombuffer(self.buffer, np.uint8, many * layout.size, offset + run * layout.size)
            same = block.reshape(many, layout.size)[:, layout.fixed] == layout.expected
            if not same.all():
                return run + int(same.all(axis=1).argmin())
            run += many
            window *= 2
        return run

    def table(self, capture_objects: tuple[CaptureObject, ...]) -> ProfileTable:
        if len(self.runs) == 1 and not self.odd and (table := self._record_table(capture_objects)):
            return table
        layouts = [layout for _, layout in self.layouts.values()]
        numbers, first, counts = np.array(self.runs, np.int64).reshape(-1, 3).T
        rows = int(counts.sum())
        layout_of = np.repeat(numbers, counts)
        cells = np.array([layout.cells for layout in layouts], np.int64).reshape(-1, len(capture_objects) + 1)
        sizes = cells[:, -1][layout_of]
        # A row's offset: where its run begins, and the rows of the run before it.
        within = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
        offsets = np.repeat(first, counts) + within * sizes
        columns = self._columns(layouts, layout_of, offsets, len(capture_objects))
        buffer, start = self.buffer, int(offsets[0]) if rows else 0
        if self.odd:
            buffer, start = self._without_odd_rows(start), 0
        row_offsets = start + np.concatenate(([0], np.cumsum(sizes)))
        odd_rows = tuple((row, self.buffer[offset:end]) for row, offset, end in self.odd)
        return ProfileTable(capture_objects, columns, rows, buffer, row_offsets, cells, layout_of, odd_rows)

    def _without_odd_rows(self, start: int) -> bytes:
        ends = [(offset, end) for _, offset, end in self.odd if offset >= start]
        edges = [start, *(edge for piece in ends for edge in piece), len(self.buffer)]
        return b"".join(self.buffer[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))

    def _record_table(self, capture_objects: tuple[CaptureObject, ...]) -> ProfileTable | None:
        """The table of rows that are all of one layout of fixed sizes: its columns are views, nothing is copied."""
        ((_, start, rows),) = self.runs
        ((_, layout),) = self.layouts.values()
        if layout.record is None:
            return None
        records = np.frombuffer(self.buffer, layout.record, rows, start)
        columns = tuple(
            _null_column(rows) if kind in _NULLS else Column(records[str(column)])
            for column, kind in enumerate(layout.kinds)
        )
        row_offsets = np.arange(start, start + (rows + 1) * layout.size, layout.size)
        cells = np.array([layout.cells], np.int64)
        return ProfileTable(capture_objects, columns, rows, self.buffer, row_offsets, cells, np.zeros(rows, np.int64))

    def _columns(
        self, layouts: list[_Layout], layout_of: NDArray[np.int64], offsets: NDArray[np.int64], width: int
    ) -> tuple[Column, ...]:
        """The columns of rows of several layouts."""
        kinds = np.array([layout.kinds for layout in layouts], np.int64).reshape(-1, width)
        cells = np.array([layout.cells for layout in layouts], np.int64).reshape(-1, width + 1)
        data = np.array([layout.data for layout in layouts], np.int64).reshape(-1, width)
        columns = []
        for column in range(width):
            kind_of = kinds[layout_of, column]
            known = set(kinds[:, column].tolist())
            null = np.logical_or.reduce([kind_of == kind for kind in _NULLS]) if known & set(_NULLS) else None
            known.difference_update(_NULLS)
            form = _form(known)
            if form is None:
                values = self._objects((offsets + cells[layout_of, column]).tolist())
            else:
                values = self._values(form, known, kind_of, offsets + data[layout_of, column])
            columns.append(Column(values, null))
        return tuple(columns)

    def _values(
        self, form: np.dtype[Any], kinds: set[_Kind], kind_of: NDArray[np.int64], data: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Cells of `kinds` as values of one form; their data stand at the offsets `data`. Null-data is 0."""
        octets = np.frombuffer(self.buffer, np.uint8)
        values = np.zeros(len(data), form)
        for kind in kinds:
            where = np.flatnonzero(kind_of == kind)
            found = octets[data[where, np.newaxis] + np.arange(_data_size(kind))]
            values[where] = found.view(_NUMBERS[kind])[:, 0] if kind in _NUMBERS else found
        return values

    def _objects(self, cells: list[int]) -> NDArray[np.object_]:
        values = np.empty(len(cells), object)
        for row, cell in enumerate(cells):
            values[row] = axdr.decode_from(self.buffer, cell)[0]
        return values


def _form(kinds: set[_Kind]) -> np.dtype[Any] | None:
    """The numpy type that holds cells of all these kinds without loss; None where only objects do."""
    numbers = {_NUMBERS[kind] for kind in kinds if kind in _NUMBERS}
    if kinds and not numbers:
        sizes = {_data_size(kind) for kind in kinds}
        return np.dtype((np.uint8, (sizes.pop(),))) if len(sizes) == 1 and min(kinds) >= 0 else None
    if len(numbers) <= 1:
        return np.dtype(numbers.pop() if numbers else np.int8) if kinds <= _NUMBERS.keys() else None
    if kinds <= _NUMBERS.keys() and len({"f" in number for number in numbers}) == 1 and ">u8" not in numbers:
        return np.dtype(np.float64 if "f" in numbers.pop() else np.int64)
    return None


def _null_column(rows: int) -> Column:
    return Column(np.zeros(rows, np.int8), np.ones(rows, np.bool_))


def decode_capture_objects(data: bytes) -> tuple[CaptureObject, ...]:
    """Profile generic, attribute 3: array of {class id, logical name, attribute index, data index, …} (Blue Book)."""
    return tuple(_capture_object(item) for item in _array(data, "capture objects"))


def _capture_object(item: axdr.Value) -> CaptureObject:
    # Later versions of the class add a restriction behind the data index; columns are the same.
    match item:
        case axdr.Structure((int(class_id), bytes(name), int(attribute), int(data_index), *_)):
            if len(name) == 6 and 0 <= class_id <= 0xFFFF and -128 <= attribute <= 127 and 0 <= data_index <= 0xFFFF:
                return CaptureObject(class_id, Obis.of(name), attribute, data_index)
    raise ProtocolError("capture objects: an element is not {class id, logical name, attribute, data index}")


def decode_scaler_unit(data: bytes, of: str = "scaler_unit") -> ScalerUnit:
    """Register, attribute 3: structure {scaler int8, unit enum}; `of` names the object in the error."""
    return _scaler_unit(axdr.decode(data), of)


def decode_scalers(capture_objects: Sequence[CaptureObject], buffer: bytes) -> dict[tuple[int, Obis, int], ScalerUnit]:
    """The one row of a scaler profile, by (class id, OBIS, 2): the value attribute that a scaler belongs to.

    Columns point at attribute 3; one maker's at attribute 2 (docs/meter-facts.md, "Scaler profiles"), where what is
    no scaler, such as a clock, is passed over. Raises ProtocolError on no row and on a row of another width.
    """
    rows = _array(buffer, "scaler profile")
    if not rows or not isinstance(rows[0], axdr.Structure) or len(rows[0]) != len(capture_objects):
        raise ProtocolError(f"scaler profile: a row of {len(capture_objects)} columns expected, not received")
    scalers: dict[tuple[int, Obis, int], ScalerUnit] = {}
    for captured, value in zip(capture_objects, rows[0], strict=True):
        if captured.attribute == 3 or isinstance(value, axdr.Structure):
            scalers[captured.class_id, captured.obis, 2] = _scaler_unit(value, f"scaler of {captured}")
    return scalers


def _scaler_unit(value: axdr.Value, of: str) -> ScalerUnit:
    match value:
        case axdr.Structure((int(scaler), int(unit))) if -128 <= scaler <= 127 and 0 <= unit <= 255:
            return ScalerUnit(scaler, unit)
    raise ProtocolError(f"{of}: not a structure of scaler and unit")


def _array(data: bytes, what: str) -> list[axdr.Value]:
    value = axdr.decode(data)
    if not isinstance(value, list) or len(value) > MAX_COLUMNS:
        raise ProtocolError(f"{what}: not an array of at most {MAX_COLUMNS} elements")
    return value
