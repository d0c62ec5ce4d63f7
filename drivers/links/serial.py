"""Serial ports, of this machine and lent by a serial server (RFC 2217).

pyserial blocks, so each port has a thread of its own, in which everything on it happens in order; a wait there is cut
into slices, so that closing never waits longer than one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import termios
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import serial

from drivers.address import Address, Scheme
from drivers.links.mode_e import SIGN_ON_BAUD
from drivers.links.stream import Spans
from profiles.errors import LinkError, LinkTimeout, MeterBusy

T = TypeVar("T")

SLICE_S: Final = 0.05
_READ: Final = 4096


class SerialStream:
    """An open port, 8 data bits without parity."""

    recorded = False

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="serial")
        self._port: serial.SerialBase | None = None
        self._closing = False

    @classmethod
    async def open(cls, address: Address) -> SerialStream:
        """Open the port of an address, at its speed; LinkError says why not, MeterBusy that somebody else has it."""
        stream = cls(str(address), address.timeout_s)
        opening = asyncio.get_running_loop().run_in_executor(stream._thread, stream._open, address)
        opening.add_done_callback(_noted)  # also where nobody waits for it any more
        try:
            async with asyncio.timeout(address.timeout_s):
                await asyncio.shield(opening)
        except TimeoutError:
            await stream.close()
            raise LinkTimeout(f"{address} did not open within {address.timeout_s:g} s", asked="connect") from None
        except (OSError, ValueError, termios.error) as error:
            await stream.close()
            raise _not_opened(address, error) from None
        except BaseException:
            await stream.close()
            raise
        return stream

    def _open(self, address: Address) -> None:
        baud = SIGN_ON_BAUD if address.line.mode_e else address.line.baud
        if address.scheme is Scheme.SERIAL:
            self._port = serial.Serial(address.host, baud, timeout=SLICE_S, exclusive=True)
        else:
            host = f"[{address.host}]" if ":" in address.host else address.host
            url = f"rfc2217://{host}:{address.port}?timeout={address.timeout_s:g}"
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=SLICE_S)

    async def set_baud(self, baud: int) -> None:
        """Change the speed."""
        await self._do(partial(self._set_baud, baud))

    def _set_baud(self, baud: int) -> None:
        self._opened().baudrate = baud

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        """Returns when the octets are on the line, so that a wait for the answer begins where it should."""
        await self._do(partial(self._send, octets))

    def _send(self, octets: bytes) -> None:
        port = self._opened()
        port.write(octets)
        port.flush()

    async def receive(self, limit_s: float) -> bytes:
        return await self._do(partial(self._receive, limit_s), limit_s)

    def _receive(self, limit_s: float) -> bytes:
        deadline = time.monotonic() + limit_s
        while not self._closing:
            port = self._opened()
            octets: bytes = port.read(1)
            if octets:
                octets += port.read(min(port.in_waiting, _READ))
                return octets
            if time.monotonic() >= deadline:
                break
        return b""

    async def close(self) -> None:
        self._closing = True
        closed = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        closed.add_done_callback(_noted)
        self._thread.shutdown(wait=False)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(closed)

    def _close(self) -> None:
        if self._port is not None:
            self._port.close()

    def _opened(self) -> serial.SerialBase:
        if self._port is None or self._closing:
            raise LinkError("the serial port is closed")
        return self._port

    async def _do(self, work: Callable[[], T], limit_s: float = 0.0) -> T:
        """Do `work` in the port's thread. Who is cancelled meanwhile has to close the port: what it heard is lost."""
        try:
            async with asyncio.timeout(self._timeout_s + limit_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            self._closing = True
            raise LinkTimeout(f"the serial port took nothing more for {self._timeout_s:g} s") from None
        except (OSError, termios.error) as error:
            raise LinkError(
                f"the serial port {self._name} failed: {getattr(error, 'strerror', None) or error}"
            ) from None
        except RuntimeError:
            raise LinkError("the serial port is closed") from None


def _noted(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


def _not_opened(address: Address, error: Exception) -> LinkError | MeterBusy:
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EBUSY):
        return MeterBusy(
            f"{address} is in use by another program or session", asked="connect", remedy="wait for it, or stop it"
        )
    remedy = {errno.ENOENT: "see the name of the port", errno.EACCES: "let this user use the port"}.get(
        getattr(error, "errno", None) or 0, "see the port and its settings"
    )
    return LinkError(f"{address} can't be opened: {error}", asked="connect", remedy=remedy)
