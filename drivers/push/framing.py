"""The framings that pushes come in, told by their first octet: the wrapper, HDLC, M-Bus, or none in a datagram.

The one rule: a stream keeps the framing that it began with, and octets that are no frames end it, at once in the
wrapper and after MAX_NOISE of them in HDLC and M-Bus, whose lines have noise.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

from drivers.dlms.apdu import tags
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc import llc
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import FLAG, MAX_INFORMATION, Frame, Kind
from drivers.hdlc.parameters import Parameters
from drivers.hdlc.reader import FrameReader
from drivers.hdlc.server import HdlcServer
from drivers.push.arrival import COVERS, NOTIFICATIONS, FramingName, Route
from drivers.push.mbus import MAX_DATA, START, MbusFrame, MbusReader
from profiles.errors import ProtocolError

MAX_NOISE: Final = 8192
"""Octets without a sound frame among them before the line counts as something else."""
MAX_SENDERS: Final = 16
"""Senders on one HDLC line that may be amid a segmented APDU; the oldest is given up for one more."""
UI_INFORMATION: Final = 128
"""Octets of information in a UI frame of ours: what every station takes without having agreed on more."""

_OFFERED: Final = Parameters(MAX_INFORMATION, MAX_INFORMATION, 7, 7)
_BARE: Final = NOTIFICATIONS | COVERS | {tags.GENERAL_BLOCK_TRANSFER, tags.GATEWAY_REQUEST, tags.GATEWAY_RESPONSE}


class Framing(Protocol):
    """One line's frames: octets in, APDUs out, and the other way round."""

    @property
    def incomplete(self) -> bool:
        """Whether part of an APDU is there."""

    @property
    def within_frame(self) -> bool:
        """Whether part of a frame is there."""

    def feed(self, octets: bytes) -> None:
        """Take what came; call `next` until it gives None before feeding more."""

    def next(self) -> tuple[Route, bytes] | None:
        """The next whole APDU; ProtocolError where this is not the framing that it seemed."""

    def frame(self, route: Route, apdu: bytes) -> bytes:
        """What carries an answer back; b"" where it goes when the other side polls, or can't go."""

    def own(self) -> bytes:
        """What the framing itself has to say by now: acknowledgements."""


class WrapperFraming:
    """The wrapper of TCP and UDP."""

    def __init__(self, max_apdu: int) -> None:
        self._frames = Unwrapper(max_apdu)

    @property
    def incomplete(self) -> bool:
        return self._frames.incomplete

    @property
    def within_frame(self) -> bool:
        return self._frames.incomplete

    def feed(self, octets: bytes) -> None:
        self._frames.feed(octets)

    def next(self) -> tuple[Route, bytes] | None:
        frame = self._frames.next()
        return None if frame is None else (Route("wrapper", frame.source, frame.destination), frame.apdu)

    def frame(self, route: Route, apdu: bytes) -> bytes:
        return wrap(route.destination, route.source, apdu)

    def own(self) -> bytes:
        return b""


class HdlcFraming:
    """HDLC: UI frames, I frames of senders that connect to nobody, and I frames of one that connects to us.

    A line may have many senders. Only to one that connects are we a station; nothing else on the line is answered.
    """

    def __init__(self, max_apdu: int) -> None:
        self._max_apdu = max_apdu
        self._frames = FrameReader()
        self._noise = 0
        """Octets passed over before the last sound frame."""
        self._assemblies: OrderedDict[tuple[HdlcAddress, HdlcAddress], llc.Assembly] = OrderedDict()
        self._station = HdlcServer(self, offered=_OFFERED, max_request=max_apdu)
        self._taken: deque[bytes] = deque()
        self._own = b""

    @property
    def incomplete(self) -> bool:
        return self._frames.incomplete or bool(self._assemblies)

    @property
    def within_frame(self) -> bool:
        return self._frames.incomplete

    def feed(self, octets: bytes) -> None:
        self._frames.feed(octets)

    def next(self) -> tuple[Route, bytes] | None:
        while (frame := self._frames.next()) is not None:
            self._noise = self._frames.passed_over
            apdu = self._take(frame)
            if apdu is not None:
                ends = (frame.source, frame.destination)
                return Route("hdlc", frame.source.upper, frame.destination.upper, ends), apdu
        _bear(self._frames.passed_over - self._noise, "HDLC")
        return None

    def frame(self, route: Route, apdu: bytes) -> bytes:
        assert route.hdlc is not None, "the route is one of ours"
        source, destination = route.hdlc
        if self._station.send(source, apdu):
            return b""
        parts = llc.segments(llc.COMMAND + apdu, UI_INFORMATION)
        return b"".join(
            Frame(source, destination, Kind.UI, False, 0, 0, part, index < len(parts) - 1).encode()
            for index, part in enumerate(parts)
        )

    def own(self) -> bytes:
        said, self._own = self._own, b""
        return said

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes:
        """An APDU from who is connected to us (`Device`); the answer follows when there is one."""
        self._taken.append(received)
        return b""

    def close(self) -> None:
        """The data link is gone (`Device`)."""

    def _take(self, frame: Frame) -> bytes | None:
        if frame.kind in (Kind.SNRM, Kind.DISC) or (frame.kind is not Kind.UI and self._station.serves(frame)):
            self._own += self._station.answer(frame) or b""
            return self._taken.popleft() if self._taken else None
        if frame.kind in (Kind.UI, Kind.I):
            return self._assemble(frame)
        return None

    def _assemble(self, frame: Frame) -> bytes | None:
        ends = (frame.source, frame.destination)
        assembly = self._assemblies.pop(ends, None) or llc.Assembly(self._max_apdu)
        apdu = assembly.add(frame.information, frame.segmented)
        if frame.segmented:
            self._assemblies[ends] = assembly
            if len(self._assemblies) > MAX_SENDERS:
                self._assemblies.popitem(last=False)
        return apdu


class MbusFraming:
    """Long frames of the wired M-Bus; a customer port hears nothing, but what leads to it may."""

    def __init__(self, max_apdu: int) -> None:
        self._frames = MbusReader(max_apdu)
        self._noise = 0
        """Octets passed over before the last sound frame."""

    @property
    def incomplete(self) -> bool:
        return self._frames.incomplete

    @property
    def within_frame(self) -> bool:
        return self._frames.within_frame

    def feed(self, octets: bytes) -> None:
        self._frames.feed(octets)

    def next(self) -> tuple[Route, bytes] | None:
        found = self._frames.next()
        if found is None:
            _bear(self._frames.passed_over - self._noise, "M-Bus")
            return None
        self._noise = self._frames.passed_over
        frame, apdu = found
        return Route("m-bus", frame.source, frame.destination, mbus=frame.address), apdu

    def frame(self, route: Route, apdu: bytes) -> bytes:
        parts = llc.segments(apdu, MAX_DATA)
        return b"".join(
            MbusFrame(route.destination, route.source, part, index, index == len(parts) - 1, route.mbus).encode()
            for index, part in enumerate(parts)
        )

    def own(self) -> bytes:
        return b""


class BareFraming:
    """One APDU in a datagram, with or without an LLC header."""

    incomplete = within_frame = False

    def __init__(self) -> None:
        self._apdu = b""

    def feed(self, octets: bytes) -> None:
        self._apdu = llc.strip(octets) if octets[:3] in (llc.COMMAND, llc.RESPONSE) else octets

    def next(self) -> tuple[Route, bytes] | None:
        apdu, self._apdu = self._apdu, b""
        return (Route("bare"), apdu) if apdu else None

    def frame(self, route: Route, apdu: bytes) -> bytes:
        return apdu

    def own(self) -> bytes:
        return b""


def _bear(noise: int, what: str) -> None:
    if noise > MAX_NOISE:
        raise ProtocolError(f"{MAX_NOISE} octets without a sound {what} frame")


_MAKERS: Final[dict[FramingName, Callable[[int], Framing]]] = {
    "wrapper": WrapperFraming,
    "hdlc": HdlcFraming,
    "m-bus": MbusFraming,
    "bare": lambda _: BareFraming(),
}


def make_framing(name: FramingName, max_apdu: int) -> Framing:
    """A framing of this name, with nothing received yet."""
    return _MAKERS[name](max_apdu)


_FIRST: Final[dict[int, FramingName]] = {0: "wrapper", FLAG: "hdlc", START: "m-bus"}


def stream_framing(octets: bytes) -> FramingName:
    """The framing of a stream that begins so; ProtocolError where it is none known here."""
    name = _FIRST.get(octets[0])
    if name is None:
        raise ProtocolError(f"neither wrapper, HDLC nor M-Bus: it begins {octets[:4].hex()}", retry=False)
    return name


def datagram_framing(octets: bytes) -> FramingName:
    """The framing of a datagram; ProtocolError where it is none known here."""
    return "bare" if octets[0] in _BARE else stream_framing(octets)
