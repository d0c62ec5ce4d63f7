"""The DLMS/COSEM wrapper over TCP: one connection to one meter."""

from __future__ import annotations

from drivers.address import Address
from drivers.links.stream import TcpStream
from drivers.links.wrapper import WrapperLink


class TcpLink(WrapperLink):
    """An open connection."""

    @classmethod
    async def open(cls, address: Address, *, client: int, server: int) -> TcpLink:
        """Connect within the address's time-out; LinkError says why not."""
        stream = await TcpStream.open(address.host, address.port, address.timeout_s, name=str(address))
        return cls(stream, client=client, server=server, timeout_s=address.timeout_s)
