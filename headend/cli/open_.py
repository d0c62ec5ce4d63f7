"""`headend open FILE`: what `headend read --save` kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headend.cli.options import Lang
from headend.cli.read import What


def open_(
    file: Annotated[Path, typer.Argument(help="A session file.")],
    what: Annotated[What, typer.Argument(help="What of it.")] = What.ALL,
    as_json: Annotated[bool, typer.Option("--json", help="Give JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Give CSV.")] = False,
    as_parquet: Annotated[bool, typer.Option("--parquet", help="Give Parquet.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw curves and bars.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; .json, .csv and .parquet say the form.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report to hand over, too.")] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Write the frames, for the maker's support, and show nothing else.")
    ] = None,
    lang: Lang = None,
) -> None:
    """Show a session file as `headend read` would have shown it; or write out the frames in it.

    Example: `headend open pole-17.session`

    Example: `headend open pole-17.session block-load --csv --out load.csv`
    """
    from headend.reading.command import Outputs, form_of
    from headend.session_file.showing import show, write_trace
    from headend.session_file.zipped import read_session_file

    kept = read_session_file(file)
    if trace is not None:
        write_trace(kept, trace)
        return
    form = form_of({"json": as_json, "csv": as_csv, "parquet": as_parquet}, out)
    show(kept, what.value, Outputs(form, out, report, plot=plot))
