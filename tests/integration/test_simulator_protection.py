"""Every mechanism, cover and suite between our client and a simulated meter on a real socket."""

from __future__ import annotations

from typing import Any

import pytest
from simulated import BLOCK_LOAD, CLOCK, MESSAGE, SERIAL, TITLE, one_meter, value

from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import Conformance
from drivers.dlms.security import Key, KeyId, encode_key_transfer
from profiles.errors import AccessDenied, HeadEndError, SecurityError
from profiles.objects import MethodRef, Obis
from simulators.association import Connection
from simulators.meter import SimulatedMeter

COVERS: list[dict[str, Any]] = [
    *({"ciphering": cover} for cover in ("glo", "ded", "general-glo", "general-ded")),
    *({"ciphering": "general-ciphering", "key_origin": origin} for origin in ("identified", "wrapped")),
]
AGREED: list[dict[str, Any]] = [
    {"ciphering": "general-ciphering", "key_origin": origin} for origin in ("one-pass", "static-unified")
]
SIGNED: list[dict[str, Any]] = [
    {"ciphering": "glo", "signed": True},
    {"ciphering": "general-ded", "signed": True},
    {"ciphering": "general-ciphering", "key_origin": "one-pass", "signed": True},
]
ONE_OFF = [*AGREED, COVERS[-1], {"ciphering": "general-ciphering", "key_origin": "wrapped", "signed": True}]
"""Each APDU has a key of its own, and so no counter tells a replay."""


def named(association: dict[str, Any]) -> str:
    return " ".join(str(each) for each in association.values())


async def talks(**association: Any) -> None:
    """A session that reads in many blocks, and writes in many."""
    async with one_meter(**association) as place, place.session() as session:
        assert await value(session, SERIAL) == place.meter.identity.serial
        rows = await value(session, BLOCK_LOAD)
        assert isinstance(rows, list)
        assert len(rows) == len(place.meter.stored_starts()) > 100
        text = bytes(range(256)) * 12
        await session.set(MESSAGE, axdr.octet_string(text))
        assert place.meter.state.message == text


@pytest.mark.parametrize("mechanism", range(8))
async def test_every_mechanism_opens_an_association_without_ciphering(mechanism: int) -> None:
    await talks(mechanism=mechanism, security_control=1 if mechanism == 7 else 0)


@pytest.mark.parametrize("control", [0x10, 0x20, 0x30])
@pytest.mark.parametrize("cover", COVERS, ids=named)
async def test_every_cover_carries_every_policy_in_suite_0(cover: dict[str, Any], control: int) -> None:
    await talks(mechanism=5, security_control=control, **cover)


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("cover", [*COVERS, *AGREED, *SIGNED], ids=named)
async def test_every_cover_works_in_suites_with_key_pairs(cover: dict[str, Any], suite: int) -> None:
    await talks(mechanism=7, security_control=0x30 | suite, **cover)


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("mechanism", [5, 6])
async def test_hls_5_and_6_work_in_suites_with_key_pairs(mechanism: int, suite: int) -> None:
    await talks(mechanism=mechanism, security_control=0x30 | suite)


async def test_signatures_alone_protect_an_association() -> None:
    await talks(mechanism=7, security_control=0x01, signed=True)


@pytest.mark.parametrize("cover", [*COVERS, *AGREED, *SIGNED], ids=named)
async def test_no_answer_is_longer_than_the_client_takes(cover: dict[str, Any]) -> None:
    longest = 0

    class Measured(SimulatedMeter):
        def on_wire(self, octets: bytes) -> bytes | None:
            nonlocal longest
            longest = max(longest, len(octets))
            return octets

    async with (
        one_meter(Measured, mechanism=7, security_control=0x32, max_pdu=550, **cover) as place,
        place.session() as session,
    ):
        await session.get(BLOCK_LOAD)
    assert 530 <= longest <= 550


# --- pre-established ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [0x00, 0x30])
async def test_a_pre_established_association_needs_no_aarq(control: int) -> None:
    async with one_meter(mechanism=0, security_control=control, ciphering="general-glo", pre_established=True) as place:
        async with place.session() as session:
            assert await value(session, SERIAL) == place.meter.identity.serial
        assert place.meter.holder is None


async def test_a_pre_established_association_with_glo_is_with_the_client_that_was_let_in_last() -> None:
    async with one_meter(mechanism=0, security_control=0x30, pre_established=True) as place:
        with pytest.raises(AccessDenied, match="deciphering error"):
            async with place.session() as session:
                await session.get(SERIAL)
        async with place.session("meter_reader") as session:
            await session.get(SERIAL)
        async with place.session() as session:
            assert await value(session, SERIAL) == place.meter.identity.serial


async def test_a_pre_established_association_is_open_beside_another() -> None:
    async with (
        one_meter(mechanism=0, security_control=0, pre_established=True) as place,
        place.session("meter_reader") as reader,
        place.session() as session,
    ):
        assert await value(session, SERIAL) == await value(reader, SERIAL)


# --- in kind, and not in kind ---------------------------------------------------------------------------------


class Asking:
    """A client by hand, without a link, under the cover that it likes."""

    def __init__(self, meter: SimulatedMeter, conformance: Conformance, dedicated: Key | None = None) -> None:
        self.meter, self.connection, self.dedicated = meter, meter.connect(), dedicated
        self.kind = meter.meter_type.associations["utility_setting"]
        self.counter = 0
        key = None if dedicated is None else dedicated.octets
        initiate = apdu.InitiateRequest(int(conformance | Conformance.GET), 0, key)
        self.aare = acse.decode_aare(
            self.handle(
                acse.encode_aarq(
                    ciphered=True,
                    mechanism=self.kind.mechanism,
                    client_title=TITLE,
                    authentication_value=meter.keys.lls,
                    user_information=self.protection("glo").protect(initiate.encode()),
                )
            )
        )

    def take(self) -> int:
        self.counter += 1
        return self.counter

    def protection(self, cover: str) -> security.Protection:
        keys, parties = self.meter.keys, security.Parties(TITLE, self.meter.identity.system_title, self.take)
        form = security.GeneralProtection if cover.startswith("general") else security.ServiceProtection
        if cover.endswith("ded"):
            assert self.dedicated is not None
            return form(parties, 0x30, self.dedicated, keys.authentication, True)
        return form(parties, 0x30, keys.encryption, keys.authentication)

    def handle(self, received: bytes) -> bytes:
        answer = self.connection.handle(received, self.kind.client_sap, 1)
        assert answer is not None
        return answer

    def request(self, cover: str) -> bytes:
        return self.protection(cover).protect(apdu.GetRequestNormal(0xC1, SERIAL).encode())


GENERAL = Conformance.GENERAL_PROTECTION


@pytest.mark.parametrize("asked", ["glo", "ded", "general-glo", "general-ded"])
@pytest.mark.parametrize("kind", ["glo", "ded", "general-glo", "general-ded"])
async def test_a_cover_that_protects_as_much_is_answered_in_kind(kind: str, asked: str) -> None:
    async with one_meter(mechanism=1, security_control=0x30, ciphering=kind) as place:
        client = Asking(place.meter, GENERAL, Key.generate())
        answer = client.protection(asked).unprotect(client.handle(client.request(asked)))
        found = apdu.decode(answer.plain)
        assert isinstance(found, apdu.GetResponseNormal)
        assert axdr.decode(found.data or b"") == place.meter.identity.serial


@pytest.mark.parametrize(
    ("conformance", "dedicated", "asked"),
    [(Conformance(0), None, "general-glo"), (GENERAL, None, "ded"), (GENERAL, None, "general-ded")],
)
async def test_a_cover_that_the_aarq_did_not_make_possible_is_refused(
    conformance: Conformance, dedicated: Key | None, asked: str
) -> None:
    async with one_meter(mechanism=1, security_control=0x30) as place:
        client = Asking(place.meter, conformance, dedicated)
        client.dedicated = Key.generate()
        assert apdu.decode(client.handle(client.request(asked))) == apdu.ExceptionResponse(1, 5)
        assert client.handle(client.request("glo"))[0] == 0xCC


@pytest.mark.parametrize("cover", [*AGREED, *SIGNED, COVERS[-1]], ids=named)
async def test_end_to_end_protection_has_no_substitute(cover: dict[str, Any]) -> None:
    async with one_meter(mechanism=1, security_control=0x31, **cover) as place:
        with pytest.raises(HeadEndError, match="deciphering error"):
            async with place.session(ciphering="glo", signed=False) as session:
                await session.get(SERIAL)


async def test_a_dedicated_key_of_another_length_is_refused() -> None:
    async with one_meter(mechanism=1, security_control=0x30) as place:
        refused = Asking(place.meter, GENERAL, Key.generate(32)).aare
        assert refused.result == 1
        assert apdu.decode(refused.user_information or b"") == apdu.ConfirmedServiceError(1, 6, 0)


# --- replays --------------------------------------------------------------------------------------------------


class Repeating(Connection):
    """Hears every general-ciphering and general-signing APDU twice."""

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        answer = super().handle(received, client_sap, server_sap)
        if received[0] in (0xDD, 0xDF):
            assert super().handle(received, client_sap, server_sap) is None
            self.meter.heard_twice += 1  # type: ignore[attr-defined]
        return answer


class Replayed(SimulatedMeter):
    heard_twice = 0

    def connect(self, *, streams: bool = False) -> Connection:
        return Repeating(self, streams=streams)


@pytest.mark.parametrize("cover", ["glo", "ded", "general-glo", "general-ded"])
async def test_a_replayed_request_hangs_up_under_every_cover(cover: str) -> None:
    async with one_meter(mechanism=1, security_control=0x30) as place:
        client = Asking(place.meter, GENERAL, Key.generate())
        request = client.request(cover)
        assert client.handle(request)[0] in (0xCC, 0xD4, 0xDB, 0xDC)
        place.meter.record.examples.clear()
        assert client.connection.handle(request, client.kind.client_sap, 1) is None
        assert place.meter.record.examples == [(TITLE, client.counter)]
        place.server.meters = {}  # the repeat is ours


@pytest.mark.parametrize("cover", ONE_OFF, ids=named)
async def test_a_replayed_transaction_hangs_up(cover: dict[str, Any]) -> None:
    async with one_meter(Replayed, mechanism=1, security_control=0x31, **cover) as place:
        async with place.session() as session:
            assert await value(session, SERIAL) == place.meter.identity.serial
        assert getattr(place.meter, "heard_twice", 0) == 1


async def test_a_meter_may_tell_the_counter_that_it_expects() -> None:
    class Telling(SimulatedMeter):
        tells_counters = True

    async with one_meter(Telling, mechanism=1, security_control=0x30) as place:
        async with place.session() as session:
            await session.get(CLOCK)
        last, place.counters.next = place.counters.next - 1, 1
        with pytest.raises(SecurityError, match=f"expects {last + 1}"):
            async with place.session():
                pass
        assert place.meter.record.examples == [(TITLE, 1)]
        place.server.meters = {}  # the repeat is ours


# --- release --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cover", [COVERS[0], COVERS[1], *AGREED], ids=named)
async def test_a_protected_release_is_answered_by_a_protected_one(cover: dict[str, Any]) -> None:
    released: list[bytes] = []

    class Watched(SimulatedMeter):
        def on_wire(self, octets: bytes) -> bytes | None:
            released.extend([octets] if octets[0] == acse.RLRE else [])
            return octets

    async with one_meter(Watched, mechanism=1, security_control=0x31, **cover) as place:
        async with place.session() as session:
            await session.get(SERIAL)
        release = acse.decode_rlre(released[0])
        assert (release.user_information or b"")[:1] in (b"\x28", b"\xdd")


async def test_a_release_under_a_wrong_key_is_refused() -> None:
    async with one_meter(mechanism=1, security_control=0x30) as place:
        client = Asking(place.meter, GENERAL)
        initiate = apdu.InitiateRequest(0x10, 0).encode()
        wrong = security.protect(0x30, Key(bytes(16)), place.meter.keys.authentication, TITLE, 9, initiate)
        refused = client.handle(acse.encode_rlrq(0, security.glo_wrap(initiate, wrong)))
        assert apdu.decode(refused) == apdu.ExceptionResponse(1, 5)
        assert acse.decode_rlre(client.handle(acse.encode_rlrq())).user_information is None


# --- new keys -------------------------------------------------------------------------------------------------

TRANSFER = MethodRef(64, Obis(0, 0, 43, 0, 3), 2)


@pytest.mark.parametrize("suite", [0, 2])
async def test_new_keys_count_from_the_next_association_on_and_the_old_ones_no_more(suite: int) -> None:
    async with one_meter(mechanism=5, security_control=0x30 | suite) as place:
        old, size = place.meter.keys, 32 if suite == 2 else 16
        new = {key_id: Key.generate(size) for key_id in (KeyId.GLOBAL_UNICAST_ENCRYPTION, KeyId.AUTHENTICATION)}
        async with place.session() as session:
            assert await session.action(TRANSFER, encode_key_transfer(old.master, new)) is None
            assert await value(session, SERIAL) == place.meter.identity.serial
        current = place.meter.keys
        assert (current.encryption, current.authentication) == tuple(new.values())
        place.counters.next = 1
        async with place.session() as session:
            assert await value(session, SERIAL) == place.meter.identity.serial
        stale, kind = place.session(), place.setting
        place.meter.keys = old
        credentials = place.meter.client_credentials(kind, TITLE, place.counters)
        place.meter.keys = current
        assert credentials.encryption_key == old.encryption
        place.meter.client_credentials = lambda *_: credentials  # type: ignore[method-assign]
        with pytest.raises(AccessDenied, match="deciphering error"):
            async with stale:
                pass


async def test_keys_that_do_not_unwrap_or_are_not_known_change_nothing() -> None:
    async with one_meter(mechanism=5, security_control=0x30) as place, place.session() as session:
        before = place.meter.keys
        for parameters, words in (
            (encode_key_transfer(Key.generate(), {KeyId.AUTHENTICATION: Key.generate()}), "other reason"),
            (encode_key_transfer(before.master, {KeyId.GLOBAL_BROADCAST_ENCRYPTION: Key.generate()}), "other reason"),
            (encode_key_transfer(before.master, {}), "other reason"),
            (axdr.uint8(1), "type unmatched"),
        ):
            with pytest.raises(AccessDenied, match=words):
                await session.action(TRANSFER, parameters)
        assert place.meter.keys is before
