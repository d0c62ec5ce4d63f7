"""`headend book …`: the engineer's own meters, by name, with their keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headend.cli.options import Json, Lang, warn_of_keys
from headend.own_files import names_in_book
from headend.words import Words, joined, spoken, words

if TYPE_CHECKING:
    from headend.book import Book, SavedMeter

app = typer.Typer(no_args_is_help=True, help="Your own meters by name, their keys locked away.")

_KEY: Final = "32 hex digits (visible to others on this machine), a file, or env:NAME."
_SECRET: Final = "text (visible to others), hex: and hex digits, @FILE or env:NAME."  # noqa: S105

_KEYS: Final = ("encryption_key", "authentication_key", "master_key")
_SECRETS: Final = ("lls_secret", "hls_secret")

Name = Annotated[str, typer.Argument(help="What you call the meter; no colon in it.")]
Known = Annotated[str, typer.Argument(help="What you call the meter.", autocompletion=names_in_book)]
KeyFile = Annotated[
    Path | None,
    typer.Option("--keys", help="TOML with encryption_key, lls_secret and so on, or a meter list (.csv)."),
]
EncryptionKey = Annotated[str | None, typer.Option("--key", "--encryption-key", help=f"Encryption key: {_KEY}")]
AuthenticationKey = Annotated[str | None, typer.Option("--auth-key", "--authentication-key", help="As above.")]
MasterKey = Annotated[str | None, typer.Option(help="As above.")]
LlsSecret = Annotated[str | None, typer.Option(help=f"LLS password: {_SECRET}")]
HlsSecret = Annotated[str | None, typer.Option(help="HLS secret, likewise.")]


@app.command()
def add(
    name: Name,
    address: Annotated[str, typer.Argument(help="tcp://host:4059, serial:///dev/ttyUSB0?baud=9600 and so on.")],
    meter_type: Annotated[str, typer.Option("--type", help="Its meter type, or a type file.")] = "",
    serial: Annotated[str, typer.Option(help="Its serial number.")] = "",
    system_title: Annotated[str, typer.Option(help="Its system title (16 hex digits): refuse any other meter.")] = "",
    keys: KeyFile = None,
    encryption_key: EncryptionKey = None,
    authentication_key: AuthenticationKey = None,
    master_key: MasterKey = None,
    lls_secret: LlsSecret = None,
    hls_secret: HlsSecret = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for keys one by one; Enter leaves one out.")] = False,
    change: Annotated[bool, typer.Option("--change", help="Change the meter that has this name.")] = False,
    lang: Lang = None,
) -> None:
    """Put a meter into the book. From then on its name stands wherever a command takes an ADDRESS.

    Keys are kept under a key of the system keyring or, where there is none, under a passphrase, which is asked for or
    stands in HEADEND_BOOK_PASSPHRASE. What is not said stays as it is where the meter is changed. No key is ever shown.

    Example: `headend book add pole-17 'serial:///dev/ttyUSB0?baud=9600' --type is15959-1ph --keys pole-17.toml`
    """
    from headend.book import Entry

    found = _keys(address, keys, (encryption_key, authentication_key, master_key), (lls_secret, hls_secret))
    found |= _asked() if ask else {}
    title = found.pop("system_title", "")
    listed_type = found.pop("meter_type", "")
    _book().keep([Entry(name, address, meter_type or listed_type, serial, system_title or title, found)], change=change)
    _tell(words("cli.kept_with" if found else "cli.kept", name=name, keys=_named(found)))


@app.command("list")
def list_(as_json: Json = False, lang: Lang = None) -> None:
    """List the meters in the book, and which keys it holds of each.

    Example: `headend book list`
    """
    meters = list(_book().meters().values())
    if as_json:
        typer.echo(json.dumps([_plain(meter) for meter in meters], indent=2, ensure_ascii=False))
        return
    if not meters:
        _tell(words("cli.empty"))
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from headend.printing import print_whole

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("name", "address", "meter_type", "serial", "system_title", "keys"):
        table.add_column(spoken(words(f"cli.column_{heading}")), no_wrap=True)
    for one in meters:
        cells = (one.name, one.address, one.meter_type, one.serial, one.system_title, spoken(_named(one.holds)))
        table.add_row(*map(escape, cells))
    print_whole(table)


@app.command()
def show(name: Known, as_json: Json = False, lang: Lang = None) -> None:
    """Show what the book says of one meter; of keys, their names alone.

    Example: `headend book show pole-17`
    """
    meter = _meter(_book(), name)
    if as_json:
        typer.echo(json.dumps(_plain(meter), indent=2, ensure_ascii=False))
        return
    for what, text in (meter.told() | {"keys": _named(meter.holds)}).items():
        _tell(joined((words(f"cli.column_{what}"), text or "-"), ": "))


@app.command()
def rename(
    name: Known, new_name: Annotated[str, typer.Argument(help="What it is to be called.")], lang: Lang = None
) -> None:
    """Call a meter otherwise.

    Example: `headend book rename pole-17 "pump house"`
    """
    _book().rename(name, new_name)
    _tell(words("cli.renamed", name=name, new_name=new_name))


@app.command()
def remove(
    name: Known, yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False, lang: Lang = None
) -> None:
    """Take a meter and its keys out of the book.

    Example: `headend book remove pole-17`
    """
    from profiles.errors import SettingsError

    book = _book()
    meter = _meter(book, name)
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError("there is no terminal to confirm this at", remedy="add --yes")
        question = words("cli.forget", name=name, keys=_named(meter.holds) or words("cli.no_keys"))
        typer.confirm(spoken(question), err=True, abort=True)
    book.remove(name)
    _tell(words("cli.removed", name=name))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Meter list: CSV in UTF-8, the first line names the columns.")],
    lang: Lang = None,
) -> None:
    """Take a meter list, keys included, into the book: all of it or, with any fault in it, nothing.

    The columns are those of `headend meters import`; a book needs name and address alone. Meters that are in the book
    are changed where a cell says something.

    Example: `headend book import meters.csv`
    """
    from headend.book_list import read_list

    entries = read_list(file)
    kept = _book().keep(entries, change=True)
    _tell(words("cli.imported", kept=kept, meters=len(entries)))


def _book() -> Book:
    from headend.book import Book
    from headend.own_files import default_book

    return Book(default_book())


def _meter(book: Book, name: str) -> SavedMeter:
    from profiles.errors import SettingsError

    found = book.meters().get(name)
    if found is None:
        raise SettingsError(f"there is no {name!r} in the book", remedy="`headend book list` lists it")
    return found


def _keys(
    address: str, file: Path | None, keys: tuple[str | None, ...], secrets: tuple[str | None, ...]
) -> dict[str, str]:
    """The keys that options and file give, by name; system title and meter type too, where the file has them."""
    from drivers.address import parse_address
    from headend.keys import key_given, read_key_file

    found = {} if file is None else read_key_file(file, parse_address(address))
    given = [(name, name, text) for name, text in zip(_KEYS, keys, strict=True)]
    given += [(name, "secret", text) for name, text in zip(_SECRETS, secrets, strict=True)]
    for name, kind, text in given:
        if text is not None:
            warn_of_keys({kind: text})
            found[name] = key_given(kind, text)
    return found


def _asked() -> dict[str, str]:
    """The keys that are typed, unseen, at a terminal."""
    from headend.book_lock import ask_unseen

    names = ("encryption_key", "authentication_key", *_SECRETS)
    typed = {
        name: ask_unseen(words("cli.typed", key=words(f"reading.key_{name}")), "name --keys FILE") for name in names
    }
    return {name: text for name, text in typed.items() if text}


def _named(names: Iterable[str]) -> Words:
    return joined(words(f"reading.key_{name}") for name in sorted(names))


def _tell(said: str) -> None:
    typer.echo(spoken(said))


def _plain(meter: SavedMeter) -> dict[str, object]:
    return {name: text or None for name, text in meter.told().items()} | {"keys": list(meter.holds)}
