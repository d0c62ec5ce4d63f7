"""Scans a range of places: who answers. Lines at different hosts are asked at one time, places on one line in turn.

The one rule: what was found is there at any moment, so that a scan that is broken off has not been for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from drivers.address import LINES, Address, Scheme
from drivers.address import Line as Speed
from drivers.links.mode_e import Identification, open_mode_e
from drivers.links.serial import SerialStream
from drivers.links.stream import Stream, TcpStream
from drivers.links.udp import UdpStream
from headend.watch.asking import Found, ask
from headend.watch.places import Line, Places
from headend.words import words
from profiles.errors import HeadEndError, LinkError, LinkTimeout, ProtocolError

SIGN_ON_S: Final = 4.0
"""For a sign-on at 300 baud, at least: it takes two seconds to be said and answered."""

SIGNED_ON_S: Final = 2.0
"""For who has signed on to answer an SNRM, at least: somebody is there."""


class Scan:
    """What a scan has come to. `silent` counts those places where nobody answers, by why."""

    def __init__(self, places: Places, *, timeout_s: float, at_once: int) -> None:
        self.places = places
        self.found: list[Found] = []
        self.silent: Counter[str] = Counter()
        self.asked = 0
        self.complete = False
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._told: Callable[[int], None] = lambda number: None

    async def run(self, told: Callable[[int], None]) -> None:
        """Ask everybody; `told` is called with the number of places that are done by now.

        LinkError where the one line that all stand on can't be opened, or breaks again and again.
        """
        self._told = told
        if self.places.shared:
            for line in self.places.lines:
                await self._shared(line)
        else:
            lines = iter(self.places.lines)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._at_once, len(self.places.lines))):
                    group.create_task(self._work(lines))
        self.complete = True

    async def _work(self, lines: Iterator[Line]) -> None:
        for line in lines:
            await self._alone(line.address)

    async def _alone(self, place: Address) -> None:
        """A place with a line of its own."""
        try:
            stream, sign_on = await _open(place, self._timeout_s)
            async with _closing(stream):
                self._note(await ask(stream, place, self._timeout_s), sign_on)
        except LinkTimeout:
            self._silent("silent")
        except HeadEndError as error:
            self._silent("refused" if "refused" in error.message else "unreachable")

    async def _shared(self, line: Line) -> None:
        """All places on one line: opened once, and again where it breaks; twice in a row is too often."""
        stream: Stream | None = None
        sign_on: Identification | None = None
        broke = False
        async with AsyncExitStack() as stack:
            for place in line.places():
                while True:
                    if stream is None:
                        stream, sign_on = await self._opened(line.address, stack)
                    try:
                        found = await ask(stream, place, self._timeout_s)
                    except LinkError:
                        if broke:
                            raise
                        broke, stream = True, None
                        await stack.aclose()
                    else:
                        broke = False
                        break
                self._note(found, sign_on)
        if not self.found and line.address.scheme in LINES and not line.address.line.mode_e:
            await self._sign_on(line.address)

    async def _opened(self, address: Address, stack: AsyncExitStack) -> tuple[Stream, Identification | None]:
        try:
            stream, sign_on = await _open(address, self._timeout_s)
        except HeadEndError as error:
            raise error.at(meter=str(address)) from None
        await stack.enter_async_context(_closing(stream))
        return stream, sign_on

    async def _sign_on(self, address: Address) -> None:
        """Where nobody answers in HDLC: it may be a probe in front of a meter that waits for a sign-on."""
        place = replace(address, line=Speed(mode_e=True), hdlc=replace(address.hdlc, physical=None))
        timeout_s = max(self._timeout_s, SIGNED_ON_S)
        try:
            stream, sign_on = await _open(place, self._timeout_s)
        except ProtocolError as error:
            self.found.append(Found(place, note=error.message))
        except LinkError:
            return
        else:
            async with _closing(stream):
                found = await ask(stream, place, timeout_s)
                self.found.append(_with(found or Found(place, note=words("watch.silent_after_sign_on")), sign_on))

    def _note(self, found: Found | None, sign_on: Identification | None) -> None:
        if found is None:
            self._silent("silent")
            return
        same = next((one for one in self.found if found.same_as and one.same_as == found.same_as), None)
        if same is not None:
            same.also += 1
        else:
            self.found.append(_with(found, sign_on))
        self._done()

    def _silent(self, why: str) -> None:
        self.silent[why] += 1
        self._done()

    def _done(self) -> None:
        self.asked += 1
        self._told(self.asked)


def _with(found: Found, sign_on: Identification | None) -> Found:
    if sign_on is not None:
        found.sign_on = f"{sign_on.maker} {sign_on.text}".strip()
    return found


async def _open(address: Address, timeout_s: float) -> tuple[Stream, Identification | None]:
    """The line of an address, opened within the time-out; in mode E with what the meter said of itself."""
    if address.scheme in LINES:
        return await _open_port(replace(address, timeout_s=max(timeout_s, SIGN_ON_S)))
    kind = UdpStream if address.scheme is Scheme.UDP else TcpStream
    return await kind.open(address.host, address.port, timeout_s, name=str(address)), None


async def _open_port(address: Address) -> tuple[Stream, Identification | None]:
    port = await SerialStream.open(address)
    if not address.line.mode_e:
        return port, None
    try:
        return port, await open_mode_e(port, port.set_baud, address.timeout_s)
    except BaseException:
        await port.close()
        raise


@contextlib.asynccontextmanager
async def _closing(stream: Stream) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await stream.close()
