"""The opening of IEC 62056-21 mode E: from an optical head's 300 baud to HDLC at the meter's own speed.

    we     /?!                      300 baud, 7 data bits, even parity
    meter  /ABC5\\2TYPE             maker, letter of its speed, \\2: it knows HDLC
    we     ACK 2 5 2                HDLC, at its speed, in binary
    both                            change to that speed, 8 data bits, no parity

Some meters repeat the acknowledgement at the new speed: it is waited for, but a meter that does not is none the worse.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.links.stream import Stream
from profiles.errors import LinkTimeout, ProtocolError

SIGN_ON_BAUD: Final = 300
BAUDS: Final = {b"0": 300, b"1": 600, b"2": 1200, b"3": 2400, b"4": 4800, b"5": 9600, b"6": 19200}
"""By the letter in an identification (IEC 62056-21, 6.3.14, item 13 c)."""
REACTION_S: Final = 1.5
"""The longest that a meter may take to react (IEC 62056-21, 6.5.3)."""

_SIGN_ON: Final = b"/?!\r\n"
_LONGEST: Final = 128


class ChangeLine(Protocol):
    """Changes the speed and the form of characters of a line."""

    def __call__(self, baud: int, *, seven_even: bool = False) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Identification:
    """What a meter says of itself: three letters of its maker, the speed it wants, whether it knows HDLC, its type."""

    maker: str
    baud: int
    hdlc: bool
    text: str


def decode_identification(line: bytes) -> Identification:
    """From a line without its end; ProtocolError where it is none."""
    found = re.fullmatch(rb"/([A-Za-z]{3})([0-6])((?:\\[0-9])?)([ -~]{0,64})", line)
    if found is None:
        raise ProtocolError(
            f"no identification after the sign-on: {line[:40]!r}", remedy="is this meter one for mode E?"
        )
    maker, letter, enhanced, text = found.groups()
    return Identification(maker.decode(), BAUDS[letter], enhanced == b"\\2", text.decode())


def acknowledgement(baud: int) -> bytes:
    """ACK V Z Y: HDLC protocol procedure, at this speed, binary mode (IEC 62056-21, 6.3.2 and annex E)."""
    letter = next(letter for letter, known in BAUDS.items() if known == baud)
    return b"\x062" + letter + b"2\r\n"


async def open_mode_e(stream: Stream, set_line: ChangeLine, timeout_s: float) -> Identification:
    """Sign on, and leave the line ready for HDLC. LinkTimeout, ProtocolError."""
    await set_line(SIGN_ON_BAUD, seven_even=True)
    await stream.send(_SIGN_ON)
    line = await _line(stream, timeout_s)
    if line == _SIGN_ON.strip():  # the echo of an optical head
        line = await _line(stream, timeout_s)
    identification = decode_identification(line)
    if not identification.hdlc:
        raise ProtocolError(
            f"the meter {identification.maker}{identification.text!r} does not know HDLC in mode E",
            remedy="leave mode=e out if it speaks HDLC from the start",
        )
    reply = acknowledgement(identification.baud)
    await stream.send(reply)
    await set_line(identification.baud)
    await _until(stream, reply, min(REACTION_S, timeout_s))
    return identification


async def _line(stream: Stream, timeout_s: float) -> bytes:
    octets = await _collect(stream, timeout_s, lambda heard: b"\n" in heard)
    if b"\n" not in octets:
        raise LinkTimeout(
            f"no identification within {timeout_s:g} s", remedy="see where the optical head sits, and the meter's power"
        )
    return octets[: octets.index(b"\n")].strip(b"\r\0")


async def _until(stream: Stream, expected: bytes, limit_s: float) -> None:
    """Wait for the meter's own acknowledgement, or for the time in which it would have come."""
    await _collect(stream, limit_s, lambda heard: expected in heard)


async def _collect(stream: Stream, limit_s: float, enough: Callable[[bytes], bool]) -> bytes:
    """What comes until it is enough, too much, or late; parity bits taken off."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    heard = b""
    while not enough(heard) and len(heard) < _LONGEST and (left := deadline - clock()) > 0:
        heard += bytes(octet & 0x7F for octet in await stream.receive(left))
    return heard
