"""What becomes of each arrival: its keys are looked up, it is opened, handed on, and confirmed once it is safe.

The one rule: a meter's push is confirmed only after `on_push` has returned, so that what is confirmed is kept. What is
refused is counted and told in the log, never answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from drivers.dlms.wrapper import MAX_APDU
from drivers.push.arrival import Arrival
from drivers.push.opening import Push, open_push
from drivers.push.policy import PushingMeter
from profiles.errors import HeadEndError, LinkTimeout, ProtocolError, SecurityError

log = structlog.get_logger(__name__)

Lookup = Callable[[Arrival], Awaitable[PushingMeter | None]]
"""Who sent this: by `title_of` its APDU where a title is named, else by the route, the peer, or what it says in clear.
None where nobody is registered. ProtocolError and SecurityError refuse the push, other errors end the connection."""
OnPush = Callable[[Push], Awaitable[None]]
"""Keeps a push, and returns when it is safe; for a duplicate at once, since it is safe already. SecurityError refuses
one (too old for its window); any other error ends the connection without a confirmation, so that it comes again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener bears. Seconds are of the event loop's clock."""

    max_connections: int = 1000
    max_per_source: int = 250
    """Connections of one network address: many where meters stand behind one gateway or load balancer."""
    max_at_once: int = 64
    """Pushes of one connection that are handled at one time; with more, nothing is read from it."""
    max_waiting: int = 1000
    """Pushes out of datagrams that are handled at one time; more are dropped."""
    max_senders: int = 1000
    """Senders of datagrams whose halves of APDUs are kept."""
    max_refused: int = 8
    """Pushes refused one after the other on one connection; then it is closed."""
    max_apdu: int = MAX_APDU
    idle_s: float = 900.0
    """A connection that brings no whole APDU for so long is closed, whatever else it brings."""
    message_s: float = 60.0
    """From the first octet of an APDU to its last."""
    repeat_s: float = 10.0
    """Silence after which blocks that are missing are asked for again."""
    send_s: float = 10.0
    """For the other side to take what we send."""
    handle_s: float = 120.0
    """For a push to be looked up and kept."""


class Receiving(Protocol):
    """What connections and datagrams hand arrivals to. `kept`, `refused` and `failed` count as in `Reception`."""

    limits: Limits
    kept: int
    refused: int
    failed: int

    async def handle(self, arrival: Arrival) -> bytes | None:
        """Keep a push; what confirms it, or None. Raises as `Reception.handle`."""

    def refuse(self, error: HeadEndError, peer: str) -> None:
        """Count and tell what was refused."""


class Reception:
    """Handles arrivals, however they came. `kept` and `refused` count them, `failed` what our side could not keep."""

    def __init__(self, lookup: Lookup, on_push: OnPush, limits: Limits) -> None:
        self.limits = limits
        self.kept = self.refused = self.failed = 0
        self._lookup = lookup
        self._on_push = on_push

    async def handle(self, arrival: Arrival) -> bytes | None:
        """Keep a push; what confirms it, or None. SecurityError and ProtocolError where we, the lookup or `on_push`
        refuse it; LinkTimeout, and whatever else the two raise, where it could not be kept."""
        try:
            async with asyncio.timeout(self.limits.handle_s):
                push = open_push(arrival, await self._lookup(arrival))
                await self._on_push(push)
        except (SecurityError, ProtocolError) as error:
            self.refuse(error, arrival.peer)
            raise
        except TimeoutError:
            self.failed += 1
            raise LinkTimeout(f"a push was not kept within {self.limits.handle_s:g} s", meter=arrival.peer) from None
        except BaseException:
            self.failed += 1
            raise
        self.kept += 1
        try:
            return push.confirmation()
        except SecurityError as error:
            log.warning("push_not_confirmed", meter=push.meter.name, peer=arrival.peer, reason=error.message)
            return None

    def refuse(self, error: HeadEndError, peer: str) -> None:
        """Count and tell what was refused."""
        self.refused += 1
        log.warning("push_refused", peer=peer, meter=error.meter, kind=type(error).__name__, reason=error.message)
