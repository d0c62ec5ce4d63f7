"""From the octets of a capture to its messages, in the order in which they were said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from drivers.capture.bare import find_bare
from drivers.capture.conversation import Conversation, Grade, Message, Problem
from drivers.capture.framing import Frame, Framed, Unit
from drivers.capture.hdlc import find_hdlc
from drivers.capture.mbus import find_mbus
from drivers.capture.network import streams_of_packets
from drivers.capture.opening import Keys
from drivers.capture.pcap import is_pcap, read_packets
from drivers.capture.streams import MAX_OCTETS, Stream, not_dlms, one_stream
from drivers.capture.text import is_transcript, lines_of_hex, octets_of_hex, streams_of_transcript, text_of
from drivers.capture.wrapper import find_wrapper
from profiles.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """Frames that carry no APDU: they open, acknowledge and close a data link."""

    frames: tuple[Frame, ...]
    time: datetime | None = None
    stream: str = ""


Item: TypeAlias = Message | LinkFrame


@dataclass(slots=True)
class Explained:
    """All that a capture holds, and what of it is not as it should be."""

    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Those of no one message."""

    @property
    def messages(self) -> list[Message]:
        return [item for item in self.items if isinstance(item, Message)]


def explain(octets: bytes, keys: Keys) -> Explained:
    """Everything in a capture: octets or hex digits of frames or APDUs, a pcap file, a transcript.

    ProtocolError ("not DLMS: …") says where understanding stopped, where nothing at all is understood.
    """
    if len(octets) > MAX_OCTETS:
        raise not_dlms("", MAX_OCTETS, f"a capture of more than {MAX_OCTETS} octets is not looked at")
    if not octets:
        raise not_dlms("", 0, "nothing is there")
    explained = Explained()
    captured = [(stream, _framed(stream)) for stream in _streams(octets, explained)]
    if not any(framed.understood for _, framed in captured):
        raise _nothing_in(captured, explained)
    for stream, framed in captured:
        explained.problems += _problems(stream, framed)
    _converse(captured, keys, explained)
    if explained.messages and all(message.apdu is None for message in explained.messages):
        broken = explained.messages[0].problems[0]
        raise not_dlms(explained.messages[0].stream, broken.octet, broken.text)
    return explained


# --- finding --------------------------------------------------------------------------------------------------


def _streams(octets: bytes, explained: Explained) -> Sequence[Stream]:
    if is_pcap(octets):
        packets = read_packets(octets)
        if packets.stop is not None:
            at, reason = packets.stop
            explained.problems.append(Problem(Grade.BROKEN, f"octet {at} of the pcap file: {reason}", at))
        return streams_of_packets(packets.packets)
    text = text_of(octets)
    if text is None:
        return one_stream(octets)
    return streams_of_transcript(text) if is_transcript(text) else _of_hex(text)


def _of_hex(text: str) -> Sequence[Stream]:
    """One row of octets, however it is folded; or an APDU or frame a line, where only that makes sense."""
    whole = one_stream(octets_of_hex(text))
    rows = lines_of_hex(text) if len(text.split("\n")) > 1 else []
    if len(rows) < 2 or not _framed(whole[0]).stops:
        return whole
    lines = [one_stream(row)[0] for row in rows]
    return whole if any(_framed(line).stops for line in lines) else lines


def _framed(stream: Stream) -> Framed:
    """By the framing that explains most; where none explains anything, the one that got furthest."""
    octets, hidden = stream.octets, stream.hidden
    tried = [find_bare(octets, hidden), find_hdlc(octets, hidden), find_wrapper(octets), find_mbus(octets)]
    return max(tried, key=lambda framed: (framed.understood, framed.reach))


def _nothing_in(captured: Sequence[tuple[Stream, Framed]], explained: Explained) -> ProtocolError:
    """The error for a capture of which no stream is understood: where the one that got furthest stops."""
    stopped = [(stream, framed.stops[0]) for stream, framed in captured if framed.reach >= 0]
    if not stopped:
        if explained.problems:
            return not_dlms("", explained.problems[0].octet, explained.problems[0].text)
        return not_dlms("", 0, "no TCP or UDP is in it")
    stream, stop = max(stopped, key=lambda one: one[1].offset)
    return not_dlms(stream.name, stop.offset, stop.reason)


def _problems(stream: Stream, framed: Framed) -> list[Problem]:
    place = f" ({stream.name})" if stream.name else ""
    if not framed.understood:
        return [Problem(Grade.REMARK, f"nothing in {stream.name or 'a part'} is DLMS")]
    found = [Problem(Grade.BROKEN, f"octet {stop.offset}{place}: {stop.reason}", stop.offset) for stop in framed.stops]
    if framed.passed_over and not found:
        found.append(Problem(Grade.REMARK, f"{framed.passed_over} octets{place} belong to no {framed.name} frame"))
    return found


# --- talking --------------------------------------------------------------------------------------------------


def _converse(captured: Sequence[tuple[Stream, Framed]], keys: Keys, explained: Explained) -> None:
    """Let every conversation hear its units in the order in which they ended."""
    heard = [
        ((stream.piece_at(unit.end - 1).order, number, unit.start), stream, unit)
        for number, (stream, framed) in enumerate(captured)
        for unit in framed.units
    ]
    conversations: dict[tuple[str, str], Conversation] = {}
    for _, stream, unit in sorted(heard, key=lambda one: one[0]):
        time = stream.piece_at(unit.end - 1).time
        if not unit.apdu:
            explained.items.append(LinkFrame(unit.frames, time, stream.name))
            continue
        conversation = conversations.setdefault((stream.group, unit.ends), Conversation(keys))
        message = _heard(conversation, stream, unit)
        if message is not None:
            message.time, message.stream = time, stream.name
            explained.items.append(message)
    for conversation in conversations.values():
        explained.problems += [Problem(Grade.BROKEN, text) for text in conversation.unfinished()]


def _heard(conversation: Conversation, stream: Stream, unit: Unit) -> Message | None:
    hidden = not stream.hidden.isdisjoint(range(unit.start, unit.end)) if stream.hidden else False
    try:
        return conversation.hear(unit, stream.name, hidden=hidden)
    except ProtocolError as error:
        octet = unit.offset_of(error.octet or 0)
        return Message(None, unit.frames, problems=[Problem(Grade.BROKEN, error.message, octet)])
