"""Findings for the eye: the verdict, then a table of all findings, the gravest first, each with its remedy.

The one rule: no sentence is cut; it is folded between words, and in a pipe at the width of a page.
"""

from __future__ import annotations

import io
from typing import Final

from headend.check.finding import Verdict, in_order, verdict_of
from headend.check.patient import Patient
from headend.words import spoken, words

_PAGE: Final = 110
_COLOURS: Final = {Verdict.BROKEN: "bold red", Verdict.MEND: "yellow", Verdict.UNKNOWN: "dim", Verdict.GOOD: "green"}


def to_text(patient: Patient, *, width: int | None, colour: bool) -> str:
    """What `headend check` prints. `width`: the terminal's, None in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    verdict = verdict_of(patient.findings)
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=colour, width=max(width or _PAGE, 60), no_color=not colour, highlight=False
    )
    serial = "" if patient.identity is None else patient.identity.serial
    heading = " · ".join(part for part in (str(patient.address), serial, patient.meter_type.name) if part)
    console.print(heading, markup=False, soft_wrap=True)
    console.print(f"{spoken(words('check.verdict'))}: {_shown(verdict)}")
    drawn = Table(box=box.SIMPLE, show_header=False, padding=(0, 1, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for one in in_order(patient.findings):
        said = escape(spoken(one.said)) + (f"\n→ {escape(spoken(one.remedy))}" if one.remedy else "")
        drawn.add_row(_shown(one.verdict), spoken(words(f"check.subject_{one.subject}")), said)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _shown(verdict: Verdict) -> str:
    return f"[{_COLOURS[verdict]}]{spoken(words(f'check.verdict_{verdict.name.lower()}'))}[/]"
