"""Meter addresses in their URL form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.address import Address, Gateway, Hdlc, Line, Scheme, parse_address
from profiles.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://10.1.2.3", Address("10.1.2.3", 4059)),
        ("tcp://meter-7.example:4060", Address("meter-7.example", 4060)),
        ("tcp://METER.example/", Address("meter.example")),
        ("  tcp://h:1\n", Address("h", 1)),
        ("tcp://[2001:db8::7]:4059", Address("2001:db8::7", 4059)),
        ("tcp://[fe80::1%eth0]", Address("fe80::1%eth0")),
        ("tcp://h?client=48&server=17", Address("h", client=48, server=17)),
        ("tcp://h:4059?timeout=2.5", Address("h", timeout_s=2.5)),
        ("tcp://h?timeout=600", Address("h", timeout_s=600)),
    ],
)
def test_an_address_is_understood(text: str, address: Address) -> None:
    assert place(parse_address(text)) == place(address)


def place(address: Address) -> tuple[object, ...]:
    return address.host, address.port, address.client, address.server, address.timeout_s


def test_the_defaults_are_the_registered_port_and_ten_seconds() -> None:
    address = parse_address("tcp://h")
    assert (address.port, address.timeout_s) == (4059, 10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.1.2.3",
        "10.1.2.3:4059",
        "ftp://h",
        "http://h:4059",
        "tcp://",
        "tcp://:4059",
        "tcp://h:0x10",
        "tcp://h:65536",
        "tcp://h:-1",
        "tcp://[::1",
        "tcp://h/path",
        "tcp://user@h",
        "tcp://h#4059",
        "tcp://h?client=0",
        "tcp://h?client=65536",
        "tcp://h?client=one",
        "tcp://h?server=",
        "tcp://h?timeout=0",
        "tcp://h?timeout=601",
        "tcp://h?timeout=nan",
        "tcp://h?timeout=inf",
        "tcp://h?speed=9600",
        "tcp://h?client",
    ],
)
def test_what_is_no_address_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert "write it as tcp://host:4059" in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_settings_error(text: str) -> None:
    for form in (text, f"tcp://{text}", f"tcp://h:{text}", f"tcp://h?{text}", f"tcp://h?client={text}"):
        try:
            address = parse_address(form)
        except SettingsError:
            continue
        assert address.host
        assert 0 <= address.port <= 0xFFFF
        assert 0 < address.timeout_s <= 600


HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True) | st.ip_addresses().map(str)


@given(HOSTS, st.integers(0, 0xFFFF))
def test_an_address_is_read_back_from_what_it_shows(host: str, port: int) -> None:
    address = Address(host, port)
    assert place(parse_address(str(address))) == place(address)


# --- the other links ------------------------------------------------------------------------------------------

TTY = "/dev/ttyUSB0"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("udp://[::1]:4060?client=48", Address("::1", 4060, 48, scheme=Scheme.UDP)),
        ("hdlc+tcp://h", Address("h", scheme=Scheme.HDLC_TCP)),
        ("hdlc+tcp://h?physical=17&octets=4", Address("h", scheme=Scheme.HDLC_TCP, hdlc=Hdlc(17, 4))),
        ("hdlc+tcp://h?information=128&window=1", Address("h", scheme=Scheme.HDLC_TCP, hdlc=Hdlc(None, None, 128, 1))),
        ("serial:///dev/ttyUSB0?baud=19200", Address(TTY, scheme=Scheme.SERIAL, line=Line(19200))),
        ("serial:/dev/ttyUSB0?mode=e", Address(TTY, scheme=Scheme.SERIAL, line=Line(9600, True))),
        ("serial:COM3", Address("COM3", scheme=Scheme.SERIAL)),
        ("rfc2217://h:2217?mode=E", Address("h", 2217, scheme=Scheme.RFC2217, line=Line(9600, True))),
        ("tcp://h?gateway=0a0B&network=3", Address("h", gateway=Gateway(3, b"\x0a\x0b"))),
        ("serial:COM3?gateway=01", Address("COM3", scheme=Scheme.SERIAL, gateway=Gateway(0, b"\x01"))),
    ],
)
def test_every_kind_of_link_is_understood(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tcp://h?physical=17", "unknown key 'physical' for tcp"),
        ("udp://h?baud=9600", "unknown key 'baud' for udp"),
        ("hdlc+tcp://h?mode=e", "unknown key 'mode' for hdlc"),
        ("serial://", "no serial port"),
        ("serial:COM3?baud=9601", "baud=9601 is out of range"),
        ("serial:COM3?mode=c", "mode=c is out of range"),
        ("serial:COM3?mode=e&baud=9600", "the meter tells the speed"),
        ("rfc2217://h", "names no port"),
        ("hdlc+tcp://h?octets=3", "octets=3 is out of range"),
        ("hdlc+tcp://h?octets=4", "not an HDLC address"),
        ("hdlc+tcp://h?server=200", "not an HDLC address"),
        ("hdlc+tcp://h?window=8", "window=8 is out of range"),
        ("tcp://h?network=1", "no use without gateway"),
        ("tcp://h?gateway=", "gateway= is out of range"),
        ("tcp://h?client=1&client=2", "client comes twice"),
    ],
)
def test_what_does_not_fit_a_link_is_refused(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        parse_address(text)


def test_an_address_shows_what_tells_meters_on_one_line_apart_and_nothing_else() -> None:
    for text, shown in [
        ("serial:///dev/ttyUSB0?baud=300&physical=17&client=48", "serial:/dev/ttyUSB0?physical=17"),
        ("tcp://h?gateway=0A&client=48&timeout=3", "tcp://h:4059?gateway=0a&network=0"),
        ("hdlc+tcp://[::1]:1?window=1", "hdlc+tcp://[::1]:1"),
    ]:
        assert str(parse_address(text)) == shown
        assert str(parse_address(shown)) == shown
