"""The command line. Each command is a module beside this one; what it needs is imported when it runs, so that
`headend --help` starts at once."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import Annotated, Final

import typer

from headend.cli import book, database, meters, spool, vault
from headend.cli.acts import clock, limit, period, push, relay
from headend.cli.check import check
from headend.cli.collect import collect
from headend.cli.decode import decode
from headend.cli.demo import demo
from headend.cli.gaps import gaps
from headend.cli.import_ import import_
from headend.cli.listen import listen
from headend.cli.open_ import open_
from headend.cli.outages import outages
from headend.cli.ports import ports
from headend.cli.raw import call, get, objects, profile, set_
from headend.cli.read import read
from headend.cli.restored import restored
from headend.cli.run import run
from headend.cli.scan import scan
from headend.cli.simulate import PASS_ON, simulate
from headend.cli.status import status
from headend.cli.types import types
from headend.cli.watch import watch
from profiles.errors import HeadEndError

_UNWRITABLE: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What writing to stdout ends in; files and links tell of their own errors."""

app = typer.Typer(
    name="headend",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in panels takes longer to load than the rest of the program to start
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Head-end system between DLMS/COSEM smart meters and meter-data management.",
    epilog="Start with `headend demo`: simulated meters, a database and a collection, on this machine alone.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"headend {version('headend')}")
        raise typer.Exit


LOG_NOTHING: Final = frozenset({"check", "open", "read"})
"""Commands at one meter that log nothing, and start at once."""


@app.callback()
def _every_command(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    from headend.words import speak, usual_language

    speak(usual_language(os.environ))
    if context.invoked_subcommand not in LOG_NOTHING:
        from headend.logs import configure_logs

        configure_logs("warning", "console")


app.command("demo")(demo)
app.command("run")(run)
app.command("collect")(collect)
app.command("read")(read)
app.command("open")(open_)
app.command("import")(import_)
app.command("check")(check)
app.command("clock")(clock)
app.command("relay")(relay)
app.command("limit")(limit)
app.command("push")(push)
app.command("period")(period)
app.command("get")(get)
app.command("set")(set_)
app.command("call")(call)
app.command("profile")(profile)
app.command("objects")(objects)
app.command("decode")(decode)
app.command("ports")(ports)
app.command("scan")(scan)
app.command("listen")(listen)
app.command("watch")(watch)
app.command("simulate", context_settings=PASS_ON, add_help_option=False)(simulate)
app.command("status")(status)
app.command("gaps")(gaps)
app.command("outages")(outages)
app.command("types")(types)
app.add_typer(book.app, name="book")
app.add_typer(meters.app, name="meters")
database.app.command("restored")(restored)
app.add_typer(database.app, name="db")
app.add_typer(spool.app, name="spool")
app.add_typer(vault.app, name="vault")


def main() -> None:
    """The console script: errors that we know become one line on stderr and a documented exit code.

    SIGTERM and a terminal that is closed end any command as Ctrl-C does: sessions are released, and what was started
    is stopped.
    """
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, _closed)
    _open_outputs()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except HeadEndError as error:
        print(f"headend: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it is lost at the exit
        if error.errno != errno.EPIPE:  # | head has all that it wants
            print(f"headend: the output can't be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _open_outputs() -> None:
    """Where the caller closed an output (`>&-`), what is printed goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Do what SIGINT does now; a shell's background jobs ignore it, and then it is as if they did not."""
    interrupt = signal.getsignal(signal.SIGINT)
    (interrupt if callable(interrupt) else signal.default_int_handler)(signal.SIGINT, frame)


def _closed(number: int, frame: FrameType | None) -> None:
    """The terminal is gone, which its shell and the system both tell: the second time it means nothing."""
    signal.signal(number, signal.SIG_IGN)
    _as_ctrl_c(number, frame)
