"""Octets both ways between us and a meter: what framing is put on.

The one rule: every wait ends, in what was asked for, in b"" for nothing, or in a LinkError.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Protocol

from profiles.errors import LinkError, LinkTimeout

Spans = tuple[tuple[int, int], ...]
"""Places of octets: from, and to before."""

_READ = 65536


class Stream(Protocol):
    """An open line."""

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        """Hand octets to the line. Those in `hidden` tell a secret: a record leaves them out."""

    async def receive(self, limit_s: float) -> bytes:
        """What has come, at least an octet; b"" when nothing comes in time. LinkError when nothing can any more."""

    async def close(self) -> None:
        """Close the line; it waits for nobody long."""


class TcpStream:
    """A TCP connection, ours or one that a meter has made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    async def open(cls, host: str, port: int, timeout_s: float, *, name: str) -> TcpStream:
        """Connect within the time-out; LinkError, in which the meter is called `name`, says why not."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(host, port, limit=_READ)
        except TimeoutError:
            raise LinkTimeout(
                f"{name} did not answer within {timeout_s:g} s",
                asked="connect",
                remedy="is the meter powered and its network up?",
            ) from None
        except (OSError, UnicodeError) as error:
            raise not_connected(name, host, error) from None
        return cls(reader, writer, timeout_s)

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        try:
            self._writer.write(octets)
            async with asyncio.timeout(self._timeout_s):
                await self._writer.drain()
        except TimeoutError:
            raise LinkTimeout(f"the meter took nothing more for {self._timeout_s:g} s") from None
        except OSError as error:
            raise LinkError(f"the connection broke while sending: {error.strerror or error}") from None

    async def receive(self, limit_s: float) -> bytes:
        try:
            async with asyncio.timeout(limit_s):
                octets = await self._reader.read(_READ)
        except TimeoutError:
            return b""
        except OSError as error:
            raise LinkError(f"the connection broke: {error.strerror or error}") from None
        if not octets:
            raise LinkError("the meter closed the connection without an answer")
        return octets

    async def close(self) -> None:
        """Close; what the other side does not take within a second is dropped, and the socket with it."""
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self._writer.transport.abort()


def not_connected(name: str, host: str, error: OSError | UnicodeError) -> LinkError:
    """What to tell an operator of an address that can't be reached."""
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, socket.gaierror):
        return LinkError(
            f"the host name {host!r} is not known: {reason}",
            asked="connect",
            remedy="check the address in the registry",
            retry=True,
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return LinkError(
            f"no socket for {name}: {reason}",
            asked="connect",
            remedy="raise this machine's limit of open files, or lower collection.max_open_sessions",
        )
    refused = "refused the connection" if isinstance(error, ConnectionRefusedError) else "can't be reached"
    return LinkError(f"{name} {refused}: {reason}", asked="connect", remedy="check host, port and firewall")
