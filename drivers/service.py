"""How an exchange with a meter is written: as a generator that does no I/O.

A service yields `Send` to hand over an APDU and `Receive` to be given the next one; it returns its result. What
drives it (`drivers.session.run` over a link, a list of recorded APDUs in a test) throws a `LinkError` into it when
nothing comes in time, so that a service can tidy up its state.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this APDU. It stays out of reprs: an AARQ holds a password."""

    apdu: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for the next APDU, at most as long as the link's time-out."""


Step = Send | Receive
Service = Generator[Step, bytes | None, T]


_RECEIVE: Final = Receive()


def exchange(apdu: bytes) -> Service[bytes]:
    """Send one APDU and return the next that comes: the common short form."""
    yield Send(apdu)
    return (yield from receive())


def receive() -> Service[bytes]:
    """Return the next APDU that comes."""
    apdu = yield _RECEIVE
    assert apdu is not None, "a driver answers Receive with an APDU"
    return apdu
