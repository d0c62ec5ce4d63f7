"""The command from end to end: read, then show, draw, write and report.

The one rule: stdout has what was asked for and nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from headend.reading.output import Form, rendered
from headend.reading.pieces import EVERYTHING
from headend.reading.tables import Readout, reason_of
from headend.reading.telling import Telling
from headend.single_read import SingleRead, read_meter
from headend.words import words
from profiles.errors import SettingsError
from profiles.whole_file import written_whole

_SUFFIXES: Final = {".json": Form.JSON, ".csv": Form.CSV, ".parquet": Form.PARQUET}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What becomes of what was read."""

    form: Form = Form.TABLE
    out: Path | None = None
    report: Path | None = None
    plot: bool = False


def form_of(asked: Mapping[str, bool], out: Path | None) -> Form:
    """The form that the options, or else the file's name, say. Raises typer.BadParameter."""
    chosen = [Form(name) for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter("choose one of --json, --csv and --parquet")
    by_name = Form.TABLE if out is None else _SUFFIXES.get(out.suffix, Form.TABLE)
    form = chosen[0] if chosen else by_name
    if form is Form.PARQUET and out is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: add --out FILE")
    return form


def read_and_give(wanted: SingleRead, outputs: Outputs) -> None:
    """Read, then give. Raises HeadEndError, and typer.BadParameter for what does not go together."""
    check_outputs(wanted.what, outputs)
    telling = Telling(verbose=wanted.options.verbose)
    give(read_meter(wanted, telling), outputs, telling)


def check_outputs(what: str, outputs: Outputs) -> None:
    """Raises typer.BadParameter for what does not go together."""
    if what == EVERYTHING and outputs.form in (Form.CSV, Form.PARQUET):
        raise typer.BadParameter(f"{outputs.form} holds one table: read one kind, or take --json")
    if outputs.plot and outputs.form is not Form.TABLE:
        raise typer.BadParameter(f"--plot draws, --{outputs.form} does not: take one of them")


def give(readout: Readout, outputs: Outputs, telling: Telling) -> None:
    """Show, draw, write and report what was read. SettingsError for what can't be given so."""
    colour = outputs.out is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size().columns
    if outputs.plot:
        from headend.reading.plots import plotted

        octets = plotted(readout, width=width, colour=colour).encode()
    else:
        octets = rendered(readout, outputs.form, width=width if colour else None, colour=colour)
    if outputs.out is not None:
        _write(outputs.out, octets, telling)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)
        sys.stdout.flush()
    if outputs.report is not None:
        from headend.report.page import page

        _write(outputs.report, page(readout).encode(), telling)
    if outputs.form is not Form.JSON:
        _doubts(readout, telling)


def _doubts(readout: Readout, telling: Telling) -> None:
    """What has no place in a table."""
    for table in readout.tables:
        if table.is_load and not table.rows:
            telling.warn(words("reading.no_load", title=table.title))
        for suspect in table.suspects:
            telling.warn(words("reading.not_believed", reason=reason_of(suspect), octets=suspect.raw.hex()))


def _write(file: Path, octets: bytes, telling: Telling) -> None:
    """Whole or not at all: a file of this name stays until the new one is written. A device is written to as it is."""
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(octets)
        else:
            with written_whole(file) as whole:
                whole.write(octets)
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}") from None
    telling.warn(words("reading.written", file=file))
