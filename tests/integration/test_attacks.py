"""A man in the middle of one meter's connection: nothing that he changes, forges or plays back is ever stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from field import Field, field
from tampering import (
    AARE,
    GET_RESPONSE,
    GLO_GET_RESPONSE,
    METER_READER,
    PUBLIC,
    Cut,
    Recording,
    Tamper,
    TamperingProxy,
    honest,
    let_pass,
)

from drivers.dlms import acse, apdu, axdr, security
from headend.collection import collector as collecting
from headend.settings import Settings
from headend.unpark import unpark

BAD = 1
"""The meter that he stands before."""
GOOD = (0, 2)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)


@asynccontextmanager
async def tapped(dsn: str) -> AsyncIterator[tuple[Field, TamperingProxy]]:
    """Three meters, the second behind a proxy."""
    proxy = TamperingProxy("", 0)
    async with proxy.open(), field(dsn, listed={BAD: {"address": proxy.address}}) as place:
        proxy.meter = (place.fleet.identity(BAD).host, place.server.port)
        yield place, proxy


def in_the_reading(tag: int, change: Tamper) -> Tamper:
    """Change the answers of this tag in the meter reader association."""
    return lambda recording, answer: (
        change(recording, answer) if recording.client == METER_READER and answer[0] == tag else [answer]
    )


def flip(place: int) -> Tamper:
    def flipped(recording: Recording, answer: bytes) -> list[bytes]:
        octets = bytearray(answer)
        octets[place] ^= 0x01
        return [bytes(octets)]

    return flipped


def in_clear(recording: Recording, answer: bytes) -> list[bytes]:
    """The meter's load, made up, as a plain get-response."""
    return [apdu.GetResponseNormal(0xC1, axdr.array([])).encode()]


def encrypted_only(recording: Recording, answer: bytes) -> list[bytes]:
    """Security control 0x20 for 0x30, the authentication tag cut off."""
    _tag, protected = security.glo_unwrap(answer)
    protected = b"\x20" + protected[1 : -security.TAG_OCTETS]
    return [answer[:1] + axdr.length(len(protected)) + protected]


def said_before(recording: Recording, answer: bytes) -> list[bytes]:
    """The first get-response again, from the second on."""
    first = next(each for each in recording.answers if each[0] == GLO_GET_RESPONSE)
    return [first]


def said_twice(recording: Recording, answer: bytes) -> list[bytes]:
    return [answer, answer]


def initiate_in_clear(recording: Recording, answer: bytes) -> list[bytes]:
    plain = apdu.InitiateResponse(conformance=0xFFFFFF, max_pdu=1024).encode()
    title = acse.decode_aare(answer).system_title
    return [acse.encode_aare(result=0, diagnostic=0, ciphered=True, system_title=title, user_information=plain)]


def without_ciphering(recording: Recording, answer: bytes) -> list[bytes]:
    plain = apdu.InitiateResponse(conformance=0xFFFFFF, max_pdu=1024).encode()
    return [acse.encode_aare(result=0, diagnostic=0, ciphered=False, user_information=plain)]


@pytest.mark.parametrize(
    ("tag", "change", "kind", "step", "words"),
    [
        pytest.param(GLO_GET_RESPONSE, flip(-20), "SecurityError", "get ", "tag does not fit", id="flipped ciphertext"),
        pytest.param(GLO_GET_RESPONSE, flip(-1), "SecurityError", "get ", "tag does not fit", id="flipped tag"),
        pytest.param(GLO_GET_RESPONSE, in_clear, "SecurityError", "get ", "plaintext answer", id="plaintext"),
        pytest.param(GLO_GET_RESPONSE, encrypted_only, "SecurityError", "get ", "0x30 is required", id="no tag"),
        pytest.param(GLO_GET_RESPONSE, said_before, "SecurityError", "get ", "replay refused", id="replayed answer"),
        pytest.param(GLO_GET_RESPONSE, said_twice, "SecurityError", "get ", "replay refused", id="doubled answer"),
        pytest.param(AARE, flip(-1), "SecurityError", "associate", "tag does not fit", id="flipped AARE"),
        pytest.param(AARE, initiate_in_clear, "SecurityError", "associate", "not ciphered", id="initiate in clear"),
        pytest.param(AARE, without_ciphering, "SecurityError", "associate", "another application context", id="plain"),
    ],
)  # fmt: skip
async def test_what_was_altered_is_refused_and_the_meter_is_read_once_it_is_left_alone(
    timescale_dsn: str, tag: int, change: Tamper, kind: str, step: str, words: str
) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        proxy.tamper = in_the_reading(tag, change)
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {kind: 1})
        await nothing_came_of_it(place, step, words)
        proxy.tamper = honest
        await the_next_cycle_is_whole(place)


@pytest.mark.parametrize("tag", [GLO_GET_RESPONSE, AARE])
@pytest.mark.parametrize(
    ("forged", "kind", "words"),
    [
        pytest.param(apdu.ExceptionResponse(1, 1), "AccessDenied", "answered with an exception", id="exception"),
        pytest.param(apdu.ExceptionResponse(1, 6, 4_000_000_000), "SecurityError", "expects 4000000000", id="counter"),
        pytest.param(apdu.ConfirmedServiceError(1, 5, 2), "AccessDenied", "service error", id="service error"),
    ],
)
async def test_a_forged_error_is_only_ever_an_error(
    timescale_dsn: str, tag: int, forged: apdu.ExceptionResponse, kind: str, words: str
) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        proxy.tamper = in_the_reading(tag, lambda recording, answer: [forged.encode()])
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {kind: 1})
        await nothing_came_of_it(place, "get " if tag == GLO_GET_RESPONSE else "associate", words)
        assert await place.our_counter(BAD) < 1000
        proxy.tamper = honest
        await the_next_cycle_is_whole(place)


async def test_an_alteration_of_one_session_costs_that_session_alone(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        await place.cycle()
        place.now += timedelta(hours=1)
        spoilt: list[bytes] = []

        def once(recording: Recording, answer: bytes) -> Sequence[bytes]:
            if spoilt:
                return [answer]
            spoilt.append(answer)
            return flip(-1)(recording, answer)

        proxy.tamper = in_the_reading(GLO_GET_RESPONSE, once)
        report = await place.cycle()
        assert (report.answered, report.failed, len(spoilt)) == (3, {}, 1)
        assert await place.complete(range(3)) == [True] * 3


class Playback:
    """Plays an earlier association back: to each request, what the meter answered to its like then."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.asked = 0

    def __call__(self, recording: Recording, request: bytes) -> list[bytes] | None:
        if recording.client != METER_READER:
            return None
        place = len(recording.requests) - 1
        self.asked += 1
        return [self.recording.answers[place]] if place < len(self.recording.answers) else []


async def test_an_association_of_an_earlier_cycle_played_back_is_refused(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        assert (await place.cycle()).answered == 3
        place.now += timedelta(hours=1)
        assert (await place.cycle()).answered == 3
        earlier = [recording for recording in proxy.recordings if recording.client == METER_READER][-1]
        await place.ask("DELETE FROM interval_reading RETURNING 1")
        await place.ask("DELETE FROM watermark RETURNING 1")
        playback = Playback(earlier)
        proxy.forge = playback
        report = await place.cycle(attempts=1)
        assert (report.answered, report.failed) == (2, {"SecurityError": 1})
        assert playback.asked == 2, "the one try, and one more with the counter learnt anew"
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        ((reason,),) = place.failures().values()
        assert reason.startswith(f"{place.name(BAD)} · associate: invocation counter ")
        assert "replay refused" in reason
        proxy.forge = let_pass
        await the_next_cycle_is_whole(place)


async def test_an_association_cut_off_and_played_back_to_the_retry_is_refused(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):

        def cut(recording: Recording, answer: bytes) -> list[bytes]:
            if recording.count(GLO_GET_RESPONSE) == 3:
                proxy.forge = Playback(recording)
                raise Cut
            return [answer]

        proxy.tamper = in_the_reading(GLO_GET_RESPONSE, cut)
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"SecurityError": 1})
        await nothing_came_of_it(place, "associate", "replay refused")
        proxy.forge, proxy.tamper = let_pass, honest
        await the_next_cycle_is_whole(place)


def forged_counter(value: int) -> Tamper:
    """The public client is told that the meter has seen this counter of ours."""

    def forged(recording: Recording, answer: bytes) -> list[bytes]:
        if recording.client == PUBLIC and answer[0] == GET_RESPONSE:
            return [apdu.GetResponseNormal(0xC1, axdr.uint32(value)).encode()]
        return [answer]

    return forged


async def test_a_forged_counter_far_above_ours_parks_the_meter_and_leaves_ours_as_it_is(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        assert (await place.cycle()).answered == 3
        ours = await place.our_counter(BAD)
        place.now = place.now.replace(minute=52)

        def unreachable(recording: Recording, answer: bytes) -> list[bytes]:
            if recording.client == METER_READER:
                raise Cut
            return forged_counter(4_000_000_000)(recording, answer)

        proxy.tamper = unreachable
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"UnbelievableCounter": 1})
        assert await place.complete(GOOD) == [True, True]
        status = await place.status(BAD)
        assert "4000000000" in status["parked_reason"]
        assert "headend meters unpark --accept-counter" in status["parked_reason"]
        spent = await place.our_counter(BAD)
        assert ours < spent < ours + 1000
        proxy.tamper = honest
        assert (await place.cycle()).meters == 0

        await unpark(Settings(), place.dsn, place.name(BAD), accept_counter=False)
        await the_next_cycle_is_whole(place)
        assert await place.our_counter(BAD) < spent + 1000


async def test_a_forged_counter_at_first_contact_parks_the_meter_and_reserves_nothing(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        proxy.tamper = forged_counter(4_000_000_000)
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"UnbelievableCounter": 1})
        assert await place.counters(BAD) == {}
        assert await place.complete(GOOD) == [True, True]


@pytest.mark.parametrize("value", [axdr.int32(-1), axdr.uint64(2**40), axdr.octet_string(b"\0\0\0\1"), axdr.array([])])
async def test_a_counter_that_is_none_is_an_error_of_that_meter_alone(timescale_dsn: str, value: bytes) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        proxy.forge = lambda recording, request: (
            [apdu.GetResponseNormal(0xC1, value).encode()] if request[0] == 0xC0 else None
        )
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"ProtocolError": 1})
        await nothing_came_of_it(place, "get 0.0.43.1.2.255", "no 32-bit number")


async def test_a_flood_of_unasked_answers_ends_the_session(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        push = b"\x0f\x00\x00\x00\x01\x00\x02\x00"
        proxy.tamper = in_the_reading(GLO_GET_RESPONSE, lambda recording, answer: [push] * 40 + [answer])
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"ProtocolError": 1})
        await nothing_came_of_it(place, "get ", "answer nothing we asked")
        proxy.tamper = in_the_reading(GLO_GET_RESPONSE, lambda recording, answer: [push] * 3 + [answer])
        await the_next_cycle_is_whole(place)


async def test_an_answer_cut_short_at_whatever_length_is_refused(timescale_dsn: str) -> None:
    async with tapped(timescale_dsn) as (place, proxy):
        kept = iter(range(1, 200, 2))
        proxy.tamper = in_the_reading(AARE, lambda recording, answer: [answer[: next(kept)]])
        for _ in range(6):
            assert (await place.cycle(attempts=5)).failed.keys() <= {"ProtocolError", "SecurityError", "AccessDenied"}
        assert await place.stored(BAD) == set()
        proxy.tamper = honest
        await the_next_cycle_is_whole(place)


async def nothing_came_of_it(place: Field, step: str, words: str) -> None:
    """The others are whole; the tapped meter has one error that says when and what, no row, and is read again."""
    assert await place.complete(GOOD) == [True, True]
    assert await place.stored(BAD) == set()
    ((name, (reason,)),) = place.failures().items()
    assert name == place.name(BAD)
    assert reason.startswith(f"{name} · {step}")
    assert words in reason
    assert reason.endswith(")")
    status = await place.status(BAD)
    assert (status["last_error"], status["parked_reason"], status["last_contact"]) == (reason, None, None)


async def the_next_cycle_is_whole(place: Field) -> None:
    report = await place.cycle()
    assert report.failed == {}
    assert await place.complete(range(3)) == [True] * 3
