"""What is fuzzed: each target takes any octets, and returns, or raises what we call an error of ours and nothing else.

`AssertionError` says that a rule is broken which holds for what was read: encoded again it is read as the same, what
refuses one reader refuses the other, a procedure comes to its end.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, Final

from meter import AUTHENTICATION_KEY, CLIENT_TITLE, ENCRYPTION_KEY, METER_TITLE, hold_session
from script import Script

from drivers.capture import Keys, explain
from drivers.cosem.attributes import read_value
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.block_transfer import BlockTransfer
from drivers.dlms.profile_buffer import decode_capture_objects, decode_profile, decode_scalers
from drivers.dlms.security import GeneralProtection, Parties, Protection
from drivers.dlms.wrapper import Unwrapper, wrap
from drivers.hdlc.addresses import HdlcAddress
from drivers.hdlc.client import HdlcClient, Procedure, Read
from drivers.hdlc.frames import Frame, Kind
from drivers.hdlc.reader import FrameReader
from drivers.hdlc.server import HdlcServer, unnumbered
from drivers.links.secrets import secret_places
from drivers.push import PushingMeter, PushPolicy, PushReceiver, open_push, title_of
from profiles.classes import CLASSES
from profiles.errors import HeadEndError
from profiles.objects import AttributeRef, CaptureObject, Obis

Target = Callable[[bytes], None]

MAX_STEPS = 10_000
CLIENT, SERVER = HdlcAddress(16), HdlcAddress(1, 17, 2)
FRAME_KINDS = (Kind.I, Kind.RR, Kind.RNR, Kind.REJ, Kind.UI, Kind.DM, Kind.DISC, Kind.UA, Kind.SNRM, Kind.FRMR)
FINAL, SEGMENTED, FROM_CLIENT = 0x10, 0x20, 0x40
RAW_LINE = 0x0F
"""What stands for a line that is no frame made here; else the kind's place, plus what of FINAL … is so."""
MAX_PIECE = 1024
BARE, WRAPPED, UNNUMBERED = range(3)
"""How a push is framed."""
COLUMNS = (
    CaptureObject(8, Obis(0, 0, 1, 0, 0), 2),
    CaptureObject(3, Obis(1, 0, 1, 29, 0), 2),
    CaptureObject(3, Obis(1, 0, 2, 29, 0), 2),
)
CREDENTIALS = Credentials(CLIENT_TITLE, ENCRYPTION_KEY, AUTHENTICATION_KEY, counters=CounterRange(1, 1 << 20))
REFUSED: Final = object()
CLASS_IDS = sorted({found.class_id for found in CLASSES.values()})
POLICIES = (
    PushPolicy(),
    PushPolicy(frozenset({0x00, 0x10, 0x20, 0x30})),
    PushPolicy(frozenset({0x00, 0x20}), constant_counter=True),
)


def fuzz_apdu(octets: bytes) -> None:
    secret_places(octets)
    value = apdu.decode(octets)
    assert apdu.decode(value.encode()) == value, "encoded again, an APDU is another"


def fuzz_axdr(octets: bytes) -> None:
    """Both readers of COSEM data, and what reads profile buffers and attributes of it."""
    script = Script(octets)
    choice, data = script.choose(256), script.rest()
    with contextlib.suppress(HeadEndError):
        decode_profile(data, COLUMNS)
    with contextlib.suppress(HeadEndError):
        decode_scalers(decode_capture_objects(data), data)
    with contextlib.suppress(HeadEndError):
        apdu.decode_selection(data)
    typed, value = _read(axdr.decode_typed, data), _read(axdr.decode, data)
    assert (typed is REFUSED) == (value is REFUSED), "one reader of COSEM data takes what the other refuses"
    if typed is REFUSED:
        return
    again = axdr.encode_typed(typed)
    assert axdr.encode_typed(axdr.decode_typed(again)) == again, "encoded again, COSEM data is another"
    class_id = CLASS_IDS[choice % len(CLASS_IDS)]
    for attribute in range(1, 12):
        with contextlib.suppress(HeadEndError):
            read_value(AttributeRef(class_id, Obis(0, 0, 1, 0, 0), attribute), data)


def _read(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except HeadEndError:
        return REFUSED


def fuzz_acse(octets: bytes) -> None:
    secret_places(octets)
    for decode in (acse.decode_aarq, acse.decode_aare, acse.decode_rlrq, acse.decode_rlre):
        with contextlib.suppress(HeadEndError):
            decode(octets)


def fuzz_blocks(octets: bytes) -> None:
    """General block transfer, from either side, with anything as blocks."""
    script = Script(octets)
    transfer = BlockTransfer(64, answers=bool(script.choose(2)), limit=1 << 16)
    if script.choose(2):
        transfer.start(bytes(500))
    while not script.over:
        if script.choose(4):
            transfer.handle(script.piece())
        else:
            transfer.idle()
        if transfer.take() is not None:
            transfer.start(bytes(200))


def fuzz_push(octets: bytes) -> None:
    """The receiver of pushes on a stream or on datagrams, and the opening of what arrives."""
    script = Script(octets)
    policy, datagrams = POLICIES[script.choose(len(POLICIES))], bool(script.choose(2))
    meter = PushingMeter("meter", METER_TITLE, CREDENTIALS, policy)
    receiver = PushReceiver("peer", datagrams=datagrams)
    frames = Unwrapper()
    parties = Parties(METER_TITLE, CLIENT_TITLE, itertools.count(1).__next__)
    cover = GeneralProtection(parties, 0x30, ENCRYPTION_KEY, AUTHENTICATION_KEY)
    while not script.over:
        piece = _framed(script, cover)
        with contextlib.suppress(HeadEndError):
            frames.feed(piece)
            while frames.next() is not None:
                pass
        receiver.feed(piece)
        while (arrival := receiver.next()) is not None:
            with contextlib.suppress(HeadEndError):
                title_of(arrival.apdu)
            with contextlib.suppress(HeadEndError):
                confirmation = open_push(arrival, meter).confirmation()
                if confirmation is not None:
                    receiver.send(arrival.route, confirmation)
        receiver.outgoing()
    receiver.idle()


def _framed(script: Script, cover: Protection) -> bytes:
    """A piece as it stands, or protected by the meter, in a frame or bare."""
    covered, framing, piece = script.choose(2), script.choose(3), script.piece()
    if covered:
        piece = cover.protect(piece)
    if framing == WRAPPED:
        return wrap(1, 1, piece) if piece else b""
    return unnumbered(16, SERVER, piece) if framing == UNNUMBERED else piece


class Echo:
    """A device behind a data link that repeats what it is asked."""

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        return received or None

    def close(self) -> None:
        """It keeps nothing."""


def fuzz_hdlc(octets: bytes) -> None:
    """The frame reader and both ends of a data link; the client's time stands still but for its waits."""
    script = Script(octets)
    server = HdlcServer(Echo())
    lines: list[bytes] = []
    while not script.over:
        lines.append(_line(script))
    reader = FrameReader()
    for line in lines:
        reader.feed(line)
        while (frame := reader.next()) is not None:
            frame.encode()
    for line in lines:
        if server.receive(line) is None:
            break
    _use_data_link(lines)


def _line(script: Script) -> bytes:
    """A piece as it stands, or a sound frame with it as its information; `choose` says from whom, and its control."""
    flags, numbers, piece = script.choose(256), script.choose(64), script.piece()
    if flags == RAW_LINE:
        return piece
    kind = FRAME_KINDS[flags & 0x0F] if flags & 0x0F < len(FRAME_KINDS) else Kind.I
    ends = (SERVER, CLIENT) if flags & FROM_CLIENT else (CLIENT, SERVER)
    final, segmented = bool(flags & FINAL), bool(flags & SEGMENTED)
    return Frame(*ends, kind, final, numbers & 7, numbers >> 3, piece[:MAX_PIECE], segmented).encode()


def _use_data_link(lines: list[bytes]) -> None:
    clock = 0.0
    client = HdlcClient(CLIENT.upper, SERVER, clock=lambda: clock, timeout_s=3.0)
    waiting = iter(lines)

    def run(procedure: Procedure[object]) -> None:
        nonlocal clock
        answer: bytes | None = None
        try:
            for _ in range(MAX_STEPS):
                step = procedure.send(answer)
                answer = None
                if isinstance(step, Read):
                    answer = next(waiting, b"")
                    # What trickles in takes time, silence all that is allowed for it.
                    clock += 0.001 if answer else step.seconds + 0.001
        except StopIteration:
            return
        raise AssertionError("a procedure of the data link does not end")

    try:
        run(client.connect())
        run(client.send(bytes(400)))
        run(client.receive())
    finally:
        with contextlib.suppress(HeadEndError):
            run(client.disconnect())


def fuzz_capture(octets: bytes) -> None:
    script = Script(octets)
    keys = Keys(ENCRYPTION_KEY, AUTHENTICATION_KEY if script.choose(2) else None, METER_TITLE)
    for message in explain(script.rest(), keys).messages:
        message.as_json()


TARGETS: dict[str, Target] = {
    "client": hold_session,
    "push": fuzz_push,
    "hdlc": fuzz_hdlc,
    "capture": fuzz_capture,
    "apdu": fuzz_apdu,
    "axdr": fuzz_axdr,
    "acse": fuzz_acse,
    "blocks": fuzz_blocks,
}


def check(target: str, octets: bytes) -> None:
    """Give a target its input: it may refuse it, and break nothing."""
    with contextlib.suppress(HeadEndError):
        TARGETS[target](octets)
