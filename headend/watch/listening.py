"""Listens for pushes and shows each as it comes, on a terminal, in a pipe or as lines of JSON; confirms what is to be.

The one rule: nothing is kept of what was shown, so that a night of listening needs no more memory than a minute.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from drivers.links.transcript import Transcript
from drivers.push import Arrival
from drivers.push.listener import PushListener
from drivers.push.reception import Limits
from headend.watch.pushers import Pushers
from headend.watch.pushes import Heard, heard
from headend.words import Words, joined, spoken, words
from profiles.errors import HeadEndError, ProtocolError

LIMITS: Final = Limits(max_connections=500, max_refused=1000)

Show = Callable[[Heard], None]


class Ears:
    """What sockets hand arrivals to. `kept` and `refused` count them."""

    def __init__(self, pushers: Pushers, show: Show, transcript: Transcript | None) -> None:
        self.limits = LIMITS
        self.kept = self.refused = self.failed = 0
        self._pushers = pushers
        self._show = show
        self._transcript = transcript

    async def handle(self, arrival: Arrival) -> bytes | None:
        """Show it; what confirms it, or None."""
        if self._transcript is not None:
            self._transcript.begin(f"push from {arrival.peer}")
            self._transcript.received(arrival.apdu)
            self._transcript.flush()
        found, push = heard(arrival, self._pushers, datetime.now(UTC))
        confirmation = None
        if push is not None:
            try:
                confirmation = self._pushers.confirmation(push)
            except HeadEndError as error:
                found.doubts.append(words("watch.not_confirmed", why=error.message))
        found.confirmed = confirmation is not None
        if self._transcript is not None and confirmation is not None:
            self._transcript.sent(confirmation, ())
        self.kept += push is not None
        self.refused += push is None
        self._show(found)
        return confirmation

    def refuse(self, error: HeadEndError, peer: str) -> None:
        """Show what was no push at all."""
        self.refused += 1
        if isinstance(error, ProtocolError):
            self._show(Heard(datetime.now(UTC), peer, doubts=[error.message]))


@dataclass(frozen=True, slots=True)
class Places:
    """Where to listen; `host` None: at every address."""

    host: str | None
    ports: Sequence[int]
    udp: bool


async def listen(ears: Ears, places: Places, stack: AsyncExitStack) -> list[Words]:
    """Open the sockets, to be closed with `stack`; where they listen. LinkError where that can't be."""
    shown = []
    for port in places.ports:
        sockets = PushListener(ears)
        stack.push_async_callback(sockets.close)
        await sockets.start(places.host, port, port if places.udp and port else None)
        if places.udp and not port:
            await sockets.start(places.host, None, sockets.tcp_ports[0])
        shown += [words("watch.tcp_port", port=one) for one in dict.fromkeys(sockets.tcp_ports)]
        shown += [words("watch.udp_port", port=one) for one in dict.fromkeys(sockets.udp_ports)]
    return shown


def show_json(found: Heard) -> None:
    """One line."""
    row: dict[str, Any] = asdict(found)
    for name in ("at", "stamp"):
        row[name] = row[name].isoformat() if row[name] is not None else None
    print(json.dumps(row), flush=True)  # noqa: T201


def _shown(value: Any) -> str:
    """A value for the eye."""
    if isinstance(value, list):
        return spoken(joined(one if isinstance(one, str) else str(one) for one in value)) or "–"
    if isinstance(value, float):
        return f"{value:,}"
    return "–" if value is None else spoken(value) if isinstance(value, str) else str(value)


def text_shower() -> Show:
    """A block of lines for each, coloured on a terminal alone."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)

    def show(found: Heard) -> None:
        meter = found.meter or found.device_id or found.system_title or spoken(words("watch.unknown_sender"))
        bold = "red" if found.raw or found.kind == words("watch.not_understood") else "bold"
        kind = escape(spoken(found.kind))
        head = [f"{found.at.astimezone():%H:%M:%S}", found.peer, f"[{bold}]{escape(meter)}[/] {kind}"]
        head += [spoken(words("watch.stamp", time=found.stamp))] if found.stamp else []
        ids = [one for one in (found.system_title, found.device_id) if one and one != meter]
        counter = "" if found.counter is None else f" #{found.counter}"
        confirmed = spoken(words("watch.confirmed")) if found.confirmed else ""
        about = ", ".join([*ids, *filter(None, (found.cover + counter, confirmed))])
        console.print("  ".join(head) + (f"  [dim]{escape(about)}[/]" if about else ""))
        names = [spoken(one.name) for one in found.values]
        width = max(map(cell_len, names), default=0)
        for name, one in zip(names, found.values, strict=True):
            aligned = escape(name) + " " * (width - cell_len(name))
            unscaled = "" if one.scaled else f" [dim]{spoken(words('watch.unscaled'))}[/]"
            console.print(f"    {aligned}  {escape(_shown(one.value))} {escape(one.unit)}".rstrip() + unscaled)
        for doubt in found.doubts:
            console.print(f"    [yellow]{escape(spoken(doubt))}[/]")
        if found.raw:
            console.print(f"    [dim]{found.raw}[/]")
        sys.stdout.flush()

    return show
