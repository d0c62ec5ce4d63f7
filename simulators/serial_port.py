"""One meter on a serial port, or on a pseudo-terminal: HDLC at once, or after the opening of IEC 62056-21 mode E.

    client   /?!  or  /?ADDRESS!       300 baud, 7 data bits, even parity
    meter    /ABC5\\2TYPE               its speed, and that it knows HDLC
    client   ACK 2 5 2                 HDLC, at that speed
    meter    ACK 2 5 2                 again, at the new speed; then HDLC, 8 data bits

The one rule: before the sign-on the meter is silent to every other line. It waits for the next one when the data link
is closed, or nothing was heard for `IDLE_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import termios
from typing import Final

import serial
import structlog

from drivers.links.mode_e import BAUDS, SIGN_ON_BAUD, acknowledgement, with_parity
from profiles.errors import ProtocolError, SettingsError
from simulators.lines import HdlcLine
from simulators.meter import SimulatedMeter
from simulators.refusals import HangUp

BAUD: Final = 9600
IDLE_S: Final = 120.0

_LETTER: Final = next(letter for letter, baud in BAUDS.items() if baud == BAUD).decode()
_SIGN_ON: Final = re.compile(rb"/\?[0-9A-Za-z ]{0,32}!\r\n")
_LONGEST: Final = 64
"""Octets of a line before the sign-on; longer ones are noise."""
_READ: Final = 1024
_LAST_WORDS_S: Final = 0.03
"""What the end of a data link takes to be said at the old speed."""

log = structlog.get_logger(__name__)


class OpticalPort:
    """The sign-on, without I/O: what to say to what was heard, until `signed_on`."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self.signed_on = False
        identity = meter.identity
        self._identification = f"/{identity.maker.flag}{_LETTER}\\2{identity.maker.firmware}\r\n".encode()
        self._heard = b""

    def hear(self, octets: bytes) -> bytes:
        self._heard = (self._heard + bytes(octet & 0x7F for octet in octets))[-_LONGEST:]
        if not self._heard.endswith(b"\n"):
            return b""
        line, self._heard = self._heard, b""
        if _SIGN_ON.fullmatch(line[max(line.rfind(b"/"), 0) :]):
            return with_parity(self._identification)
        self.signed_on = line.endswith(acknowledgement(BAUD))
        return with_parity(acknowledgement(BAUD)) if self.signed_on else b""


class SerialPort:
    """Serves `meter` on the port at `path` until closed. `mode_e`: by an optical head."""

    def __init__(self, meter: SimulatedMeter, path: str, *, mode_e: bool = False, idle_s: float = IDLE_S) -> None:
        self._meter = meter
        self._path = path
        self._idle_s = idle_s
        self._optical = OpticalPort(meter) if mode_e else None
        self._line = HdlcLine(meter)
        self._port: serial.Serial | None = None
        self._unsent = bytearray()
        self._idle: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Open the port; SettingsError where that can't be. Answers in the running loop."""
        baud = BAUD if self._optical is None else SIGN_ON_BAUD
        try:
            self._port = serial.Serial(self._path, baud, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            raise SettingsError(f"can't open {self._path}: {error}", remedy="give the path of a serial port") from None
        os.set_blocking(self._port.fileno(), False)
        asyncio.get_running_loop().add_reader(self._port.fileno(), self._receive)

    def close(self) -> None:
        """Close the port, and end whatever is open on it."""
        if self._idle is not None:
            self._idle.cancel()
        self._line.close()
        if self._port is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._port.fileno())
            loop.remove_writer(self._port.fileno())
            with contextlib.suppress(OSError, termios.error):
                self._port.close()
            self._port = None

    def _receive(self) -> None:
        assert self._port is not None
        try:
            octets = os.read(self._port.fileno(), _READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        self._watch()
        if self._optical is None or self._optical.signed_on:
            self._answer(octets)
        else:
            answer = self._optical.hear(octets)
            if self._optical.signed_on:
                self._set_baud(BAUD)
            self._send(answer)

    def _answer(self, octets: bytes) -> None:
        """In HDLC."""
        was_up = self._line.connected
        self._line.feed(octets)
        try:
            while (answer := self._line.next()) is not None:
                self._send(answer)
        except (HangUp, ProtocolError):
            self._start_over()
        except Exception:
            log.exception("meter_failed")
            self._start_over()
        if was_up and not self._line.connected:
            self._start_over()

    def _start_over(self) -> None:
        """Nothing is open any more; an optical head has to sign on again."""
        self._line.close()
        self._line = HdlcLine(self._meter)
        if self._optical is not None and self._optical.signed_on:
            self._optical = OpticalPort(self._meter)
            asyncio.get_running_loop().call_later(_LAST_WORDS_S, self._set_baud, SIGN_ON_BAUD)

    def _set_baud(self, baud: int) -> None:
        if self._port is not None:
            with contextlib.suppress(OSError, termios.error):
                self._port.baudrate = baud

    def _send(self, octets: bytes) -> None:
        self._unsent += octets
        self._write()

    def _write(self) -> None:
        """As much as the port takes; while it takes no more, nothing more is heard."""
        if self._port is None:
            return
        loop, port = asyncio.get_running_loop(), self._port.fileno()
        try:
            while self._unsent:
                del self._unsent[: os.write(port, self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(error)
            return
        if self._unsent:
            loop.remove_reader(port)
            loop.add_writer(port, self._write)
        else:
            loop.remove_writer(port)
            loop.add_reader(port, self._receive)

    def _lost(self, error: OSError) -> None:
        log.warning("serial_port_lost", port=self._path, reason=error.strerror)
        self.close()

    def _watch(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._start_over)
