"""Addresses with a range, and the places that they stand for."""

from __future__ import annotations

import pytest

from headend.watch.places import places_of
from profiles.errors import SettingsError


def shown(address: str) -> list[str]:
    return [str(place) for line in places_of(address).lines for place in line.places()]


def test_a_range_stands_for_hosts_or_for_places_on_one_line() -> None:
    assert shown("tcp://10.0.0.9-11:4060?timeout=3") == [f"tcp://10.0.0.{last}:4060" for last in (9, 10, 11)]
    assert shown("tcp://10.0.0.1-2") == ["tcp://10.0.0.1:4059", "tcp://10.0.0.2:4059"]
    bus = places_of("serial:///dev/ttyUSB0?baud=4800&physical=16-18&octets=4")
    assert (len(bus), bus.shared, bus.lines[0].address.line.baud) == (3, True, 4800)
    assert shown("rfc2217://10.0.0.1:2217?physical=16-17") == [
        f"rfc2217://10.0.0.1:2217?physical={one}" for one in (16, 17)
    ]
    behind = shown("tcp://10.0.0.1?network=2&gateway=00fe-0101")
    assert behind == [f"tcp://10.0.0.1:4059?gateway={one:04x}&network=2" for one in range(0xFE, 0x102)]


def test_without_a_range_a_bus_has_all_usual_addresses_and_anything_else_is_one_place() -> None:
    assert len(places_of("hdlc+tcp://10.0.0.1:4059")) == len(range(16, 126))
    assert len(places_of("serial:///dev/ttyUSB0?mode=e")) == len(places_of("tcp://[::1]:4059")) == 1
    assert shown("hdlc+tcp://10.0.0.1?physical=17") == ["hdlc+tcp://10.0.0.1:4059?physical=17"]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.9-3:4059", "no range"),
        ("tcp://127.0.0.1-300:4059", "no range"),
        ("hdlc+tcp://127.0.0.1-9:4059?physical=16-20", "more than one range"),
        ("tcp://127.0.0.1?gateway=1-0020", "as many hex digits"),
        ("tcp://127.0.0.1?gateway=000000-ffffff", "are the most"),
        ("hdlc+tcp://127.0.0.1?octets=2&physical=16-300", "physical"),
        ("ftp://10.0.0.1-9", "no such kind of link"),
    ],
)
def test_what_is_no_range_is_refused(address: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        places_of(address)
    assert reason in str(refused.value)
