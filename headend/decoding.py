"""What `headend decode` does: a capture from where it is, explained as trees or as lines of JSON.

The one rule: what is understood goes to stdout whatever else the capture holds; what is not goes to stderr, and decides
the exit code.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drivers.capture import MAX_OCTETS, Explained, Grade, Keys, LinkFrame, Message, Problem, explain, octets_of_hex
from drivers.capture.tree import Node
from drivers.dlms.security import Key
from headend.keys import ENVIRONMENT, key_given, read_key_file, title_from
from profiles.errors import HeadEndError, ProtocolError, SecurityError, SettingsError

if TYPE_CHECKING:
    from rich.tree import Tree

_STDIN: Final = "-"
_KEYS: Final = ("encryption_key", "authentication_key", "master_key")
_WIDEST: Final = 1_000_000
_MOST_TOLD: Final = 20
"""Lines about what is not understood; a capture may be full of it."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """What is to be decoded, as the command line asked for it."""

    capture: str
    given_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_file: Path | None = None
    system_title: str | None = None


def decode_and_print(wanted: Decoding, *, as_json: bool) -> None:
    """Explain a capture on stdout.

    Raises ProtocolError ("not DLMS: …") where something in it is not understood, SecurityError where a key does not
    fit, SettingsError where a key can't be used.
    """
    keys = keys_of(wanted)
    explained = explain(octets_of(wanted.capture), keys)
    (_print_json if as_json else _print_trees)(explained)
    sys.stdout.flush()
    _tell(explained)


# --- what goes in ---------------------------------------------------------------------------------------------


def octets_of(capture: str) -> bytes:
    """The capture itself: from stdin, a file, or the hex digits that the argument is."""
    if capture == _STDIN:
        return sys.stdin.buffer.read(MAX_OCTETS + 1)
    file = Path(capture)
    with suppress(OSError, ValueError):  # hex digits are too long a name, and a NUL is in none
        if file.is_file():
            return _read(file)
    try:
        octets_of_hex(capture)
    except ProtocolError:
        if os.sep in capture or file.suffix:
            raise SettingsError(f"there is no file {capture!r}") from None
        raise
    return capture.encode()


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_OCTETS + 1)
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None


def keys_of(wanted: Decoding) -> Keys:
    """Keys and title: from the options, the key file, the environment; in this order."""
    texts = {name: os.environ[ENVIRONMENT[name]] for name in _KEYS if os.environ.get(ENVIRONMENT[name])}
    if wanted.key_file is not None:
        texts |= read_key_file(wanted.key_file, title=wanted.system_title)
    texts |= {name: key_given(name, text) for name, text in wanted.given_keys.items()}
    found = {}
    for name in _KEYS:
        if name in texts:
            try:
                found[name] = Key.from_hex(texts[name])
            except SettingsError as error:
                raise error.at(asked=name.replace("_", " ")) from None
    title = title_from(wanted.system_title or texts.get("system_title"))
    return Keys(found.get("encryption_key"), found.get("authentication_key"), title, found.get("master_key"))


# --- what comes out -------------------------------------------------------------------------------------------


def _print_json(explained: Explained) -> None:
    for message in explained.messages:
        print(json.dumps(message.as_json(), allow_nan=False))  # noqa: T201


def _print_trees(explained: Explained) -> None:
    from rich.console import Console

    # A folded line can be neither copied nor searched.
    console = Console(width=_WIDEST, highlight=False)
    for item in explained.items:
        console.print(_tree(item))


def _tree(item: Message | LinkFrame) -> Tree:
    from rich.markup import escape
    from rich.tree import Tree

    stamp = "" if item.time is None else f"{item.time:%Y-%m-%d %H:%M:%S.%f}Z "
    name = (item.apdu or "not understood") if isinstance(item, Message) else "link"
    stream = f" [dim]{escape(item.stream)}[/]" if item.stream else ""
    tree = Tree(f"[dim]{escape(stamp)}[/][bold]{escape(name)}[/]{stream}")
    for frame in item.frames:
        tree.add(escape(str(frame)), style="dim")
    if isinstance(item, Message):
        for node in item.nodes:
            _add(tree, node)
        for problem in item.problems:
            if problem.grade is Grade.BROKEN:
                tree.add(escape(f"octet {problem.octet}: {problem.text}"), style="red")
    return tree


def _add(tree: Tree, node: Node) -> None:
    from rich.markup import escape

    branch = tree.add(escape(node.text))
    for child in node.children:
        _add(branch, child)


# --- what is not as it should be ------------------------------------------------------------------------------


def _tell(explained: Explained) -> None:
    """Say on stderr what is not as it should be; the worst is raised."""
    told = Counter(_problems(explained))
    worst = max(told, key=lambda one: one[0].value, default=None)
    if worst is not None and worst[0] is Grade.REMARK:
        worst = None
    lines = [_line(text, times) for (grade, text), times in told.items() if (grade, text) != worst]
    for line in lines[:_MOST_TOLD]:
        print(f"headend: {line}", file=sys.stderr)  # noqa: T201
    if len(lines) > _MOST_TOLD:
        print(f"headend: and {len(lines) - _MOST_TOLD} more", file=sys.stderr)  # noqa: T201
    if worst is not None:
        raise _error(worst[0], _line(worst[1], told[worst]))


def _problems(explained: Explained) -> Iterator[tuple[Grade, str]]:
    for message in explained.messages:
        for problem in message.problems:
            place = f" ({message.stream})" if message.stream else ""
            yield problem.grade, _text(problem, place)
    for problem in explained.problems:
        yield problem.grade, problem.text


def _text(problem: Problem, place: str) -> str:
    return f"octet {problem.octet}{place}: {problem.text}" if problem.grade is Grade.BROKEN else problem.text


def _line(text: str, times: int) -> str:
    return text if times == 1 else f"{times} times: {text}"


def _error(grade: Grade, text: str) -> HeadEndError:
    if grade is Grade.REFUSED:
        return SecurityError(
            text, remedy="what is closed has a body of null; --key, --auth-key and --system-title open"
        )
    return ProtocolError(f"not DLMS: understanding stopped at {text}", remedy="all else of the capture is shown")
