"""What goes on, told on stderr: a bar on a terminal, and with -v each step in plain words.

The one rule: nothing of it goes to stdout, and in a pipe nothing is told that was not asked for.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headend.words import spoken, words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Telling:
    """Tells a person at a terminal how far a reading is; `verbose` also why it does what it does."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """One step, told with -v."""
        if self._verbose:
            self.warn(text)

    def warn(self, text: str) -> None:
        """A line that is always told."""
        line = f"headend: {spoken(text)}"
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    @contextlib.contextmanager
    def reading(self, what: str, rows: int | None = None) -> Iterator[None]:
        """While this lasts, a bar of `rows` rows, if stderr is a terminal; None: nobody knows how many come."""
        if not sys.stderr.isatty():
            yield
            return
        with _new_bar() as bar:
            self._bar, self._task = bar, bar.add_task(spoken(what), total=rows)
            try:
                yield
            finally:
                self._bar = self._task = None

    def rows(self, number: int) -> None:
        """So many more rows came."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)


def _new_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(spoken(words("reading.rows_left"))),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
