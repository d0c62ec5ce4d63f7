"""What the demo shows: progress on stderr while it works, then what was collected on stdout."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import plotext
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from headend.printing import completeness_table

if TYPE_CHECKING:
    from headend.demo.run import Collected
    from headend.demo.servers import SimulatedFleet

EDITIONS = {
    "apache": "a TimescaleDB hypertable (Apache edition)",
    "timescale": "a TimescaleDB hypertable (Community edition)",
    "postgresql": "native partitions of plain PostgreSQL",
}
CURVE_WIDTH, CURVE_HEIGHT = 100, 18

FURTHER = """\
SELECT * FROM load_profile WHERE meter = '{meter}' ORDER BY starts_at;      -- kWh, V, A
SELECT local_day, sum(kwh_import) FROM load_profile WHERE meter = '{meter}' GROUP BY 1 ORDER BY 1;
SELECT * FROM completeness(now() - INTERVAL '1 day', now());
SELECT * FROM meter_status;"""


class Screen:
    """stdout for results, stderr for progress; `quiet` leaves stdout to JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Console(stderr=True)
        self._results = Console(quiet=quiet)

    def say(self, text: str) -> None:
        """A line about what goes on."""
        self._progress.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, intervals: int) -> Iterator[Callable[[int], None]]:
        """A bar of intervals collected; call what it yields with each number that came."""
        columns = (
            TextColumn("collecting"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("intervals"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._progress) as bar:
            task = bar.add_task("collecting", total=intervals)
            yield lambda number: bar.advance(task, number)

    def show(self, collected: Collected, fleet: SimulatedFleet, look: str) -> None:
        """Everything that was found, and how to `look` further; without such a command the database is gone soon."""
        compared = collected.compared
        self._results.print(completeness_table(collected.divisions))
        self._print_curve(collected)
        self._print(
            f"{compared.equal:,} of {compared.expected:,} intervals stand in {EDITIONS[collected.edition]}, "
            f"each value as its meter said.\n{compared.stored / collected.seconds:,.0f} intervals a second: "
            f"{fleet.meters} ciphered sessions in {collected.seconds:.1f} s, on this machine with the meters and "
            f"the database.\n"
        )
        self._print(f"Look further: {look}" if look else "Look further with --keep, which leaves the database up:")
        self._print(FURTHER.format(meter=collected.day_of))

    def _print(self, text: str) -> None:
        self._results.print(text, highlight=False, markup=False, soft_wrap=True)

    def _print_curve(self, collected: Collected) -> None:
        if not collected.day or self._results.quiet:
            return
        plotext.clear_figure()
        plotext.theme("pro" if sys.stdout.isatty() else "clear")
        plotext.plotsize(min(CURVE_WIDTH, self._results.width), CURVE_HEIGHT)
        hours = [start.hour + start.minute / 60 for start, _ in collected.day]
        plotext.plot(hours, [kw for _, kw in collected.day], marker="braille")
        plotext.xticks(list(range(0, 25, 3)), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
        plotext.ylabel("kW")
        plotext.title(f"{collected.day_of}, {collected.day[0][0]:%A %d %B %Y}")
        self._print(plotext.build() if sys.stdout.isatty() else plotext.uncolorize(plotext.build()))
