"""Where a meter is: a URL that says the link, what is special about it, and who talks to whom on it.

    tcp://host:4059  udp://host:4059                the wrapper
    hdlc+tcp://host:4059                            HDLC through a socket: a modem, a serial server without RFC 2217
    serial:///dev/ttyUSB0?baud=9600                 HDLC on a serial port; mode=e: opened as IEC 62056-21 mode E
    rfc2217://host:2217?baud=9600                   the same on a port that a serial server lends (RFC 2217)

Keys for every link: client, server (SAPs), timeout (seconds), gateway (hex: the physical device address behind a DCU)
and network (its network id there). For HDLC: physical (lower address), octets (of the server's address: 1, 2 or 4),
information and window (the most to be offered). IPv6 addresses stand in brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from drivers.hdlc.addresses import server_address
from drivers.hdlc.frames import MAX_INFORMATION
from profiles.errors import ProtocolError, SettingsError

DEFAULT_PORT = 4059
"""Registered for DLMS/COSEM over TCP and UDP."""
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_BAUD = 9600

_REMEDY: Final = (
    "write it as tcp://host:4059, tcp://[v6 address]:4059, udp://..., hdlc+tcp://..., serial:///dev/ttyUSB0?baud=9600 "
    "or rfc2217://host:port, with ?client=, server=, timeout= where needed"
)


class Scheme(StrEnum):
    """The kinds of link."""

    TCP = "tcp"
    UDP = "udp"
    HDLC_TCP = "hdlc+tcp"
    SERIAL = "serial"
    RFC2217 = "rfc2217"


LINES: Final = frozenset({Scheme.SERIAL, Scheme.RFC2217})
"""Links that have a speed."""
HDLC: Final = LINES | {Scheme.HDLC_TCP}


@dataclass(frozen=True, slots=True)
class Hdlc:
    """What is special about a data link: addresses of the server, and the most that we offer it."""

    physical: int | None = None
    octets: int | None = None
    information: int = 1024
    window: int = 7


@dataclass(frozen=True, slots=True)
class Line:
    """How a serial line is opened: at a speed in baud, or at 300 baud with a mode E sign-on that tells the speed."""

    baud: int = DEFAULT_BAUD
    mode_e: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """A meter behind a gateway: its network there, and its physical device address."""

    network: int
    device: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """A meter's link address and what of it overrides the meter type. `host` is a path for a serial port."""

    host: str
    port: int = DEFAULT_PORT
    client: int | None = None
    server: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    scheme: Scheme = Scheme.TCP
    hdlc: Hdlc = field(default_factory=Hdlc)
    line: Line = field(default_factory=Line)
    gateway: Gateway | None = None

    def __str__(self) -> str:
        """The place, without who talks to whom there: what tells one meter's address from another's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"serial:{self.host}" if self.scheme is Scheme.SERIAL else f"{self.scheme}://{host}:{self.port}"
        beyond: dict[str, object] = {} if self.hdlc.physical is None else {"physical": self.hdlc.physical}
        if self.gateway is not None:
            beyond |= {"gateway": self.gateway.device.hex(), "network": self.gateway.network}
        return f"{place}?{urlencode(beyond)}" if beyond else place


def parse_address(text: str) -> Address:
    """From its URL form; SettingsError says what is wrong with it."""
    try:
        url = urlsplit(text.strip())
        if url.scheme not in list(Scheme):
            raise ValueError("no such kind of link")
        scheme = Scheme(url.scheme)
        port = None if scheme is Scheme.SERIAL else url.port
        host = _port_path(url) if scheme is Scheme.SERIAL else _host(url)
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a meter address: {error}", remedy=_REMEDY) from None
    if scheme is Scheme.RFC2217 and port is None:
        raise SettingsError(f"{text!r} names no port of the serial server", remedy=_REMEDY)
    values = _values(text, url.query, scheme)
    address = Address(
        host,
        port if port is not None else DEFAULT_PORT,
        values.get("client"),
        values.get("server"),
        values.get("timeout", DEFAULT_TIMEOUT_S),
        scheme,
        Hdlc(**{name: values[name] for name in ("physical", "octets", "information", "window") if name in values}),
        Line(values.get("baud", DEFAULT_BAUD), values.get("mode", False)),
        Gateway(values.get("network", 0), values["gateway"]) if "gateway" in values else None,
    )
    _check_together(text, address, values)
    return address


def _host(url: SplitResult) -> str:
    if not url.hostname or url.path not in ("", "/") or url.username is not None or url.fragment:
        raise ValueError("it needs a host, and has no place for more than a port and keys")
    return url.hostname


def _port_path(url: SplitResult) -> str:
    """`serial:///dev/ttyUSB0`, `serial:/dev/ttyUSB0` and `serial:COM3` alike."""
    if not url.netloc + url.path or url.fragment:
        raise ValueError("it names no serial port")
    return url.netloc + url.path


def _check_together(text: str, address: Address, values: Mapping[str, object]) -> None:
    """What each key allows, but not with the others."""
    if "baud" in values and address.line.mode_e:
        raise SettingsError(f"{text!r}: in mode E the meter tells the speed", remedy="leave baud out")
    if "network" in values and address.gateway is None:
        raise SettingsError(f"{text!r}: network= is of no use without gateway=", remedy=_REMEDY)
    if address.scheme in HDLC:
        try:
            server_address(address.server or 1, address.hdlc.physical, address.hdlc.octets)
        except ProtocolError as error:
            raise SettingsError(f"{text!r}: {error.message}", remedy="see server=, physical= and octets=") from None


def _values(text: str, query: str, scheme: Scheme) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        schemes, parse = _KEYS.get(key, (frozenset(), str))
        if scheme not in schemes:
            raise SettingsError(f"{text!r}: unknown key {key!r} for {scheme}", remedy=_REMEDY)
        if key in values:
            raise SettingsError(f"{text!r}: {key} comes twice", remedy="leave one of them")
        try:
            values[key] = parse(value)
        except ValueError:
            raise SettingsError(f"{text!r}: {key}={value} is out of range", remedy=_REMEDY) from None
    return values


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not least <= number <= most:
            raise ValueError
        return number

    return parse


def _one_of(*numbers: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if int(value) not in numbers:
            raise ValueError
        return int(value)

    return parse


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 < seconds <= 600:
        raise ValueError
    return seconds


def _device(value: str) -> bytes:
    octets = bytes.fromhex(value)
    if not 0 < len(octets) <= 127:
        raise ValueError
    return octets


def _mode(value: str) -> bool:
    if value.lower() != "e":
        raise ValueError
    return True


_ALL: Final = frozenset(Scheme)
_KEYS: Final[Mapping[str, tuple[frozenset[Scheme], Callable[[str], object]]]] = {
    "client": (_ALL, _whole(1, 0xFFFF)),
    "server": (_ALL, _whole(1, 0xFFFF)),
    "timeout": (_ALL, _seconds),
    "gateway": (_ALL, _device),
    "network": (_ALL, _whole(0, 255)),
    "physical": (HDLC, _whole(0, 0x3FFF)),
    "octets": (HDLC, _one_of(1, 2, 4)),
    "information": (HDLC, _whole(32, MAX_INFORMATION)),
    "window": (HDLC, _whole(1, 7)),
    "baud": (LINES, _one_of(300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)),
    "mode": (LINES, _mode),
}
