"""Those that push and are not registered: kept once, with their first message, until somebody registers them.

The one rule: anybody can claim anything, so what is kept is bounded: so many senders, of each one message, and counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from headend.push.senders import Claim
from headend.store.database import Connection, Pool, borrow, store_errors
from headend.store.statements import statement

FORGOTTEN_AFTER: Final = timedelta(days=30)
"""Without a word; only where room is needed."""
COUNTED_EVERY_S: Final = 5.0
"""Further messages of those that are kept are counted so often."""
NOTED: Final = 1000
"""Senders between two writes."""
LISTED: Final = 10_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DiscoveredMeter:
    """A sender that nobody has registered; nothing that it says of itself is proven."""

    sender: str
    system_title: bytes | None
    device_id: str | None
    peer: str
    reason: str
    first_seen: datetime
    last_seen: datetime
    messages: int
    first_message: bytes


@dataclass(slots=True)
class _Seen:
    claim: Claim
    peer: str
    reason: str
    first: datetime
    last: datetime
    apdu: bytes
    messages: int = 0


class Quarantine:
    """Takes note of them, and writes a batch by one statement.

    `full`: there is no room for more. `left_out`: messages of senders for whom there was none.
    """

    def __init__(self, pool: Pool, most: int) -> None:
        self.full = False
        self.left_out = 0
        self._pool = pool
        self.most = most
        self._noted: dict[str, _Seen] = {}
        self._kept: set[str] = set()
        """Those that are in the table."""
        self._clock = asyncio.get_running_loop().time
        self._written_at = 0.0

    def note(self, claim: Claim, peer: str, apdu: bytes, at: datetime, reason: str) -> None:
        """A message of somebody unknown; `write` makes it durable."""
        sender = claim.sender
        seen = self._noted.get(sender)
        if seen is None:
            if len(self._noted) >= NOTED:
                self.left_out += 1
                return
            seen = self._noted[sender] = _Seen(claim, peer, reason, at, at, apdu)
        seen.messages += 1
        seen.last, seen.peer, seen.reason = at, peer, reason

    async def write(self, now: datetime) -> None:
        """Write who is new, and from time to time how often the others came. StoreError; then all is noted still."""
        is_new = not self.full and not self._noted.keys() <= self._kept
        if not self._noted or not (is_new or self._clock() >= self._written_at + COUNTED_EVERY_S):
            return
        noted, self._noted = self._noted, {}
        try:
            async with borrow(self._pool) as connection:
                kept = await self._store(connection, noted)
                if len(kept) < len(noted):
                    await connection.execute(statement("discovered_clear"), {"before": now - FORGOTTEN_AFTER})
                    rest = {sender: seen for sender, seen in noted.items() if sender not in kept}
                    kept |= await self._store(connection, rest)
        except BaseException:
            self._noted = noted | self._noted
            raise
        self._written_at = self._clock()
        self._tell(noted, kept)

    async def _store(self, connection: Connection, noted: dict[str, _Seen]) -> set[str]:
        cursor = await connection.execute(statement("discovered_store"), _columns(noted) | {"most": self.most})
        return {sender for (sender,) in await cursor.fetchall()}

    def _tell(self, noted: dict[str, _Seen], kept: set[str]) -> None:
        new = kept - self._kept
        if len(self._kept) + len(new) > self.most:
            self._kept.clear()
        self._kept |= kept
        if new:
            log.warning("meters_discovered", count=len(new), first=min(new), remedy="`headend meters discovered`")
        full = len(kept) < len(noted)
        self.left_out += sum(seen.messages for sender, seen in noted.items() if sender not in kept)
        if full and not self.full:
            log.error("no_room_for_discovered", most=self.most, left_out=len(noted) - len(kept))
        self.full = full


async def load_discovered(connection: Connection, limit: int = LISTED) -> list[DiscoveredMeter]:
    """Those that are not registered still, the most recent first. Raises StoreError."""
    async with store_errors():
        cursor = await connection.execute(statement("discovered_list"), {"limit": limit})
        return [DiscoveredMeter(*row) for row in await cursor.fetchall()]


def _columns(noted: dict[str, _Seen]) -> dict[str, Any]:
    senders: Sequence[tuple[str, _Seen]] = sorted(noted.items())
    return {
        "sender": [sender for sender, _ in senders],
        "system_title": [seen.claim.title or None for _, seen in senders],
        "device_id": [next(iter(seen.claim.devices), None) for _, seen in senders],
        "peer": [seen.peer for _, seen in senders],
        "reason": [seen.reason for _, seen in senders],
        "first_seen": [seen.first for _, seen in senders],
        "last_seen": [seen.last for _, seen in senders],
        "messages": [seen.messages for _, seen in senders],
        "first_message": [seen.apdu for _, seen in senders],
    }
