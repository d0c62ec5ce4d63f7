"""The DLMS/COSEM wrapper over TCP: one connection to one meter, every wait with a limit.

Rule: a frame for another pair of wPorts than ours is not an answer to us; it is counted and passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

from drivers.address import Address
from drivers.dlms.wrapper import Unwrapper, wrap
from profiles.errors import LinkError, LinkTimeout

_READ = 65536


class TcpLink:
    """An open connection. Ask for one association at a time: `client` and `server` are its wPorts."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, client: int, server: int, timeout_s: float
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = Unwrapper()
        self.client = client
        self.server = server
        self.timeout_s = timeout_s
        self.octets_in = self.octets_out = self.passed_over = 0

    @classmethod
    async def open(cls, address: Address, *, client: int, server: int) -> TcpLink:
        """Connect within the address's time-out; LinkError says why not."""
        try:
            async with asyncio.timeout(address.timeout_s):
                reader, writer = await asyncio.open_connection(address.host, address.port, limit=_READ)
        except TimeoutError:
            raise LinkTimeout(
                f"{address} did not answer within {address.timeout_s:g} s",
                asked="connect",
                remedy="is the meter powered and its network up?",
            ) from None
        except socket.gaierror as error:
            raise LinkError(
                f"the host name {address.host!r} is not known: {error.strerror}",
                asked="connect",
                remedy="check the address in the registry",
                retry=True,
            ) from None
        except (OSError, UnicodeError) as error:
            raise _not_connected(address, error) from None
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer, client=client, server=server, timeout_s=address.timeout_s)

    async def send(self, apdu: bytes) -> None:
        """Hand an APDU to the network."""
        frame = wrap(self.client, self.server, apdu)
        try:
            self._writer.write(frame)
            async with asyncio.timeout(self.timeout_s):
                await self._writer.drain()
        except TimeoutError:
            raise LinkTimeout(f"the meter took nothing more for {self.timeout_s:g} s") from None
        except OSError as error:
            raise LinkError(f"the connection broke while sending: {error.strerror or error}") from None
        self.octets_out += len(frame)

    async def receive(self) -> bytes:
        """The next APDU for our wPorts, within the time-out; LinkError when the meter closes."""
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    frame = self._frames.next()
                    if frame is None:
                        data = await self._reader.read(_READ)
                        if not data:
                            raise LinkError("the meter closed the connection without an answer")
                        self.octets_in += len(data)
                        self._frames.feed(data)
                    elif (frame.source, frame.destination) == (self.server, self.client):
                        return frame.apdu
                    else:
                        self.passed_over += 1
        except TimeoutError:
            raise LinkTimeout(f"no answer within {self.timeout_s:g} s") from None
        except OSError as error:
            raise LinkError(f"the connection broke: {error.strerror or error}") from None

    async def close(self) -> None:
        """Close; what the other side does not take within a second is dropped, and the socket with it."""
        self._writer.close()
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()


def _not_connected(address: Address, error: OSError | UnicodeError) -> LinkError:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return LinkError(
            f"no socket for {address}: {reason}",
            asked="connect",
            remedy="raise this machine's limit of open files, or lower collection.max_open_sessions",
        )
    refused = "refused the connection" if isinstance(error, ConnectionRefusedError) else "can't be reached"
    return LinkError(f"{address} {refused}: {reason}", asked="connect", remedy="check host, port and firewall")
