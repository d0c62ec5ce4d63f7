"""`headend spool …`: what waits on this machine's disk for the database, and what the database refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from headend.cli.options import Config, Json, settings_of

if TYPE_CHECKING:
    from headend.spool.file import SetAside, SpoolFile

app = typer.Typer(no_args_is_help=True, help="What waits for the database on this machine, and what it refused.")

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Numbers as `headend spool list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All that were set aside.")]


@contextmanager
def _spool(config: Path | None) -> Iterator[SpoolFile]:
    """The spool of the settings. Raises SettingsError where there is none: who only looks makes none."""
    from headend.spool.file import NAME, SpoolFile
    from profiles.errors import SettingsError

    settings = settings_of(config, None).spool
    if not (settings.folder / NAME).exists():
        raise SettingsError(
            f"there is no spool in {settings.folder} that can be seen",
            remedy="`headend run` makes it; name its settings with --config, or its folder with HEADEND_SPOOL__FOLDER",
        )
    spool = SpoolFile(settings.folder, max_mb=settings.max_mb, min_free_mb=settings.min_free_mb)
    try:
        yield spool
    finally:
        spool.close()


@app.command("list")
def list_(config: Config = None, as_json: Json = False) -> None:
    """Show what waits for the database, and each entry that it refused, with the reason.

    Example: `headend spool list --config /etc/headend/headend.toml`
    """
    with _spool(config) as spool:
        size, refused = spool.size(), list(_set_aside(spool))
    if as_json:
        rows = [each._asdict() for each in refused]
        told = {"waiting": dict(size.waiting), "octets": size.octets, "limit": size.limit, "set_aside": rows}
        typer.echo(json.dumps(told))
        return
    waiting = ", ".join(f"{count} {kind}" for kind, count in sorted(size.waiting.items())) or "nothing"
    typer.echo(f"{waiting} waiting; {size.octets / 2**20:.1f} of {size.limit >> 20} MB used")
    if refused:
        _print_set_aside(refused)
    typer.echo(f"{len(refused)} set aside")


@app.command()
def retry(ids: Ids = None, every: All = False, config: Config = None) -> None:
    """Let entries that were set aside wait for the database once more, each in its old place.

    A daemon that runs takes them within seconds.

    Example: `headend spool retry 17 18`
    """
    with _spool(config) as spool:
        chosen = _chosen(spool, ids, every)
        done = spool.retry(chosen)
    typer.echo(f"{done} of {len(chosen)} wait again")
    if done < len(chosen):
        raise typer.Exit(1)


@app.command()
def drop(
    ids: Ids = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
) -> None:
    """Forget entries that were set aside, for ever. `headend spool export` keeps them in a file before.

    Example: `headend spool drop 17`
    """
    with _spool(config) as spool:
        chosen = _chosen(spool, ids, every)
        if chosen and not yes:
            typer.confirm(f"forget {len(chosen)} that were set aside, for ever?", abort=True, err=True)
        done = spool.drop(chosen)
    typer.echo(f"{done} of {len(chosen)} dropped")
    if done < len(chosen):
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to; a new file that only you may read. `-`: stdout.")],
    ids: Ids = None,
    config: Config = None,
) -> None:
    """Write what was set aside, or the entries of these numbers, as JSON: one a line, with all that it holds.

    Example: `headend spool export refused.jsonl`
    """
    from profiles.errors import SettingsError

    with _spool(config) as spool:
        if str(file) == "-":
            _write(spool, ids or (), sys.stdout)
            return
        try:
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
                count = _write(spool, ids or (), out)
        except OSError as error:
            raise SettingsError(f"{file} can't be written: {error.strerror}", remedy="name a new file") from None
    typer.echo(f"{count} written to {file}")


def _set_aside(spool: SpoolFile) -> Iterator[SetAside]:
    after = 0
    while part := spool.list_set_aside(after):
        yield from part
        after = part[-1].id


def _chosen(spool: SpoolFile, ids: list[int] | None, every: bool) -> list[int]:
    if bool(ids) == every:
        raise typer.BadParameter("name entries by number, or all of them with --all")
    return list(dict.fromkeys(ids)) if ids else [each.id for each in _set_aside(spool)]


def _write(spool: SpoolFile, ids: list[int] | tuple[()], out: TextIO) -> int:
    from headend.spool.export import exported
    from profiles.errors import SettingsError

    refused = {each.id: each for each in _set_aside(spool)}
    count = 0
    for entry_id in ids or refused:
        found = spool.octets(entry_id)
        if found is None:
            raise SettingsError(f"there is no entry {entry_id} in the spool", remedy="see `headend spool list`")
        out.write(json.dumps(exported(entry_id, *found, refused.get(entry_id))) + "\n")
        count += 1
    return count


def _print_set_aside(refused: list[SetAside]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("number", "kind", "from", "came in", "octets", "refused", "reason"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("number", "octets") else "left")
    for each in refused:
        moments = (f"{moment[:19].replace('T', ' ')}Z" for moment in (each.at, each.failed_at))
        came, failed = moments
        cells = (str(each.id), each.kind, each.origin, came, f"{each.octets:,}", failed, each.error)
        table.add_row(*map(escape, cells))
    print_whole(table)
