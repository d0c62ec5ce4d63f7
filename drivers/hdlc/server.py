"""The server's end of HDLC data links (normal response mode; Green Book, clause 8.4.5), without I/O: what a meter does.

State           what comes                                  what is answered
DISCONNECTED    SNRM                                        UA with the agreed parameters: CONNECTED
                DISC, or anything polled                    DM
CONNECTED       I, in order                                 taken; a whole APDU goes to the device
                I, out of order                             passed over
                anything polled                             I frames from the first that is not acknowledged, or RR
                RNR                                         the same without I frames
                DISC                                        UA: DISCONNECTED
                SNRM                                        UA, everything anew
                a frame that is unknown or too long         FRMR: only SNRM and DISC help then

The one rule: a server speaks only when polled, except in UI frames, and so has no timers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from drivers.hdlc import llc
from drivers.hdlc.addresses import ALL_STATIONS, HdlcAddress
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.parameters import Parameters, decode_parameters
from drivers.hdlc.reader import FrameReader
from profiles.errors import ProtocolError

MAX_REQUEST: Final = 2048
"""The largest APDU that a device is given."""
MAX_WAITING: Final = 64
"""Frames that may wait to be polled for before more is taken on."""


class Device(Protocol):
    """What answers APDUs behind the data link."""

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        """The answer to an APDU; b"" for none, None where the device hangs up."""

    def close(self) -> None:
        """The data link is gone, and with it any association."""


@dataclass(slots=True)
class _Connection:
    """One data link that is up: with whom, under which address of ours, and how far it is."""

    client: HdlcAddress
    server: HdlcAddress
    parameters: Parameters
    assembly: llc.Assembly
    expected: int = 0
    oldest: int = 0
    """N(S) of the first frame in `unacknowledged`, or of the next new one."""
    unacknowledged: deque[tuple[bytes, bool]] = field(default_factory=deque)
    """Information fields to be sent, or sent again, and whether more segments follow each."""
    rejected: bytes = b""
    """What our FRMR said, which is repeated until the client starts anew."""


class HdlcServer:
    """The data link layer of one physical device, on one line. One client at a time: an SNRM takes the line over."""

    def __init__(
        self,
        device: Device,
        *,
        physical: int | None = None,
        offered: Parameters = Parameters(),  # noqa: B008 - a frozen value
        max_request: int = MAX_REQUEST,
    ) -> None:
        self._device = device
        self._physical = physical
        self._offered = offered
        self._max_request = max_request
        self._frames = FrameReader()
        self._connection: _Connection | None = None

    def receive(self, octets: bytes) -> bytes | None:
        """What to send in answer to what came, however it was cut; None where the device hangs up."""
        self._frames.feed(octets)
        answers = b""
        while (frame := self._frames.next()) is not None:
            if not self._ours(frame.destination):
                continue
            answer = self.answer(frame)
            if answer is None:
                return None
            answers += answer
        return answers

    def answer(self, frame: Frame) -> bytes | None:
        """What to send in answer to one frame for this device; None where it hangs up."""
        answer = self._answer(frame)
        if answer is None:
            self.close()
        return answer

    @property
    def connected(self) -> bool:
        """Whether a data link is up."""
        return self._connection is not None

    def serves(self, frame: Frame) -> bool:
        """Whether the frame is one of the data link that is up."""
        link = self._connection
        return link is not None and frame.source == link.client and frame.destination.upper == link.server.upper

    def send(self, client: HdlcAddress, apdu: bytes) -> bool:
        """Keep an APDU for the client's next poll; False where it has no data link up, or polls too little."""
        link = self._connection
        if link is None or link.client != client or len(link.unacknowledged) >= MAX_WAITING:
            return False
        self._queue(link, apdu)
        return True

    def close(self) -> None:
        """The line is gone."""
        if self._connection is not None:
            self._connection = None
            self._device.close()

    def _ours(self, address: HdlcAddress) -> bool:
        """Whether a frame to `address` is for this device; the logical devices are the device's own affair."""
        if self._physical is None or address.lower in (None, self._physical):
            return True
        return address.lower == ALL_STATIONS[address.octets] and self._physical < ALL_STATIONS[address.octets]

    def _own(self, address: HdlcAddress) -> HdlcAddress:
        """Our address as an answer has it: as we were addressed, though never `all`."""
        lower = address.lower if self._physical is None or address.lower is None else self._physical
        return HdlcAddress(address.upper, lower, address.octets)

    def _answer(self, frame: Frame) -> bytes | None:
        if frame.kind is Kind.SNRM:
            return self._connect(frame)
        link = self._connection
        if link is None or not self.serves(frame):
            return self._reply(frame, Kind.DM) if frame.final and frame.kind is not Kind.UI else b""
        if frame.kind is Kind.DISC:
            self.close()
            return self._reply(frame, Kind.UA)
        if frame.kind is Kind.UI:
            return b""
        return self._exchange(link, frame)

    def _connect(self, frame: Frame) -> bytes:
        try:
            parameters = self._offered.agreed(decode_parameters(frame.information))
        except ProtocolError:
            return self._reply(frame, Kind.DM)
        self.close()
        assembly = llc.Assembly(self._max_request)
        self._connection = _Connection(frame.source, self._own(frame.destination), parameters, assembly)
        return self._reply(frame, Kind.UA, parameters.encode())

    def _exchange(self, link: _Connection, frame: Frame) -> bytes | None:
        if not link.rejected:
            link.rejected = self._fault(link, frame)
        if link.rejected:
            return self._reply(frame, Kind.FRMR, link.rejected) if frame.final else b""
        _acknowledge(link, frame.receive)
        if frame.kind is Kind.I and frame.send == link.expected:
            link.expected = (link.expected + 1) % 8
            if not self._take(link, frame):
                return None
        return self._turn(link, may_send=frame.kind is not Kind.RNR) if frame.final else b""

    def _fault(self, link: _Connection, frame: Frame) -> bytes:
        """The information of an FRMR for a frame that is not to be borne (ISO/IEC 13239, 5.5.3.4.2), else b""."""
        if frame.kind not in (Kind.I, Kind.RR, Kind.RNR, Kind.REJ):
            reason = 0b0001
        elif frame.kind is not Kind.I and frame.information:
            reason = 0b0011
        elif len(frame.information) > link.parameters.information_receive:
            reason = 0b0100
        else:
            return b""
        sending = (link.oldest + len(link.unacknowledged)) % 8
        return bytes([frame.control, link.expected << 5 | sending << 1, reason])

    def _take(self, link: _Connection, frame: Frame) -> bool:
        """Give a whole APDU to the device and make its answer ready; False where it hangs up."""
        try:
            apdu = link.assembly.add(frame.information, frame.segmented)
        except ProtocolError:
            return True
        answer = b"" if apdu is None else self._device.handle(apdu, link.client.upper, link.server.upper)
        if answer:
            self._queue(link, answer)
        return answer is not None

    @staticmethod
    def _queue(link: _Connection, answer: bytes) -> None:
        parts = llc.segments(llc.RESPONSE + answer, link.parameters.information_transmit)
        link.unacknowledged.extend((part, index < len(parts) - 1) for index, part in enumerate(parts))

    @staticmethod
    def _turn(link: _Connection, *, may_send: bool) -> bytes:
        window = min(link.parameters.window_transmit, len(link.unacknowledged)) if may_send else 0
        if not window:
            return Frame(link.client, link.server, Kind.RR, True, 0, link.expected).encode()
        return b"".join(
            Frame(
                link.client,
                link.server,
                Kind.I,
                index == window - 1,
                (link.oldest + index) % 8,
                link.expected,
                *link.unacknowledged[index],
            ).encode()
            for index in range(window)
        )

    def _reply(self, frame: Frame, kind: Kind, information: bytes = b"") -> bytes:
        return Frame(frame.source, self._own(frame.destination), kind, True, 0, 0, information).encode()


def _acknowledge(link: _Connection, number: int) -> None:
    """Forget what the client has received; a number that was not sent is one from long ago, and passed over."""
    count = (number - link.oldest) % 8
    if count <= min(link.parameters.window_transmit, len(link.unacknowledged)):
        for _ in range(count):
            link.unacknowledged.popleft()
        link.oldest = number


def unnumbered(client: int, server: HdlcAddress, apdu: bytes, size: int = 128) -> bytes:
    """An APDU that a meter sends unasked: UI frames, of at most `size` octets of information each."""
    parts = llc.segments(llc.RESPONSE + apdu, size)
    return b"".join(
        Frame(HdlcAddress(client), server, Kind.UI, False, 0, 0, part, index < len(parts) - 1).encode()
        for index, part in enumerate(parts)
    )
