"""Collection where one meter of several is bad: one error that says what to do, and the others are read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from field import COMMISSIONED, DUE, METER_TYPE, TYPES, Field, field

from drivers.dlms import axdr
from headend.collection import collector as collecting
from headend.registry import unpark
from headend.store.status import read_status
from profiles.errors import AccessDenied, HeadEndError, LinkError, ProtocolError, SettingsError
from profiles.meter_type import MeterType
from simulators.fleet import Identity
from simulators.meter import SimulatedMeter
from simulators.objects import Attribute
from simulators.refusals import Refused

BAD = 1
"""The bad one of three."""
GOOD = (0, 2)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come after milliseconds."""
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)


async def test_every_interval_of_every_meter_is_stored_and_nothing_is_owed(dsn: str) -> None:
    async with field(dsn, 5) as place:
        report = await place.cycle()
        assert (report.meters, report.answered, report.failed) == (5, 5, {})
        assert report.written.inserted == 5 * DUE
        assert all(await place.complete(range(5)))
        assert (await place.cycle()).meters == 0


class OtherMechanism(SimulatedMeter):
    """Its meter reader association wants HLS, which its type does not say."""

    def __init__(self, meter_type: MeterType, *args: Any, **more: Any) -> None:
        reader = replace(meter_type.associations["meter_reader"], mechanism=2)
        super().__init__(
            replace(meter_type, associations={**meter_type.associations, "meter_reader": reader}), *args, **more
        )


class Forgetful(SimulatedMeter):
    """Knows nothing of a block load profile."""

    def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
        raise Refused(4)


class SecondsMeter(SimulatedMeter):
    """Captures every second, it says."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        of = self.meter_type.profiles["block_load"].obis
        block = self.objects[of]
        answers = {**block.attributes, 4: Attribute(lambda meter, association: axdr.uint32(1))}
        self.objects = {**self.objects, of: replace(block, attributes=answers)}


@pytest.mark.parametrize(
    ("listed", "odd", "kind", "step", "words", "remedy"),
    [
        pytest.param(
            {"encryption_key": "00" * 16}, None, AccessDenied, "associate", "deciphering error", "the encryption key",
            id="wrong key",
        ),
        pytest.param(
            {"authentication_key": "00" * 16}, None, AccessDenied, "associate", "deciphering error",
            "the authentication key", id="wrong authentication key",
        ),
        pytest.param(
            {"lls_secret": "wr0ngS3cret"}, None, AccessDenied, "associate", "authentication failed", "password",
            id="wrong password",
        ),
        pytest.param(
            {}, OtherMechanism, AccessDenied, "associate", "authentication mechanism", "another authentication",
            id="refused association",
        ),
        pytest.param(
            {"address": "tcp://[fe80::1%nowhere]:4059"}, None, LinkError, "connect", "host name", "address",
            id="unknown host",
        ),
        pytest.param(
            {"address": f"tcp://{'m' * 64}.example"}, None, LinkError, "connect", "can't be reached", "host",
            id="impossible host name",
        ),
        pytest.param(
            {"address": "tcp://{host}:{port}?client=99"}, None, SettingsError, "associate",
            "no association for client 99", "it has", id="unknown client",
        ),
        pytest.param({"encryption_key": ""}, None, SettingsError, "keys", "no encryption key", "import", id="no key"),
        pytest.param({"lls_secret": ""}, None, SettingsError, "keys", "no lls_secret", "import", id="no password"),
        pytest.param({}, Forgetful, AccessDenied, "get 7/1.0.99.1.0.255/2", "undefined", "type", id="no such profile"),
        pytest.param(
            {}, SecondsMeter, ProtocolError, "get 1.0.99.1.0.255", "a capture period of 1 s", "type", id="mad period"
        ),
    ],
)  # fmt: skip
async def test_a_bad_meter_gets_one_clear_error_and_the_others_are_read(
    timescale_dsn: str,
    listed: dict[str, str],
    odd: type[SimulatedMeter] | None,
    kind: type[HeadEndError],
    step: str,
    words: str,
    remedy: str,
) -> None:
    async with field(timescale_dsn, odd={BAD: odd} if odd else {}, listed={BAD: listed}) as place:
        report = await place.cycle()
        assert (report.meters, report.answered, report.failed) == (3, 2, {kind.__name__: 1})
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        await one_clear_error(place, step, words, remedy)
        assert (await place.status(BAD))["parked_reason"] is None


async def one_clear_error(place: Field, step: str, words: str, remedy: str) -> None:
    """The bad meter's error names meter, step and remedy on one line; the others have none."""
    ((name, reasons),) = place.failures().items()
    status = await place.status(BAD)
    assert name == place.name(BAD)
    assert len(reasons) == 1
    assert reasons[0].startswith(f"{name} · {step}: ")
    assert reasons[0].endswith(")")
    assert words in reasons[0]
    assert remedy in reasons[0][reasons[0].index(" (") :]
    assert "\n" not in reasons[0]
    assert status["last_error"] == reasons[0]
    assert status["last_contact"] is None
    for index in GOOD:
        status = await place.status(index)
        assert (status["last_error"], status["last_contact"]) == (None, place.now)


async def test_a_closed_port_is_one_error_and_the_others_are_read(timescale_dsn: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        async with field(timescale_dsn, listed={BAD: {"address": address}}) as place:
            report = await place.cycle()
            assert (report.answered, report.failed) == (2, {"LinkError": 1})
            assert await place.complete(GOOD) == [True, True]
            await one_clear_error(
                place, "connect", f"{address} refused the connection", "check host, port and firewall"
            )


@asynccontextmanager
async def something_else(answer: bytes) -> AsyncIterator[str]:
    """A server that answers whatever it is sent first with these octets, then nothing more; its address."""
    seen: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        await reader.read(100)
        writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}?timeout=0.5"
    finally:
        server.close()
        for writer in seen:
            writer.close()


@pytest.mark.parametrize(
    ("answer", "kind", "words", "remedy"),
    [
        pytest.param(b"", "LinkTimeout", "no answer within 0.5 s", "power and its network", id="silence"),
        pytest.param(b"\x00\x01\x00\x01", "LinkTimeout", "no answer within 0.5 s", "network", id="half a header"),
        pytest.param(
            b"\x00\x01\x00\x01\x00\x10\xff\xffabc", "LinkTimeout", "no answer within", "network", id="part of a frame"
        ),
        pytest.param(
            b"HTTP/1.1 400 Bad Request\r\n", "ProtocolError", "not a wrapper frame: begins 4854", "DLMS port", id="HTTP"
        ),
        pytest.param(
            b"\x00\x01\x00\x01\x00\x10\x00\x00", "ProtocolError", "an APDU of 0 octets", "type", id="empty frame"
        ),
        pytest.param(
            b"\x00\x01\x00\x01\x00\x10\x00\x04\x7fbcd", "LinkTimeout", "no answer", "network", id="another APDU"
        ),
        pytest.param(
            b"\x00\x01\x00\x01\x00\x10\x00\x02\x61\x7f", "ProtocolError", "AARE", "type", id="an AARE cut short"
        ),
        pytest.param(
            b"\x00\x01\x00\x02\x00\x10\x00\x01a" * 50, "LinkTimeout", "no answer", "network", id="frames for others"
        ),
    ],
)  # fmt: skip
async def test_what_is_no_meter_is_one_error_and_the_others_are_read(
    timescale_dsn: str, answer: bytes, kind: str, words: str, remedy: str
) -> None:
    async with (
        something_else(answer) as address,
        field(timescale_dsn, listed={BAD: {"address": address}}) as place,
    ):
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {kind: 1})
        assert await place.complete(GOOD) == [True, True]
        await one_clear_error(place, "associate", words, remedy)


async def test_a_meter_of_an_unknown_type_is_one_error_and_the_others_are_read(timescale_dsn: str) -> None:
    gone = replace(METER_TYPE, name="gone")
    async with field(timescale_dsn, listed={BAD: {"meter_type": "gone"}}, types={**TYPES, "gone": gone}) as place:
        place.types = TYPES
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"SettingsError": 1})
        assert await place.complete(GOOD) == [True, True]
        await one_clear_error(place, "meter type", "meter type gone is not known", "setting meter_types")
        assert await place.our_counter(BAD) == 0


async def test_a_type_without_any_profile_is_one_error_and_the_others_are_read(timescale_dsn: str) -> None:
    bare = replace(METER_TYPE, name="bare", profiles={})
    async with field(timescale_dsn, listed={BAD: {"meter_type": "bare"}}, types={**TYPES, "bare": bare}) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"SettingsError": 1})
        assert await place.complete(GOOD) == [True, True]
        await one_clear_error(place, "meter type", "has no profile to collect", "see its file")


async def test_a_key_altered_in_the_database_is_its_meters_error_alone(timescale_dsn: str) -> None:
    async with field(timescale_dsn) as place:
        await place.ask(
            "UPDATE meter_key SET ciphertext = set_byte(ciphertext, 3, 255 - get_byte(ciphertext, 3)) "
            "WHERE key_type = 'lls_secret' AND meter_id = (SELECT id FROM meter WHERE name = %s) RETURNING 1",
            place.name(BAD),
        )
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"SecurityError": 1})
        assert await place.complete(GOOD) == [True, True]
        await one_clear_error(place, "keys", "was altered", "import the key again")


async def test_another_meter_at_the_address_is_parked_and_nothing_of_it_is_stored(timescale_dsn: str) -> None:
    class Stranger(SimulatedMeter):
        """Has the keys of the meter that it stands in for, as in a batch of meters with common keys."""

        def __init__(self, meter_type: MeterType, identity: Identity, *args: Any, **more: Any) -> None:
            super().__init__(meter_type, replace(identity, system_title=b"SMA54321"), *args, **more)

    async with field(timescale_dsn, odd={BAD: Stranger}) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"IdentityMismatch": 1})
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        assert await place.suspects(BAD) == []
        await one_clear_error(place, "associate", b"SMA54321".hex().upper(), "correct the registry")
        await parked_until_unparked(place)


async def test_who_refuses_our_keys_visit_after_visit_is_parked_with_the_reason_and_comes_back(
    timescale_dsn: str,
) -> None:
    wrong = {0: {"encryption_key": "00" * 16}, 1: {"lls_secret": "wr0ngS3cret"}}
    async with field(timescale_dsn, 4, listed=wrong) as place:
        hosts = [place.fleet.identity(index).host for index in (2, 3)]
        change = "UPDATE meter SET address = replace(address, %s, %s) WHERE name = %s RETURNING 1"
        for index, host in zip((2, 3), reversed(hosts), strict=True):
            await place.ask(change, place.fleet.identity(index).host, host, place.name(index))
        for visit in range(1, 4):
            report = await place.cycle()
            assert report.failed == {"AccessDenied": 4}
            assert [bool((await place.status(index))["parked_at"]) for index in range(4)] == [visit == 3] * 4
        for index in range(4):
            reason = (await place.status(index))["parked_reason"]
            assert "refused 3 visits in a row, so its keys are others, or it is another meter" in reason
        assert (await place.cycle()).meters == 0
        assert await place.ask("SELECT FROM interval_reading") == []

        for index, host in zip((2, 3), hosts, strict=True):
            await place.ask(change, place.fleet.identity(5 - index).host, host, place.name(index))
            (meter,) = await place.ask("SELECT id FROM meter WHERE name = %s", place.name(index))
            await unpark(place.connection, meter["id"])
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {})


async def test_another_serial_number_parks_a_meter_whose_title_is_not_registered(timescale_dsn: str) -> None:
    listed = {BAD: {"system_title": "", "serial": "SMA99999999"}}
    async with field(timescale_dsn, listed=listed) as place:
        report = await place.cycle()
        assert (report.answered, report.failed) == (2, {"IdentityMismatch": 1})
        assert await place.complete(GOOD) == [True, True]
        assert await place.stored(BAD) == set()
        await one_clear_error(place, "get 1/0.0.96.1.0.255/2", "'SMA99999999' is registered", "correct the registry")
        await parked_until_unparked(place)


async def parked_until_unparked(place: Field) -> None:
    status = await place.status(BAD)
    assert status["parked_reason"] == status["last_error"]
    heard = place.meters[BAD].last_received
    assert (await place.cycle()).meters == 0
    assert place.meters[BAD].last_received == heard
    await unpark(place.connection, (await place.ask("SELECT id FROM meter WHERE name = %s", place.name(BAD)))[0]["id"])
    assert (await place.cycle()).failed == {"IdentityMismatch": 1}
    assert place.meters[BAD].last_received > heard
    assert (await place.status(BAD))["parked_reason"] is not None


async def test_a_meter_that_recovers_is_read_and_is_in_trouble_no_more(timescale_dsn: str) -> None:
    async with field(timescale_dsn, listed={BAD: {"lls_secret": "wr0ngS3cret"}}) as place:
        await place.cycle()
        _, troubles = await read_status(place.dsn, COMMISSIONED, place.now)
        assert [trouble.meter for trouble in troubles] == [place.name(BAD)]
        await place.register({})
        assert (await place.cycle()).answered == 1
        assert await place.complete(range(3)) == [True] * 3
        assert (await read_status(place.dsn, COMMISSIONED, place.now))[1] == []
