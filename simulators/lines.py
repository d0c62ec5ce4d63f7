"""What carries APDUs to a meter and back on a stream of octets: the wrapper or HDLC, told apart by the first octet.

The one rule: a line answers what came piece by piece, so that whoever sends and does not read makes nothing grow.
"""

from __future__ import annotations

from typing import Final, Protocol

from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.addresses import server_address
from drivers.hdlc.frames import FLAG
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.server import HdlcServer, unnumbered
from simulators.association import Connection
from simulators.meter import SimulatedMeter
from simulators.refusals import HangUp

MAX_REQUEST: Final = 2048
"""The largest APDU that a meter takes; a longer one ends the line."""
HDLC_OFFERED: Final = Parameters(248, 248, 7, 7)
"""What the meters' HDLC layer can do."""

_PIECE: Final = 64
"""Octets of HDLC that are answered at a time: a few polls, each of which brings a window of frames."""


class Line(Protocol):
    """One connection on a stream of octets."""

    def feed(self, octets: bytes) -> None:
        """Take what came; call `next` until it gives None before feeding more."""

    def next(self) -> bytes | None:
        """What to send now, b"" for nothing; None until more is fed. HangUp, ProtocolError: the line is over."""

    def unasked(self, apdu: bytes, client_sap: int) -> bytes:
        """What carries an APDU that the meter sends on its own."""

    def close(self) -> None:
        """The line is gone."""


class WrapperLine:
    """Frames of the wrapper. `connection` is what answers them."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self.connection: Connection = meter.connect(streams=True)
        self._own_sap = meter.meter_type.server_sap
        self._frames = Unwrapper(MAX_REQUEST)

    def feed(self, octets: bytes) -> None:
        self._frames.feed(octets)

    def next(self) -> bytes | None:
        frame = self._frames.next()
        if frame is None:
            return None
        answer = self.connection.handle(frame.apdu, frame.source, frame.destination)
        if answer is None:
            raise HangUp
        answers = [answer, *self.connection.further] if self.connection.further else [answer]
        self.connection.further.clear()
        return b"".join(wrap(frame.destination, frame.source, each) for each in answers if each)

    def unasked(self, apdu: bytes, client_sap: int) -> bytes:
        return wrap(self._own_sap, client_sap, apdu)

    def close(self) -> None:
        self.connection.close()


class HdlcLine:
    """Frames of HDLC, for the meter under any physical address, or under its own alone."""

    def __init__(self, meter: SimulatedMeter, physical: int | None = None) -> None:
        self._server = HdlcServer(meter.connect(), physical=physical, offered=HDLC_OFFERED, max_request=MAX_REQUEST)
        self._own = server_address(meter.meter_type.server_sap, physical)
        self._waiting = bytearray()

    @property
    def connected(self) -> bool:
        """Whether a data link is up."""
        return self._server.connected

    def feed(self, octets: bytes) -> None:
        self._waiting += octets

    def next(self) -> bytes | None:
        if not self._waiting:
            return None
        piece = bytes(self._waiting[:_PIECE])
        del self._waiting[:_PIECE]
        answer = self._server.receive(piece)
        if answer is None:
            raise HangUp
        return answer

    def unasked(self, apdu: bytes, client_sap: int) -> bytes:
        return unnumbered(client_sap, self._own, apdu)

    def close(self) -> None:
        self._server.close()


def line_of(meter: SimulatedMeter, octets: bytes) -> Line:
    """The line whose first octets these are."""
    return HdlcLine(meter) if octets[0] == FLAG else WrapperLine(meter)
