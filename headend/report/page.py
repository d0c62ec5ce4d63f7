"""The report of one meter: who it is, its load curve, its billing periods, its events; as far as they were read.

The one rule: everything that a meter said is escaped: a meter's text is never markup.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from importlib.metadata import version
from typing import Final

from headend.reading.plots import energy_of, number
from headend.reading.tables import Cell, Readout, Table
from headend.reading.text import marks_text, shown, title_of
from headend.report.charts import bars, curve

_ORDER: Final = ("nameplate", "clock", "status", "now", "block-load", "daily", "billing", "events")
_CURVES: Final = ("voltage", "voltage_l1", "voltage_l2", "voltage_l3", "current")
_MOST_ROWS: Final = 2000
"""Of one table; a curve shows the rest."""

_STYLE: Final = """
body{font:15px/1.45 system-ui,"Noto Sans","Noto Sans Devanagari",sans-serif;color:#1b2a33;max-width:64rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:2px solid #d5dde2}
.about{color:#5a6b75;margin:.3rem 0 1rem}.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem}th,td{padding:.2rem .6rem;text-align:left;white-space:nowrap;
border-bottom:1px solid #e6ecef}th{background:#f3f6f8;vertical-align:bottom}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}td.q,.note{color:#9a5b00}details summary{cursor:pointer;color:#0b5f8a}
figure{margin:.5rem 0}figcaption{font-size:.85rem;color:#5a6b75}svg{width:100%;height:auto}
svg text{font-size:11px;fill:#5a6b75}.grid{stroke:#e6ecef}.line{fill:none;stroke:#0b7a5b;stroke-width:1.3}
circle.line{fill:#0b7a5b}.bar{fill:#2b83ba}footer{margin-top:2rem;color:#5a6b75;font-size:.8rem}
@media print{body{max-width:none;margin:0}}
"""


def page(readout: Readout) -> str:
    """The whole HTML file."""
    name = readout.serial or readout.system_title.hex().upper() or readout.address
    sections = "".join(_section(table) for what in _ORDER if (table := readout.table(what)) is not None)
    if readout.missing:
        sections += _missing(readout.missing)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Meter {escape(name)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Meter {escape(name)}</h1>{_about(readout)}{sections}{_footer(readout)}</body></html>\n"
    )


def _about(readout: Readout) -> str:
    title = readout.system_title.hex().upper()
    parts = (readout.address, f"system title {title}" if title else "", readout.meter_type)
    return f'<p class="about">{escape(" · ".join(part for part in parts if part))}</p>'


def _footer(readout: Readout) -> str:
    return (
        f"<footer>Read {readout.read_at:%Y-%m-%d %H:%M:%S} UTC with headend {escape(version('headend'))}. "
        f"Times are the meter's own, {escape(readout.zone)}. What is known against a value stands beside it under "
        "quality.</footer>"
    )


def _missing(sentences: tuple[str, ...]) -> str:
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<section><h2>Not read</h2><ul>{lines}</ul></section>"


def _section(table: Table) -> str:
    drawn = _charts(table)
    rows = _upright(table) if table.upright else _rows(table.without_empty())
    if drawn and table.is_load:
        rows = f"<details><summary>{len(table.rows)} rows</summary>{rows}</details>"
    notes = [*table.notes, *(f"not believed, {one.reason}: {one.raw.hex()}" for one in table.suspects)]
    told = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return f"<section><h2>{escape(title_of(table))}</h2>{drawn}{rows}{told}</section>"


def _charts(table: Table) -> str:
    found = energy_of(table)
    if found is None:
        return ""
    column, times, values = found
    if table.what != "block-load":
        return bars(times, values, column.title, column.unit)
    drawn = curve(times, values, column.title, column.unit)
    for beside in table.columns:
        if beside.key in _CURVES:
            drawn += curve(times, [number(cell) for cell in table.values(beside.key)], beside.title, beside.unit)
    return drawn


def _upright(table: Table) -> str:
    """A line for each column."""
    lines = []
    for place, column in enumerate(table.columns):
        cells = "".join(_cell(row[place], column.unit, table.decimals(place)) for row in table.rows)
        lines.append(f"<tr><th>{escape(column.title)}</th>{cells}<td>{escape(column.unit)}</td></tr>")
    if any(table.marks):
        marks = "".join(f'<td class="q">{escape(marks_text(marks))}</td>' for marks in table.marks)
        lines.append(f"<tr><th>quality</th>{marks}<td></td></tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _rows(table: Table) -> str:
    """A line for each row."""
    if not table.rows:
        return "<p>None.</p>"
    decimals = [table.decimals(place) for place in range(len(table.columns))]
    heads = "".join(
        f"<th{_class(cell)}>{escape(column.title)}<br>{escape(column.unit)}</th>"
        for column, cell in zip(table.columns, table.rows[0], strict=True)
    )
    left_out = max(len(table.rows) - _MOST_ROWS, 0)
    lines = []
    for at in range(left_out, len(table.rows)):
        cells = "".join(
            _cell(cell, column.unit, places)
            for cell, column, places in zip(table.rows[at], table.columns, decimals, strict=True)
        )
        lines.append(f'<tr>{cells}<td class="q">{escape(marks_text(table.marks_of(at)))}</td></tr>')
    before = f"<p>The oldest {left_out} rows are left out here.</p>" if left_out else ""
    return (
        f'{before}<div class="scroll"><table><thead><tr>{heads}<th>quality</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(cell: Cell, unit: str, decimals: int) -> str:
    return f"<td{_class(cell)}>{escape(shown(cell, unit, decimals))}</td>"


def _class(cell: Cell) -> str:
    return "" if cell is None or isinstance(cell, str | datetime) else ' class="n"'
