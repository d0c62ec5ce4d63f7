"""The client's end of an HDLC data link (normal response mode; Green Book, clause 8.4.5), without I/O.

State           what was sent            what ends it
DISCONNECTED    SNRM, repeated           UA: CONNECTED; DM: refused
CONNECTED       I frames, last polled    a final frame: all acknowledged, or sent again from the first that was not
                RR, polled               I frames, last final; RR, RNR: nothing yet, asked again after a pause
                DISC, repeated once      UA, DM, silence: DISCONNECTED
any                                      DM, FRMR from the meter: DISCONNECTED, and an error

The one rule: after a poll the meter has the turn, and only its final frame, or silence, gives it back. Silence is
answered with RR, which makes the meter say what it has received and repeat what we have not; no information is sent
twice before that. REJ is understood but not sent: it is not among the frames that DLMS meters have to know.

Each procedure is a generator: it yields `Write` and `Read` and returns its result. Who drives it answers `Read` with
octets, or with b"" when nothing came in time.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from drivers.hdlc import llc
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.parameters import Parameters, decode_parameters
from drivers.hdlc.reader import FrameReader
from profiles.errors import LinkError, LinkTimeout, MeterBusy, ProtocolError

ATTEMPTS: Final = 3
"""How often something is asked within the time-out before the meter counts as silent."""
PAUSE_S: Final = 0.2
"""Between two polls of a meter that has nothing to say yet."""
GOODBYE_S: Final = 1.0
"""The longest wait for the answer to a DISC."""
MAX_UNFETCHED: Final = 16
"""APDUs that a meter may send in one turn."""
MAX_UNNUMBERED: Final = 64
"""Unasked APDUs that are kept until they are fetched; older ones are dropped."""

T = TypeVar("T")
Spans = tuple[tuple[int, int], ...]
"""Places of octets: from, and to before."""


@dataclass(frozen=True, slots=True)
class Write:
    """Hand these octets to the link. Those in `hidden` tell a secret and have no place in a record."""

    octets: bytes = field(repr=False)
    hidden: Spans = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Give back what the link receives within so many seconds."""

    seconds: float


Procedure = Generator[Write | Read, bytes | None, T]


@dataclass(slots=True)
class _Sent:
    """An I frame's contents, kept until acknowledged."""

    information: bytes
    segmented: bool
    hidden: Spans
    """Within the information."""


class HdlcClient:
    """One data link to one server. `clock` gives monotonic seconds.

    `timeout_s` is how long the meter may go without progress: an acknowledgement, or a frame that is new.
    """

    def __init__(
        self,
        client: int,
        server: HdlcAddress,
        *,
        clock: Callable[[], float],
        offered: Parameters = Parameters(),  # noqa: B008 - a frozen value
        timeout_s: float = 10.0,
    ) -> None:
        self.parameters = Parameters()
        """As agreed with the meter."""
        self.connected = False
        self.unnumbered: deque[bytes] = deque(maxlen=MAX_UNNUMBERED)
        """APDUs that came unasked, in UI frames."""
        self.repeated = 0
        """Frames that were sent again, and polls after silence."""
        self._client = HdlcAddress(client)
        self._server = server
        self._offered = offered
        self._clock = clock
        self._timeout_s = timeout_s
        self._frames = FrameReader()
        self._start()

    @property
    def passed_over(self) -> int:
        """Octets received that belonged to no sound frame."""
        return self._frames.passed_over

    def _start(self) -> None:
        """All as after an SNRM."""
        self._oldest = 0
        """N(S) of the first I frame that the meter has not acknowledged, or of the next new one."""
        self._expected = 0
        """N(S) of the meter's next I frame: our N(R)."""
        self._unacknowledged: deque[_Sent] = deque()
        self._polled = False
        self._enquiring = False
        """The last poll was an RR: what the meter does not acknowledge in its answer, it has not received."""
        self._late = False
        """A poll was given up after silence, and its answer may still come, to be taken for that of the next."""
        self._meter_busy = False
        self._idle = False
        """The meter gave the turn back without anything new."""
        self._assembly = llc.Assembly()
        self._unasked = llc.Assembly()
        self._received: deque[bytes] = deque()
        self._progress()

    # --- procedures -------------------------------------------------------------------------------------------

    def connect(self) -> Procedure[None]:
        """Agree on parameters. MeterBusy where the meter refuses, LinkTimeout where it is silent, ProtocolError."""
        self._frames.reset()
        self._start()
        # Where we offer no more than the default we say nothing: the oldest meters take no other SNRM.
        offer = b"" if self._offered == Parameters() else self._offered.encode()
        for _ in range(ATTEMPTS):
            yield self._write(Kind.SNRM, information=offer)
            while (frame := (yield from self._frame(self._timeout_s / ATTEMPTS))) is not None:
                if frame.kind is Kind.UA:
                    self.parameters = self._offered.agreed(decode_parameters(frame.information))
                    self.connected = True
                    return
                if frame.kind is Kind.DM:
                    raise MeterBusy("the meter refused the HDLC connection (DM)", remedy="another client may hold it")
                if frame.kind is Kind.FRMR:
                    raise _rejection(frame)
        raise LinkTimeout(
            f"no answer to SNRM within {self._timeout_s:g} s",
            remedy="see baud rate, client, server and physical; some meters want ?information=128&window=1",
        )

    def send(self, apdu: bytes, hidden: Spans = ()) -> Procedure[None]:
        """Send an APDU; returns when its last window is out. `hidden`: where in it secrets stand."""
        self._check_connected()
        self._progress()
        yield from self._take_turn()
        lead = len(llc.COMMAND)
        waiting = self._cut(llc.COMMAND + apdu, [(begin + lead, end + lead) for begin, end in hidden])
        while waiting:
            size = self.parameters.window_transmit
            self._unacknowledged.extend(waiting[:size])
            del waiting[:size]
            yield from self._transmit()
            if waiting:
                yield from self._take_turn()

    def receive(self) -> Procedure[bytes]:
        """The next APDU that the meter sends. LinkTimeout, LinkError where it ends the link, ProtocolError."""
        self._check_connected()
        self._progress()
        while not self._received:
            if not self._polled:
                if self._idle:
                    yield from self._pause()
                yield self._poll()
            yield from self._take_turn()
        return self._received.popleft()

    def disconnect(self) -> Procedure[None]:
        """End the link; a meter that says nothing to that is let go."""
        if not self.connected:
            return
        self.connected = False
        self._progress()
        for _ in range(2):
            yield self._write(Kind.DISC)
            while (frame := (yield from self._frame(min(GOODBYE_S, self._timeout_s) / 2))) is not None:
                if frame.kind in (Kind.UA, Kind.DM):
                    return

    # --- turns ------------------------------------------------------------------------------------------------

    def _take_turn(self) -> Procedure[None]:
        """Until the meter has given the turn back and acknowledged all that was sent."""
        while self._polled or self._unacknowledged:
            if self._polled:
                yield from self._listen()
            elif self._meter_busy:
                yield from self._pause()
                yield self._poll()
            else:
                self.repeated += len(self._unacknowledged)
                yield from self._transmit()

    def _listen(self) -> Procedure[None]:
        """Take the next frame; poll again after silence."""
        frame = yield from self._frame(self._timeout_s / ATTEMPTS)
        if frame is not None:
            if self._take(frame):
                self._polled = False
                self._late = self._late and self._enquiring
            return
        self._check_deadline()
        self.repeated += 1
        self._late = True
        yield self._poll()

    def _pause(self) -> Procedure[None]:
        """Leave a meter that has nothing to say in peace for a moment; what comes meanwhile is taken."""
        self._check_deadline()
        frame = yield from self._frame(PAUSE_S)
        if frame is not None:
            self._take(frame)

    def _frame(self, seconds: float) -> Procedure[Frame | None]:
        """The next frame between us and the meter; None after so many seconds of silence, or past the deadline."""
        while True:
            frame = self._frames.next()
            if frame is not None:
                if frame.destination == self._client and self._server.reaches(frame.source):
                    return frame
                continue
            left = self._deadline - self._clock()
            heard = (yield Read(min(seconds, left))) if left > 0 else None
            if not heard:
                return None
            self._frames.feed(heard)

    def _progress(self) -> None:
        self._deadline = self._clock() + self._timeout_s

    def _check_deadline(self) -> None:
        if self._clock() < self._deadline:
            return
        why = "the meter says it is busy (RNR)" if self._meter_busy else "no answer"
        raise LinkTimeout(f"{why} for {self._timeout_s:g} s")

    def _check_connected(self) -> None:
        if not self.connected:
            raise LinkError("the HDLC link is not connected")

    # --- frames out -------------------------------------------------------------------------------------------

    def _write(self, kind: Kind, information: bytes = b"") -> Write:
        return Write(Frame(self._server, self._client, kind, True, 0, 0, information).encode())

    def _poll(self) -> Write:
        self._polled = self._enquiring = True
        return Write(Frame(self._server, self._client, Kind.RR, True, 0, self._expected).encode())

    def _transmit(self) -> Procedure[None]:
        """Send all that is not acknowledged, and poll."""
        last = len(self._unacknowledged) - 1
        for index, sent in enumerate(self._unacknowledged):
            number = (self._oldest + index) % 8
            frame = Frame(
                self._server,
                self._client,
                Kind.I,
                index == last,
                number,
                self._expected,
                sent.information,
                sent.segmented,
            )
            octets = frame.encode()
            yield Write(octets, _hidden(octets, sent))
        self._polled, self._enquiring, self._idle = True, False, False

    def _cut(self, lsdu: bytes, hidden: list[tuple[int, int]]) -> list[_Sent]:
        size = self.parameters.information_transmit
        parts = llc.segments(lsdu, size)
        return [
            _Sent(
                part,
                index < len(parts) - 1,
                tuple(
                    (max(begin - index * size, 0), min(end - index * size, len(part)))
                    for begin, end in hidden
                    if begin < index * size + len(part) and end > index * size
                ),
            )
            for index, part in enumerate(parts)
        ]

    # --- frames in --------------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> bool:
        """Work a frame in; whether it gives the turn back. Frames left over from earlier polls don't."""
        if frame.kind is Kind.UI:
            self._take_unnumbered(frame)
        elif frame.kind is Kind.DM:
            self.connected = False
            raise LinkError("the meter has ended the HDLC link (DM)")
        elif frame.kind is Kind.FRMR:
            self.connected = False
            raise _rejection(frame)
        elif frame.kind is Kind.I:
            return self._take_information(frame)
        elif frame.kind in (Kind.RR, Kind.RNR, Kind.REJ):
            return self._take_supervisory(frame)
        return False

    def _take_information(self, frame: Frame) -> bool:
        ahead = (frame.send - self._expected) % 8
        if ahead >= max(1, self.parameters.window_receive):
            return False  # seen before
        self._acknowledge(frame.receive)
        self._idle = False
        if ahead == 0:
            self._expected = (self._expected + 1) % 8
            if frame.information:
                self._progress()
            apdu = self._assembly.add(frame.information, frame.segmented)
            if apdu is not None:
                self._received.append(apdu)
        if len(self._received) > MAX_UNFETCHED:
            raise ProtocolError("the meter goes on sending and does not give the turn back")
        return frame.final

    def _take_supervisory(self, frame: Frame) -> bool:
        moved = self._acknowledge(frame.receive)
        self._meter_busy = frame.kind is Kind.RNR
        self._idle = not moved
        if frame.final and self._late and not moved and frame.kind is Kind.RR and not self._enquiring:
            self._late = False
            return False
        return frame.final

    def _acknowledge(self, number: int) -> bool:
        """Forget what the meter has received; whether that was anything. A number from long ago is passed over."""
        count = (number - self._oldest) % 8
        if not 0 < count <= len(self._unacknowledged):
            return False
        for _ in range(count):
            self._unacknowledged.popleft()
        self._oldest = number
        self._progress()
        return True

    def _take_unnumbered(self, frame: Frame) -> None:
        with contextlib.suppress(ProtocolError):  # whatever comes unasked, the exchange goes on
            apdu = self._unasked.add(frame.information, frame.segmented)
            if apdu is not None:
                self.unnumbered.append(apdu)


def _hidden(octets: bytes, sent: _Sent) -> Spans:
    """Where in the frame its secrets stand; its check tells of them too."""
    if not sent.hidden:
        return ()
    end = len(octets) - 3
    start = end - len(sent.information)
    return (*((start + begin, start + stop) for begin, stop in sent.hidden), (end, end + 2))


def _rejection(frame: Frame) -> ProtocolError:
    """What a meter's FRMR says (ISO/IEC 13239, 5.5.3.4.2)."""
    reasons = ("unknown control field", "information not allowed", "information too long", "wrong N(R)")
    bits = frame.information[2] if len(frame.information) >= 3 else 0
    told = ", ".join(reason for bit, reason in enumerate(reasons) if bits >> bit & 1)
    return ProtocolError(f"the meter rejected a frame (FRMR): {told or 'no reason given'}")
