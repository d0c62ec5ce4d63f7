"""The opening of IEC 62056-21 mode E: what a meter says of itself, and what it is answered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.links.mode_e import Identification, acknowledgement, decode_identification, with_parity
from profiles.errors import ProtocolError


@pytest.mark.parametrize(
    ("line", "identification"),
    [
        (rb"/NRB5\2HC101", Identification("NRB", 9600, True, "HC101")),
        (rb"/ISk6\2ME382-1003", Identification("ISk", 19200, True, "ME382-1003")),
        (rb"/APA5\2NORAX30", Identification("APA", 9600, True, "NORAX30")),
        (b"/LGZ4ZMD120AR.M26", Identification("LGZ", 4800, False, "ZMD120AR.M26")),
        (rb"/XYZ0\2", Identification("XYZ", 300, True, "")),
        (rb"/XYZ5\3TYPE", Identification("XYZ", 9600, False, "TYPE")),
        (b"/XYZA", None),
        (b"/XY5TYPE", None),
        (b"XYZ5TYPE", None),
        (b"/XYZ5\x00", None),
        (b"/XYZ5" + b"x" * 65, None),
        (b"", None),
    ],
)
def test_an_identification_tells_speed_and_whether_hdlc_is_known(
    line: bytes, identification: Identification | None
) -> None:
    if identification is None:
        with pytest.raises(ProtocolError, match="no identification"):
            decode_identification(line)
    else:
        assert decode_identification(line) == identification


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_line_is_an_identification_or_none(line: bytes) -> None:
    try:
        identification = decode_identification(b"/" + line)
    except ProtocolError:
        return
    assert identification.text.isprintable()


@pytest.mark.parametrize(("baud", "octets"), [(300, b"\x06202\r\n"), (9600, b"\x06252\r\n"), (19200, b"\x06262\r\n")])
def test_hdlc_in_binary_is_acknowledged_at_the_meters_speed(baud: int, octets: bytes) -> None:
    assert acknowledgement(baud) == octets


def test_characters_have_even_parity() -> None:
    assert with_parity(b"/?!\r\n") == bytes.fromhex("AF3F218D0A")
    assert all(octet.bit_count() % 2 == 0 for octet in with_parity(bytes(range(128))))
