"""What carries APDUs between a client and a server, whatever is beneath it."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """One open link; every wait in it has a limit, and ends in an error of the tree."""

    @property
    def client(self) -> int:
        """The client's SAP."""

    @property
    def server(self) -> int:
        """The server's SAP: a logical device."""

    @property
    def timeout_s(self) -> float:
        """The longest that the meter may say nothing."""

    async def send(self, apdu: bytes) -> None:
        """Hand an APDU to the link."""

    async def receive(self) -> bytes:
        """The next APDU from our server to our client."""

    async def close(self) -> None:
        """Close the link; it waits for nobody long."""
