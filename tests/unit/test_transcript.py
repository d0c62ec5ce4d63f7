"""What a transcript holds, what it leaves out, and that it is read as it was written."""

from __future__ import annotations

import io
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.dlms import acse, apdu
from drivers.dlms.apdu import GatewayRequest
from drivers.links.secrets import secret_places
from drivers.links.transcript import Direction, ReplayStream, Transcript, read_transcript, write_transcript
from profiles.errors import LinkError, SettingsError
from profiles.objects import AttributeRef, MethodRef, Obis

NOW = datetime(2026, 1, 31, 6, 15, 0, 123456, UTC)
PASSWORD = b"pass-word"
KEY = bytes(range(16))


def aarq(mechanism: int, value: bytes | None, dedicated_key: bytes | None = None) -> bytes:
    initiate = apdu.InitiateRequest(conformance=0x10, max_pdu=1024, dedicated_key=dedicated_key).encode()
    return acse.encode_aarq(
        ciphered=False, mechanism=mechanism, client_title=None, authentication_value=value, user_information=initiate
    )


def hidden(octets: bytes) -> bytes:
    return b"".join(octets[begin:end] for begin, end in secret_places(octets))


# --- secrets --------------------------------------------------------------------------------------------------


def test_a_password_is_a_secret_and_a_challenge_is_not() -> None:
    assert hidden(aarq(1, PASSWORD)).endswith(PASSWORD)
    assert len(hidden(aarq(1, PASSWORD))) == len(PASSWORD) + 2
    assert hidden(aarq(2, PASSWORD)) == hidden(aarq(5, PASSWORD)) == hidden(aarq(0, None)) == b""


def test_a_dedicated_key_in_clear_is_a_secret() -> None:
    assert KEY in hidden(aarq(5, PASSWORD, KEY))
    assert PASSWORD not in hidden(aarq(5, PASSWORD, KEY))
    assert KEY in hidden(aarq(1, PASSWORD, KEY))


def test_what_is_set_in_an_association_or_a_security_setup_in_clear_is_a_secret() -> None:
    association = Obis(0, 0, 40, 0, 0)
    value = b"\x09\x08" + PASSWORD[:8]
    for class_id in (12, 15, 64):
        assert value in hidden(apdu.SetRequestNormal(0xC1, AttributeRef(class_id, association, 7), value).encode())
        assert value in hidden(apdu.ActionRequestNormal(0xC1, MethodRef(class_id, association, 2), value).encode())
    clock = apdu.SetRequestNormal(0xC1, AttributeRef(8, Obis(0, 0, 1, 0, 0), 2), value).encode()
    assert hidden(clock) == b""
    assert hidden(apdu.GetRequestNormal(0xC1, AttributeRef(15, association, 7)).encode()) == b""


def test_behind_a_gateway_the_same_is_secret() -> None:
    inner = aarq(1, PASSWORD)
    assert hidden(GatewayRequest(3, b"\x0a\x0b", inner).encode()) == hidden(inner)


def test_what_cannot_be_told_apart_is_secret_as_a_whole() -> None:
    whole = aarq(1, PASSWORD)
    for cut in range(2, len(whole)):
        assert PASSWORD[:3] not in shown(whole[:cut])
    assert PASSWORD not in shown(b"\xc1\x04\xc1\x01" + PASSWORD)
    assert PASSWORD not in shown(b"\xc3\x04\xc1" + PASSWORD)


def shown(octets: bytes) -> bytes:
    rest = bytearray(octets)
    for begin, end in reversed(secret_places(octets)):
        del rest[begin:end]
    return bytes(rest)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_octets_have_places_within_them(octets: bytes) -> None:
    for first in (b"", b"\x60", b"\xc1", b"\xc3", b"\xe6", b"\xd9"):
        for begin, end in secret_places(first + octets):
            assert 0 <= begin <= end <= len(first + octets)


# --- writing and reading --------------------------------------------------------------------------------------


def test_a_line_has_time_direction_and_octets_without_secrets() -> None:
    text = io.StringIO()
    transcript = Transcript(text, lambda: NOW)
    transcript.begin("tcp://127.0.0.1:4059 client 16 server 1")
    transcript.sent(b"\x60\x1d\xaa\xbb\x00", ((2, 4),))
    transcript.received(b"\x61")
    transcript.received(b"\x29")
    transcript.flush()
    assert text.getvalue().splitlines() == [
        "# tcp://127.0.0.1:4059 client 16 server 1",
        "2026-01-31T06:15:00.123456Z > 60 1d ** ** 00",
        "2026-01-31T06:15:00.123456Z < 61 29",
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=20)), max_size=20))
def test_what_was_written_is_read(pieces: list[tuple[bool, bytes]]) -> None:
    text = io.StringIO()
    transcript = Transcript(text)
    transcript.begin("a line")
    for sent, octets in pieces:
        transcript.sent(octets, ()) if sent else transcript.received(octets)
    transcript.flush()
    (recording,) = read_transcript(text.getvalue())
    for direction in Direction:
        went = b"".join(octets for sent, octets in pieces if sent is (direction is Direction.SENT))
        read = [octet for entry in recording.entries if entry.direction is direction for octet in entry.octets]
        assert bytes(octet or 0 for octet in read) == went


def test_connections_are_kept_apart() -> None:
    text = io.StringIO()
    transcript = Transcript(text)
    for title in ("first", "second"):
        transcript.begin(title)
        transcript.sent(title.encode(), ())
        transcript.received(b"answer")
    transcript.flush()
    assert [(recording.title, len(recording.entries)) for recording in read_transcript(text.getvalue())] == [
        ("first", 2),
        ("second", 2),
    ]


def test_what_comes_without_end_is_written_on_the_way() -> None:
    text = io.StringIO()
    transcript = Transcript(text)
    for _ in range(20):
        transcript.received(bytes(10_000))
    assert len(text.getvalue()) > 300_000


@pytest.mark.parametrize(
    "line", ["garbage", "2026-01-31T06:15:00Z ? 00", "2026-01-31T06:15:00Z > 0", "yesterday > 00", "2026 > zz"]
)
def test_a_line_of_another_form_is_named(line: str) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        read_transcript(f"# title\n{line}\n")


def test_a_transcript_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with write_transcript(tmp_path / "trace") as transcript:
        assert transcript is not None
        transcript.begin("x")
    assert stat.S_IMODE((tmp_path / "trace").stat().st_mode) == 0o600
    assert (tmp_path / "trace").read_text() == "# x\n"
    with write_transcript(None) as nothing:
        assert nothing is None
    with pytest.raises(SettingsError, match="can't be written"), write_transcript(tmp_path / "no" / "trace"):
        pass


# --- replaying ------------------------------------------------------------------------------------------------


async def test_a_replay_answers_what_was_sent_then_hidden_octets_aside() -> None:
    (recording,) = read_transcript("# x\n2026-01-31T06:15:00Z > 60 ** 02\n2026-01-31T06:15:01Z < 61 29\n")
    stream = ReplayStream(recording)
    assert await stream.receive(1) == b"", "it spoke before it was asked"
    await stream.send(b"\x60\x77\x02")
    assert await stream.receive(1) == b"\x61\x29"
    assert stream.left == 0
    with pytest.raises(LinkError, match="ends here"):
        await stream.receive(1)
    with pytest.raises(LinkError, match="nothing sent here"):
        await stream.send(b"\x62")


@pytest.mark.parametrize("octets", [b"\x60\x77\x03", b"\x60\x77", b"\x60\x77\x02\x00"])
async def test_a_replay_refuses_what_was_not_sent_then(octets: bytes) -> None:
    (recording,) = read_transcript("2026-01-31T06:15:00Z > 60 ** 02\n")
    with pytest.raises(LinkError, match="something else"):
        await ReplayStream(recording).send(octets)
