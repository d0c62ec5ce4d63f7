"""Print docs/commands.md: every command with its help text, made of what `--help` is made of.

The one rule: options that many commands share stand there once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any, Final

import typer
from typer.main import get_command

from headend.cli.access_options import Access
from headend.cli.main import app
from headend.cli.meter_options import MeterOptions

SHARED: Final = {"one meter": MeterOptions, "a meter without a type": Access}
"""By what they ask; each option of these is left out at the commands that have all of them."""
_BEGINNING: Final = """\
# Commands

Made by `make docs` of what `--help` says. In short, with what goes beyond it: [reference.md](reference.md).
"""


def page() -> str:
    """The whole page."""
    parts = [_BEGINNING]
    leaves = [(name, command) for name, command in _leaves(get_command(app), "headend") if not command.hidden]
    for heading, kind in SHARED.items():
        name, command = next((name, command) for name, command in leaves if _has(command, kind))
        parts.append(f"## Options of {heading}\n\n{_rows(command, name, only=_names(kind))}\n")
    for name, command in leaves:
        shared = [(heading, kind) for heading, kind in SHARED.items() if _has(command, kind)]
        left_out = {one for _, kind in shared for one in _names(kind)}
        parts.append(f"## {name}\n\n`{_usage(command, name)}`\n\n{_text(command.help or '')}\n")
        rows = _rows(command, name, without=left_out)
        if rows:
            parts.append(f"{rows}\n")
        parts += [
            f"And the [options of {heading}](#options-of-{heading.replace(' ', '-')}).\n" for heading, _ in shared
        ]
    return "\n".join(parts)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from _leaves(one, f"{name} {word}")


def _names(kind: type) -> set[str]:
    return {one.name for one in fields(kind)}


def _has(command: Any, kind: type) -> bool:
    return _names(kind) <= {one.name for one in command.params}


def _usage(command: Any, name: str) -> str:
    return " ".join([name, *command.collect_usage_pieces(_context(command, name))])


def _context(command: Any, name: str) -> Any:
    return command.context_class(command, info_name=name)


def _text(told: str) -> str:
    """The paragraphs of a help text, a line each."""
    return "\n\n".join(" ".join(one.split()) for one in re.split(r"\n\s*\n", told.strip()))


def _rows(
    command: Any, name: str, *, only: Collection[str] | None = None, without: Collection[str] = frozenset()
) -> str:
    """Arguments and options as a table; empty where there are none."""
    context = _context(command, name)
    wanted = [one for one in command.params if (only is None or one.name in only) and one.name not in without]
    records = [record for one in wanted if (record := one.get_help_record(context)) is not None]
    lines = [f"| `{_cell(first)}` | {_cell(second)} |" for first, second in records]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    typer.echo(page(), nl=False)
