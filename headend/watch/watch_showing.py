"""What is watched, as a table that moves on a terminal, as plain lines in a pipe, or as lines of JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from headend.reading.tables import Cell
from headend.reading.telling import Telling
from headend.reading.text import marks_text
from headend.watch.samples import Courses, Sample
from headend.words import joined, spoken, words

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class Showing(Protocol):
    """Where samples go."""

    def begun(self, who: str) -> None:
        """Who is watched."""

    def show(self, sample: Sample) -> None:
        """One more sample."""

    def say(self, text: str) -> None:
        """What goes on with the link."""


class Said(Telling):
    """A telling whose steps are shown, too, where the values are."""

    def __init__(self, showing: Showing, *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self._showing = showing

    def say(self, text: str) -> None:
        super().say(text)
        self._showing.say(text)


class Lines:
    """One line a sample; `as_json`: an object each."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._who = ""

    def begun(self, who: str) -> None:
        self._who = who

    def say(self, text: str) -> None:
        """Steps go to stderr, with -v."""

    def show(self, sample: Sample) -> None:
        if self._as_json:
            pairs = list(zip(sample.columns, sample.cells, strict=True))
            row = {
                "at": sample.at.isoformat(),
                "meter": self._who,
                "values": {column.key: _plain(cell) for column, cell in pairs},
                "units": {column.key: column.unit for column, _ in pairs if column.unit},
                "quality": list(sample.marks),
            }
            print(json.dumps(row), flush=True)  # noqa: T201
            return
        shown = [
            f"{spoken(column.title)} {text_of(cell)} {column.unit}".rstrip()
            for column, cell in zip(sample.columns, sample.cells, strict=True)
        ]
        marks = [f"({spoken(marks_text(sample.marks))})"] if sample.marks else []
        print("  ".join([f"{sample.at.astimezone():%H:%M:%S}", *shown, *marks]), flush=True)  # noqa: T201


class Moving:
    """A table on a terminal, with a sparkline of each value."""

    def __init__(self, live: Live, every_s: float) -> None:
        self._live = live
        self._every_s = every_s
        self._courses = Courses()
        self._who = self._link = ""
        self._sample: Sample | None = None

    def begun(self, who: str) -> None:
        self._who, self._link = who, ""

    def say(self, text: str) -> None:
        self._link = spoken(text)
        self._draw()

    def show(self, sample: Sample) -> None:
        self._sample, self._link = sample, ""
        self._courses.take(sample)
        self._draw()

    def _draw(self) -> None:
        from rich.console import Group
        from rich.text import Text

        parts = [] if self._sample is None else [self._table(self._sample)]
        link = Text(self._link, style="yellow")
        self._live.update(Group(*parts, link) if self._link else Group(*parts), refresh=True)

    def _table(self, sample: Sample) -> Table:
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        about = {"who": self._who, "time": f"{sample.at.astimezone():%H:%M:%S}", "seconds": self._every_s}
        marks = joined(["", marks_text(sample.marks)], " · ") if sample.marks else ""
        title = spoken(words("watch.watch_title", marks=marks, **about))
        table = Table(box=box.SIMPLE_HEAD, title=escape(title), title_justify="left")
        table.add_column("", no_wrap=True)
        table.add_column(spoken(words("watch.watch_now")), justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column(spoken(words("watch.watch_lowest")), justify="right", no_wrap=True)
        table.add_column(spoken(words("watch.watch_highest")), justify="right", no_wrap=True)
        table.add_column(spoken(words("watch.watch_course")), no_wrap=True)
        for column, cell in zip(sample.columns, sample.cells, strict=True):
            course = self._courses.of[column.key]
            number = isinstance(cell, Decimal | int | float)
            table.add_row(
                escape(spoken(column.title)),
                f"[bold]{escape(text_of(cell))}[/]" if number else escape(text_of(cell)),
                escape(column.unit),
                "" if course.lowest is None else text_of(course.lowest),
                "" if course.highest is None else text_of(course.highest),
                course.sparkline(),
            )
        return table


@contextmanager
def moving(every_s: float) -> Iterator[Moving]:
    """While this lasts, a table on the terminal; the last of it stays."""
    from rich.console import Console
    from rich.live import Live

    console = Console(no_color=bool(os.environ.get("NO_COLOR")))
    with Live(console=console, auto_refresh=False) as live:
        yield Moving(live, every_s)


def text_of(cell: Cell) -> str:
    """As it is shown; what the meter gave no value for is said to be none."""
    if cell is None:
        return spoken(words("watch.watch_no_value"))
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    if isinstance(cell, str):
        return spoken(cell)
    return f"{cell:,}" if isinstance(cell, Decimal | float) else str(cell)


def _plain(cell: Cell) -> str | int | float | None:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return cell
