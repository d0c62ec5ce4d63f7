"""The places that an address with a range stands for: hosts, physical devices on a line, or devices behind a gateway.

    tcp://10.0.0.1-254:4059                      the last number of an IPv4 address
    serial:///dev/ttyUSB0?physical=16-40         HDLC: physical device addresses, in decimal
    tcp://10.0.0.1:4059?gateway=01-20            behind a gateway: in hex, of as many digits as written

The one rule: one range at a time, and its length is known before anything is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from drivers.address import HDLC, LINES, Address, Gateway, parse_address
from profiles.errors import SettingsError

MOST: Final = 16_384
"""Places of one scan: all physical addresses that HDLC has."""
USUAL_PHYSICAL: Final = range(16, 126)
"""Physical addresses that devices may have in an address of two octets (Green Book, clause 8.4.2.4); the others are
reserved, or for nobody or all."""

_HOSTS: Final = re.compile(r"([a-z0-9+]+://\d+\.\d+\.\d+\.)(\d+)-(\d+)(?=[:/?]|$)(.*)")
_PHYSICAL: Final = re.compile(r"(.*[?&]physical=)(\d+)-(\d+)(?=&|$)(.*)")
_GATEWAY: Final = re.compile(r"(.*[?&]gateway=)([0-9a-fA-F]+)-([0-9a-fA-F]+)(?=&|$)(.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """What is opened once, and the places on it, one after the other."""

    address: Address
    physical: range | None = None
    devices: range | None = None
    """Behind a gateway, as numbers."""

    def __len__(self) -> int:
        return next((len(one) for one in (self.physical, self.devices) if one is not None), 1)

    def places(self) -> Iterator[Address]:
        """The address of each."""
        address = self.address
        if self.physical is not None:
            for number in self.physical:
                yield replace(address, hdlc=replace(address.hdlc, physical=number))
        elif self.devices is not None and address.gateway is not None:
            octets = len(address.gateway.device)
            for number in self.devices:
                yield replace(address, gateway=Gateway(address.gateway.network, number.to_bytes(octets, "big")))
        else:
            yield address


@dataclass(frozen=True, slots=True)
class Places:
    """What a scan goes through. `shared`: all stand on one line, and are asked one after the other."""

    lines: tuple[Line, ...]
    shared: bool

    def __len__(self) -> int:
        return sum(len(line) for line in self.lines)


def places_of(text: str) -> Places:
    """From an address with or without a range; on an HDLC line without `physical` all usual ones. SettingsError."""
    text = text.strip()
    hosts, physical, gateway = (pattern.fullmatch(text) for pattern in (_HOSTS, _PHYSICAL, _GATEWAY))
    if sum(found is not None for found in (hosts, physical, gateway)) > 1:
        raise SettingsError(f"{text!r} has more than one range", remedy="scan one after the other")
    if hosts is not None:
        return _hosts(text, hosts)
    if physical is not None:
        numbers = _numbers(text, physical, 10, 0x3FFF)
        # Both ends are looked at, so that an address of too few octets is refused now.
        address = [parse_address(f"{physical[1]}{end}{physical[4]}") for end in (numbers[-1], numbers[0])][1]
        return Places((Line(address, physical=numbers),), shared=True)
    if gateway is not None:
        if len(gateway[2]) != len(gateway[3]):
            raise SettingsError(f"{text!r}: write both ends of the range with as many hex digits")
        numbers = _numbers(text, gateway, 16, 16 ** len(gateway[2]) - 1)
        return Places((Line(parse_address(f"{gateway[1]}{gateway[2]}{gateway[4]}"), devices=numbers),), shared=True)
    address = parse_address(text)
    if address.scheme in HDLC and address.hdlc.physical is None and not address.line.mode_e:
        return Places((Line(address, physical=USUAL_PHYSICAL),), shared=True)
    return Places((Line(address),), shared=address.scheme in LINES or address.gateway is not None)


def _hosts(text: str, found: re.Match[str]) -> Places:
    numbers = _numbers(text, found, 10, 255)
    addresses = [parse_address(f"{found[1]}{number}{found[4]}") for number in numbers]
    return Places(tuple(Line(address) for address in addresses), shared=False)


def _numbers(text: str, found: re.Match[str], base: int, largest: int) -> range:
    first, last = int(found[2], base), int(found[3], base)
    if not first <= last <= largest:
        raise SettingsError(f"{text!r}: {found[2]}-{found[3]} is no range of at most {largest}")
    if last - first >= MOST:
        raise SettingsError(f"{text!r}: {last - first + 1} places, {MOST} are the most at a time")
    return range(first, last + 1)
