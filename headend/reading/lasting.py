"""A session that outlives its link: where the link breaks, it is opened again and the reading goes on.

The one rule: an answer that came is never asked for again; only the one that was on its way when the link broke is.
Attempts are bounded: a link over which nothing comes any more is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from drivers.session import Session
from headend.reading.telling import Telling
from headend.words import words
from profiles.errors import HeadEndError, LinkError, LinkTimeout, MeterBusy
from profiles.objects import AttributeRef

Opener = Callable[[int | None], AbstractAsyncContextManager[Session]]
"""Opens a session; the longest APDU to offer, None for what the type says. Called again after each break."""
Heard = Callable[[AttributeRef, bytes | None, bytes], None]
"""Is told each answer to a GET: the attribute, the selection, the A-XDR octets."""

PATIENCE: Final = 6
"""Breaks in a row, with nothing read in between, after which the link is given up."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 10.0
SMALLEST_PDU: Final = 256


class LastingSession(Session):
    """A session whose GET goes on over broken links. Its other services are those of the session that is open now."""

    def __init__(
        self, opener: Opener, opened: Session, stack: AsyncExitStack, telling: Telling, heard: Heard | None = None
    ) -> None:
        super().__init__(opened.link, opened.association)
        self._opener = opener
        self._opened: Session | None = opened
        self._stack = stack
        self._telling = telling
        self._heard = heard
        self._once = False
        self._max_pdu: int | None = None
        self.breaks = 0
        """In a row."""

    @property
    def given_up(self) -> bool:
        """Whether the link broke so often that it makes no sense to go on."""
        return self.breaks >= PATIENCE

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        """While this lasts, a GET that breaks is not repeated but told, for who would rather ask for less."""
        self._once = True
        try:
            yield
        finally:
            self._once = False

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        """GET one attribute; its A-XDR octets. LinkError once the link is given up, or in `once`."""
        while True:
            try:
                session = self._opened or await self._open_again()
                answer = await session.get(attribute, selection)
            except (LinkError, MeterBusy) as error:
                await self._broke(error)
                if self.given_up or (self._once and isinstance(error, LinkError)):
                    raise
            else:
                self.breaks = 0
                self.link = session.link
                if self._heard is not None:
                    self._heard(attribute, selection, answer)
                return answer

    async def _broke(self, error: HeadEndError) -> None:
        """Close what is left of the session, and make the next one easier on the link.

        An answer that is lost once was not too long; one that is lost a second time may be.
        """
        self.breaks += 1
        too_long = isinstance(error, LinkTimeout) and self._opened is not None and self.breaks > 1
        self._opened = None
        stack, self._stack = self._stack, AsyncExitStack()
        with contextlib.suppress(HeadEndError):
            await stack.__aexit__(type(error), error, error.__traceback__)
        if too_long:
            kind, offered = self.association.kind, self.association.server_max_pdu
            self._max_pdu = max(SMALLEST_PDU, min(kind.max_pdu, offered or kind.max_pdu) // 2)
        self._telling.say(words("reading.link_broke", why=error.message))

    async def _open_again(self) -> Session:
        wait_s = min(FIRST_WAIT_S * 2 ** (self.breaks - 1), LONGEST_WAIT_S)
        how = "reading.opening_again_smaller" if self._max_pdu else "reading.opening_again"
        values = {"seconds": wait_s, "attempt": self.breaks, "attempts": PATIENCE - 1, "octets": self._max_pdu}
        self._telling.say(words(how, **values))
        await asyncio.sleep(wait_s)
        opened = await self._stack.enter_async_context(self._opener(self._max_pdu))
        self.link, self.association, self._opened = opened.link, opened.association, opened
        self._telling.say(words("reading.there_again"))
        return opened

    async def close(self) -> None:
        """Release and close the session that is open now."""
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def lasting_session(
    opener: Opener, telling: Telling, heard: Heard | None = None
) -> AsyncIterator[LastingSession]:
    """Open a session, and open it again as often as it takes. The first time, whatever `opener` raises is raised."""
    stack = AsyncExitStack()
    opened = await stack.enter_async_context(opener(None))
    session = LastingSession(opener, opened, stack, telling, heard)
    try:
        yield session
    finally:
        await session.close()
