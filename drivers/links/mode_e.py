"""The opening of IEC 62056-21 mode E: from an optical head's 300 baud to HDLC at the meter's own speed.

    we     /?!                      300 baud, 7 data bits, even parity
    meter  /ABC5\\2TYPE             maker, letter of its speed, \\2: it knows HDLC
    we     ACK 2 5 2                HDLC, at its speed, in binary
    both                            change to that speed, 8 data bits, no parity

Some meters repeat the acknowledgement at the new speed: it is waited for, but a meter that does not is none the worse.
The one rule: the port stays at 8 data bits without parity, and 7 bits with even parity are made here, of the same bits
on the line; there are adapters and serial servers that can do nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from drivers.links.stream import Stream
from profiles.errors import LinkTimeout, ProtocolError

SIGN_ON_BAUD: Final = 300
BAUDS: Final = {b"0": 300, b"1": 600, b"2": 1200, b"3": 2400, b"4": 4800, b"5": 9600, b"6": 19200}
"""By the letter in an identification (IEC 62056-21, 6.3.14, item 13 c)."""
REACTION_S: Final = 1.5
"""The longest that a meter may take to react (IEC 62056-21, 6.5.3)."""
SIGN_ON_S: Final = 3.0
"""How long one sign-on is waited for at least before the next: a meter that just ended a session may miss the first."""

_SIGN_ON: Final = b"/?!\r\n"
_LONGEST: Final = 128


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


def with_parity(text: bytes) -> bytes:
    """Characters of 7 bits, with even parity in the eighth."""
    return bytes(octet | (octet.bit_count() & 1) << 7 for octet in text)


async def open_mode_e(stream: Stream, set_baud: Callable[[int], Awaitable[None]], timeout_s: float) -> Identification:
    """Sign on, on a line at 300 baud, and leave it ready for HDLC. LinkTimeout, ProtocolError."""
    identification = decode_identification(await _answer(stream, timeout_s))
    if not identification.hdlc:
        raise ProtocolError(
            f"the meter {identification.maker}{identification.text!r} does not know HDLC in mode E",
            remedy="leave mode=e out if it speaks HDLC from the start",
        )
    reply = acknowledgement(identification.baud)
    await stream.send(with_parity(reply))
    # Adapters and serial servers say that all is sent while it is still on its way, ten bits a character.
    await asyncio.sleep(len(reply) * 10 / SIGN_ON_BAUD)
    await set_baud(identification.baud)
    await _collect(stream, min(REACTION_S, timeout_s), lambda heard: reply in heard)
    return identification


async def _answer(stream: Stream, timeout_s: float) -> bytes:
    """The line that answers the sign-on, repeated where nothing does; optical heads give back an echo of it first."""
    octets, times = b"", max(1, int(timeout_s / SIGN_ON_S))
    for _ in range(times):
        await stream.send(with_parity(_SIGN_ON))
        octets = await _collect(stream, timeout_s / times, lambda heard: b"\n" in heard.removeprefix(_SIGN_ON))
        if octets.removeprefix(_SIGN_ON):
            break
    line, end, _ = octets.removeprefix(_SIGN_ON).partition(b"\n")
    if not end:
        raise LinkTimeout(
            f"no identification within {timeout_s:g} s", remedy="see where the optical head sits, and the meter's power"
        )
    return line.strip(b"\r\0")


async def _collect(stream: Stream, limit_s: float, enough: Callable[[bytes], bool]) -> bytes:
    """What comes until it is enough, too much, or late; parity bits taken off."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    heard = b""
    while not enough(heard) and len(heard) < _LONGEST and (left := deadline - clock()) > 0:
        octets = await stream.receive(left)
        if not octets:
            break
        heard += bytes(octet & 0x7F for octet in octets)
    return heard
