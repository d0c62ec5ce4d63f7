"""A session: one association over one link, opened, used and closed as a unit, by asyncio.

Rule: however a session ends (done, error, cancelled), the association is released where the meter still listens and
the link is closed; a meter serves one association at a time, and one left open locks everybody out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from drivers.address import Address
from drivers.credentials import Credentials
from drivers.dlms.apdu import AccessResponse, AccessSpecification, ActionResult, DataResult, SelectedAttribute
from drivers.dlms.association import LastReceived, State, Unasked, ignore, never_heard
from drivers.dlms.client import Client
from drivers.links import Link, open_link
from drivers.links.transcript import Transcript
from drivers.service import Send, Service, T
from profiles.errors import HeadEndError, LinkError
from profiles.meter_type import Association as AssociationType
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, MethodRef

Refill = Callable[[], Awaitable[None]]
"""Reserves more invocation counters for the session's credentials, durably."""

LOW_COUNTERS = 4
"""Refill below this many: the longest run of counters that one step of a service takes is two (GMAC and glo-action)."""

RELEASE_S = 5.0
"""A release takes no longer, also where the address allows its meter minutes for an answer."""


async def run(service: Service[T], link: Link, before_step: Refill | None = None) -> T:
    """Drive a service over a link to its result; link errors are thrown into it first."""
    try:
        if before_step is not None:
            await before_step()
        step = next(service)
        while True:
            try:
                if isinstance(step, Send):
                    await link.send(step.apdu)
                    answer = None
                else:
                    answer = await link.receive()
                    if before_step is not None:
                        await before_step()
            except HeadEndError as error:
                step = service.throw(error)
            else:
                step = service.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        service.close()


class Session:
    """An open association with a meter; its services, and their errors, are those of `Client`, and LinkError."""

    def __init__(self, link: Link, association: Client, refill: Refill | None = None) -> None:
        self.link = link
        self.association = association
        self._refill = refill

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        """GET one attribute; its A-XDR octets."""
        return await self._run(self.association.get(attribute, selection))

    async def get_list(self, attributes: Sequence[SelectedAttribute]) -> tuple[DataResult, ...]:
        """GET several attributes; a result for each."""
        return await self._run(self.association.get_list(attributes))

    async def set(self, attribute: AttributeRef, data: bytes, selection: bytes | None = None) -> None:
        """SET one attribute to the A-XDR octets `data`."""
        await self._run(self.association.set(attribute, data, selection))

    async def set_list(self, attributes: Sequence[SelectedAttribute], values: Sequence[bytes]) -> tuple[int, ...]:
        """SET several attributes; a data-access-result for each."""
        return await self._run(self.association.set_list(attributes, values))

    async def action(self, method: MethodRef, parameters: bytes | None = None) -> bytes | None:
        """ACTION; the A-XDR octets of what the method returned, if anything."""
        return await self._run(self.association.action(method, parameters))

    async def action_list(self, methods: Sequence[MethodRef], parameters: Sequence[bytes]) -> tuple[ActionResult, ...]:
        """ACTION of several methods; a result for each."""
        return await self._run(self.association.action_list(methods, parameters))

    async def access(self, specifications: Sequence[AccessSpecification], data: Sequence[bytes]) -> AccessResponse:
        """ACCESS: reads, writes and methods in one request."""
        return await self._run(self.association.access(specifications, data))

    async def _run(self, service: Service[T]) -> T:
        return await run(service, self.link, self._top_up)

    async def _top_up(self) -> None:
        if self._refill is not None and self.association.credentials.counters.left < LOW_COUNTERS:
            await self._refill()

    async def _open(self) -> None:
        await self._run(self.association.open())

    async def _release(self) -> None:
        """Release where there is something to release; a meter that knows no RLRQ is soon hung up on."""
        if self.association.state is State.OPEN:
            with contextlib.suppress(HeadEndError, TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._run(self.association.release())


@contextlib.asynccontextmanager
async def open_session(
    address: Address,
    meter_type: MeterType,
    kind: AssociationType,
    credentials: Credentials,
    *,
    server_title: bytes = b"",
    last_received: LastReceived = never_heard,
    refill: Refill | None = None,
    unasked: Unasked = ignore,
    transcript: Transcript | None = None,
) -> AsyncIterator[Session]:
    """Connect and associate; release and close on the way out. `transcript` records what goes over the link.

    All else is as in `session_on`.
    """
    client = Client(kind, credentials, server_title=server_title, last_received=last_received, unasked=unasked)
    server = address.server if address.server is not None else meter_type.server_sap
    link = await open_link(address, client=kind.client_sap, server=server, transcript=transcript)
    async with session_on(link, client, refill, release=meter_type.session_habit.release) as session:
        yield session


@contextlib.asynccontextmanager
async def session_on(
    link: Link, client: Client, refill: Refill | None = None, *, release: bool = True
) -> AsyncIterator[Session]:
    """Associate over a link that is open, such as that of a meter that calls in; release and close on the way out.

    `client` knows the registered system title (IdentityMismatch if another answers), the highest invocation counter
    that this meter has used under the key, and who takes the pushes that come in between. Without `release` the link
    is closed and nothing said, for meters that know no RLRQ.
    Raises LinkError, AccessDenied, MeterBusy, SecurityError, IdentityMismatch, ProtocolError.
    """
    session = Session(link, client, refill)
    try:
        await session._open()
        broken = False
        try:
            yield session
        except LinkError:
            broken = True
            raise
        finally:
            if release and not broken:
                await session._release()
    finally:
        await link.close()
