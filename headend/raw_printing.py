"""What the raw commands print: to stdout what the meter said, as text, table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headend.words import spoken
from profiles.classes import class_name
from profiles.obis_names import obis_name

if TYPE_CHECKING:
    from drivers.cosem.object_list import Access, ListedObject
    from headend.raw_profile import Columns


def print_lines(lines: Iterable[str], *, to_stderr: bool = False) -> None:
    """Text; to stderr where it is only a question's."""
    (sys.stderr if to_stderr else sys.stdout).write("".join(f"{spoken(line)}\n" for line in lines))


def print_json(document: Any) -> None:
    """One JSON document."""
    json.dump(document, sys.stdout, indent=2)
    print()


def warn(text: str) -> None:
    """A line on stderr."""
    print(f"headend: {spoken(text)}", file=sys.stderr)


def print_objects(objects: Sequence[ListedObject]) -> None:
    """A line an object: `1-3 read, 4 read write`."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("class", "", "version"):
        table.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    for name in ("OBIS", "name", "attributes", "methods"):
        table.add_column(name, no_wrap=True)
    for one in objects:
        attributes = [(right.attribute, _rights(right.access)) for right in one.attributes]
        methods = [(right.method, _rights(right.access, method=True)) for right in one.methods]
        table.add_row(
            str(one.class_id),
            escape(class_name(one.class_id)),
            str(one.version),
            str(one.obis),
            escape(obis_name(one.obis) or ""),
            _grouped(attributes),
            _grouped(methods),
        )
    print_whole(table)
    print(f"{len(objects)} objects")


def _rights(access: Access, *, method: bool = False) -> str:
    from drivers.cosem.object_list import access_text

    return access_text(access, method=method).replace(", ", " ")


def _grouped(rights: list[tuple[int, str]]) -> str:
    """Neighbours with the same rights together."""
    groups: list[tuple[int, int, str]] = []
    for index, right in rights:
        if groups and groups[-1][1:] == (index - 1, right):
            groups[-1] = (groups[-1][0], index, right)
        else:
            groups.append((index, index, right))
    return ", ".join(f"{first}{'' if first == last else f'-{last}'} {right}" for first, last, right in groups)


def print_table(columns: Columns, rows: Sequence[Sequence[Any]], title: str) -> None:
    """The rows of a profile under their names, codes and units."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    print(title)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        heading = "\n".join((*_folded(column.name), column.reference, column.unit))
        table.add_column(escape(heading), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    print_whole(table)


def print_csv(columns: Columns, rows: Sequence[Sequence[Any]]) -> None:
    """The rows of a profile; a column is headed by class, OBIS and attribute, and its unit."""
    writer = csv.writer(sys.stdout)
    writer.writerow([f"{column.reference} [{column.unit}]" if column.unit else column.reference for column in columns])
    writer.writerows([[_plain(value) for value in row] for row in rows])


def _plain(value: Any) -> Any:
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else value


def _folded(name: str, width: int = 18) -> list[str]:
    """A heading in lines that are not much wider than what stands under it."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
