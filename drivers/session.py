"""A session: one association over one link, opened, used and closed as a unit, by asyncio.

Rule: however a session ends (done, error, cancelled), the association is released where the meter still listens and
the link is closed; a meter serves one association at a time, and one left open locks everybody out. What the meter's
type says of its habits is heeded here, so that nobody who reads has to know of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

from drivers.address import Address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms.apdu import AccessResponse, AccessSpecification, ActionResult, DataResult, SelectedAttribute
from drivers.dlms.association import LastReceived, State, Unasked, ignore, never_heard
from drivers.dlms.client import Client
from drivers.links import Link, open_link
from drivers.links.line_time import LineTime
from drivers.links.transcript import Transcript
from drivers.service import Send, Service, T
from profiles.errors import AccessDenied, HeadEndError, LinkError, ProtocolError
from profiles.meter_type import Association as AssociationType
from profiles.meter_type import MeterType, SessionHabit
from profiles.objects import AttributeRef, MethodRef

Refill = Callable[[], Awaitable[None]]
"""Reserves more invocation counters for the session's credentials, durably."""

Connect = Callable[[], Awaitable[Link]]
"""Opens another link to the same meter."""

LOW_COUNTERS = 4
"""Refill below this many: the longest run of counters that one step of a service takes is two (GMAC and glo-action)."""

RELEASE_S = 5.0
"""A release takes no longer, also where the address allows its meter minutes for an answer."""

_USUAL_HABIT: Final = SessionHabit()
_LONG_ANSWERS: Final = frozenset({(7, 2), (7, 3), (15, 2)})
"""Class and attribute of what comes in blocks: buffers of profiles, their columns, lists of objects."""


async def run(service: Service[T], link: Link, counters: CounterRange | None = None, refill: Refill | None = None) -> T:
    """Drive a service over a link to its result; link errors are thrown into it first.

    Whenever few of the `counters` are left, they are refilled before the service goes on.
    """
    try:
        if refill is not None and counters is not None and counters.left < LOW_COUNTERS:
            await refill()
        step = next(service)
        while True:
            try:
                if isinstance(step, Send):
                    await link.send(step.apdu)
                    answer = None
                else:
                    answer = await link.receive()
                    if refill is not None and counters is not None and counters.left < LOW_COUNTERS:
                        await refill()
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

    def __init__(
        self,
        link: Link,
        association: Client,
        refill: Refill | None = None,
        *,
        habit: SessionHabit = _USUAL_HABIT,
        connect: Connect | None = None,
    ) -> None:
        """`connect`: for an association that has to be opened anew; None where the meter has called us."""
        self.link = link
        self.association = association
        self._refill = refill
        self._habit = habit
        self._connect = connect
        self._connected = True
        self._erred = False
        """Whether the meter has refused something in this association."""

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> bytes:
        """GET one attribute; its A-XDR octets."""
        await self._prepare([attribute])
        return await self._run(self.association.get(attribute, selection))

    async def get_list(self, attributes: Sequence[SelectedAttribute]) -> tuple[DataResult, ...]:
        """GET several attributes; a result for each."""
        await self._prepare([one.attribute for one in attributes])
        results = await self._run(self.association.get_list(attributes))
        self._erred |= any(one.error for one in results)
        return results

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
        response = await self._run(self.association.access(specifications, data))
        self._erred |= any(response.results)
        return response

    async def _run(self, service: Service[T]) -> T:
        try:
            return await run(service, self.link, self.association.credentials.counters, self._refill)
        except (AccessDenied, ProtocolError):
            self._erred = True
            raise

    async def _prepare(self, attributes: Iterable[AttributeRef]) -> None:
        """Open the association anew where after an error the meter would count the blocks of a long answer wrongly."""
        if not (self._erred and self._habit.fresh_after_error):
            return
        if any((one.class_id, one.attribute) in _LONG_ANSWERS for one in attributes):
            await self._release()
            if self._connect is not None:
                await self._disconnect()
                self.link, self._connected = await self._connect(), True
            self.association.reset()
            await self._open()

    async def _open(self) -> None:
        await self._run(self.association.open())
        self._erred = False

    async def _release(self) -> None:
        """Release where there is something to release; a meter that knows no RLRQ is soon hung up on."""
        if self.association.state is State.OPEN and self._habit.release:
            with contextlib.suppress(HeadEndError, TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._run(self.association.release())

    async def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            await self.link.close()


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
    line_time: LineTime | None = None,
) -> AsyncIterator[Session]:
    """Connect and associate; release and close on the way out. `transcript` records what goes over the link,
    `line_time` counts it on a serial line.

    All else is as in `session_on`.
    """
    client = Client(kind, credentials, server_title=server_title, last_received=last_received, unasked=unasked)
    server = address.server if address.server is not None else meter_type.server_sap

    async def connect() -> Link:
        return await open_link(
            address, client=kind.client_sap, server=server, transcript=transcript, line_time=line_time
        )

    habit = meter_type.session_habit
    async with session_on(await connect(), client, refill, habit=habit, connect=connect) as session:
        yield session


@contextlib.asynccontextmanager
async def session_on(
    link: Link,
    client: Client,
    refill: Refill | None = None,
    *,
    habit: SessionHabit = _USUAL_HABIT,
    connect: Connect | None = None,
) -> AsyncIterator[Session]:
    """Associate over a link that is open, such as that of a meter that calls in; release and close on the way out.

    `client` knows the registered system title (IdentityMismatch if another answers), the highest invocation counter
    that this meter has used under the key, and who takes the pushes that come in between. `habit` is of the meter's
    type: one that knows no RLRQ is hung up on. `connect`: as in `Session`.
    Raises LinkError, AccessDenied, MeterBusy, SecurityError, IdentityMismatch, ProtocolError.
    """
    session = Session(link, client, refill, habit=habit, connect=connect)
    try:
        await session._open()
        broken = False
        try:
            yield session
        except LinkError:
            broken = True
            raise
        finally:
            if not broken:
                await session._release()
    finally:
        await session._disconnect()
