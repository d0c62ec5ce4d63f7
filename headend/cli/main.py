"""The command line. Each command is a module beside this one; what it needs is imported when it runs, so that
`headend --help` starts at once."""

from __future__ import annotations

import sys

import typer

from headend.cli import database, meters, vault
from headend.cli.demo import demo
from headend.cli.read import read
from headend.cli.run import run, status
from headend.cli.simulate import PASS_ON, simulate
from profiles.errors import HeadEndError

app = typer.Typer(
    name="headend",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Head-end system between DLMS/COSEM smart meters and meter-data management.",
    epilog="Start with `headend demo`: simulated meters, a database and a collection, on this machine alone.",
)

app.command("demo")(demo)
app.command("run")(run)
app.command("read")(read)
app.command("simulate", context_settings=PASS_ON, add_help_option=False)(simulate)
app.command("status")(status)
app.add_typer(meters.app, name="meters")
app.add_typer(database.app, name="db")
app.add_typer(vault.app, name="vault")


def main() -> None:
    """The console script: errors that we know become one line on stderr and a documented exit code."""
    try:
        app()
    except HeadEndError as error:
        print(f"headend: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
