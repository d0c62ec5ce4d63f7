"""Tables on a terminal, as JSON, as CSV, and as Parquet.

The one rule: files hold values and marks as they are; only a terminal's table is made for the eye.
"""

from __future__ import annotations

import csv
import enum
import io
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from headend.reading.line import line_json
from headend.reading.tables import Cell, Readout, Table
from headend.reading.text import to_text
from profiles.errors import SettingsError


class Form(enum.StrEnum):
    """How tables are given."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def rendered(readout: Readout, form: Form, *, width: int | None = None, colour: bool = False) -> bytes:
    """All that was read, as the octets of a file or of stdout. SettingsError for a form that holds one table alone."""
    if form is Form.JSON:
        return (json.dumps(to_json(readout), indent=2, ensure_ascii=False) + "\n").encode()
    if form is Form.TABLE:
        return to_text(readout, width=width, colour=colour).encode()
    if len(readout.tables) != 1:
        raise SettingsError(f"{form} holds one table: read one kind, or take --json")
    return to_csv(readout.tables[0]).encode() if form is Form.CSV else to_parquet(readout)


def to_json(readout: Readout) -> dict[str, Any]:
    """Who answered and what; of one kind beside it, of several by their names."""
    document: dict[str, Any] = {
        "address": readout.address,
        "system_title": readout.system_title.hex().upper() or None,
        "serial": readout.serial or None,
        "meter_type": readout.meter_type,
        "read_at": readout.read_at.isoformat(timespec="seconds"),
    }
    if readout.line is not None:
        document["line"] = line_json(readout.line)
    if len(readout.tables) == 1 and not readout.missing:
        return document | _table_json(readout.tables[0])
    document |= {table.what: _table_json(table) for table in readout.tables}
    return document | {"missing": list(readout.missing)}


def _table_json(table: Table) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if table.start is not None and table.end is not None:
        document |= {"interval_s": table.interval_s, "from": table.start.isoformat(), "to": table.end.isoformat()}
    document["units"] = {column.key: column.unit for column in table.columns if column.unit}
    document["intervals" if table.is_load else "rows"] = [
        {column.key: _json_cell(cell) for column, cell in zip(table.columns, row, strict=True)}
        | {"quality": list(table.marks_of(place))}
        for place, row in enumerate(table.rows)
    ]
    if table.is_load:
        document["suspects"] = [
            {"reason": suspect.reason, "stamp": suspect.stamp.hex(), "raw": suspect.raw.hex()}
            for suspect in table.suspects
        ]
    return document | {"notes": list(table.notes)}


def _json_cell(cell: Cell) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return cell


def to_csv(table: Table) -> str:
    """A line a row; the marks of a row are joined by `|`."""
    file = io.StringIO()
    writer = csv.writer(file)
    heads = [column.key for column in table.columns]
    period = [str(table.interval_s)] if table.is_load else []
    writer.writerow([*heads[:1], *(["interval_s"] if period else []), *heads[1:], "quality"])
    for place, row in enumerate(table.rows):
        cells = [_csv_cell(cell) for cell in row]
        writer.writerow([*cells[:1], *period, *cells[1:], "|".join(table.marks_of(place))])
    return file.getvalue()


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat()
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)


def to_parquet(readout: Readout) -> bytes:
    """The one table: times with the meter's zone, numbers as doubles; units, and who answered, in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (table,) = readout.tables
    fields, arrays = [], []
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in table.rows]
        kind = _arrow_type(cells, readout.zone)
        arrays.append(pa.array([_arrow_cell(cell, kind == pa.string()) for cell in cells], kind))
        fields.append(pa.field(column.key, kind, metadata={"unit": column.unit, "title": column.title}))
    marks = [list(table.marks_of(place)) for place in range(len(table.rows))]
    arrays.append(pa.array(marks, pa.list_(pa.string())))
    fields.append(pa.field("quality", pa.list_(pa.string())))
    about = {name: str(value) for name, value in to_json(readout).items() if isinstance(value, str | int)}
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=about)), file, compression="zstd")
    return file.getvalue()


def _arrow_type(cells: Sequence[Cell], zone: str) -> Any:
    import pyarrow as pa

    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {datetime}:
        return pa.timestamp("us", tz=zone)
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float, Decimal} else pa.string()


def _arrow_cell(cell: Cell, as_text: bool) -> Any:
    if cell is None:
        return None
    if as_text:
        return _csv_cell(cell)
    return float(cell) if isinstance(cell, Decimal) else cell
