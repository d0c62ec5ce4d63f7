"""A man in the middle of one session, in every protection: what he alters, forges or plays again is refused, bounded or
told apart, and the next request works. Where a protection can't tell, that is stated: `UNDETECTABLE`.

The meter, the man and the client are on real sockets. The man knows no key, but where a row says that the meter itself
misbehaves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from lines import COMMISSIONED, METER_TYPE, NOW, SERIAL, TITLE
from tampering import PUBLIC, Cut, Recording, TamperingProxy, honest, let_pass

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import acse, apdu, axdr
from drivers.reading import read_invocation_counter
from drivers.session import Session, open_session
from profiles.errors import AccessDenied, HeadEndError, LinkError, LinkTimeout, ProtocolError, SecurityError
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef, Obis
from simulators.conditions import Around
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, town_of
from simulators.server import MeterServer

READER = METER_TYPE.associations["meter_reader"]
BLOCK_LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
COUNTER = Obis(0, 0, 43, 1, 2)
SHORT_S = 0.5
"""How long an answer that never comes is waited for."""

ENCRYPTED_ONLY = replace(READER, security_control=0x20)
PROTECTIONS = {
    "none": replace(READER, security_control=0x00),
    "glo, encryption alone": ENCRYPTED_ONLY,
    "glo, authentication": replace(READER, security_control=0x10),
    "glo": READER,
    "glo, suite 2": replace(READER, security_control=0x32),
    "ded": replace(READER, ciphering="ded"),
    "general-glo": replace(READER, ciphering="general-glo"),
    "general-ded": replace(READER, ciphering="general-ded"),
    "general-ciphering": replace(READER, ciphering="general-ciphering"),
    "general-ciphering, wrapped": replace(READER, ciphering="general-ciphering", key_origin="wrapped"),
    "general-ciphering, one-pass": replace(
        READER, security_control=0x31, ciphering="general-ciphering", key_origin="one-pass"
    ),
    "general-ciphering, static": replace(
        READER, security_control=0x32, ciphering="general-ciphering", key_origin="static-unified"
    ),
    "signed": replace(READER, security_control=0x01, signed=True),
    "signed general-glo": replace(READER, security_control=0x31, ciphering="general-glo", signed=True),
}
AUTHENTICATED = [name for name, kind in PROTECTIONS.items() if kind.security_control & 0x10 or kind.signed]
PROTECTED = [*AUTHENTICATED, "glo, encryption alone"]


@dataclass
class Scene:
    """A meter behind a man in the middle."""

    proxy: TamperingProxy
    meter: SimulatedMeter
    meter_type: MeterType
    kind: Association
    counters: CounterRange = field(default_factory=lambda: CounterRange(1, 10_000))
    pushed: list[bytes] = field(default_factory=list)
    heard: int = -1
    timeout_s: float = 5.0

    @property
    def credentials(self) -> Credentials:
        keys, pairs = self.meter.keys, self.meter.keys.pairs
        return Credentials(
            TITLE,
            keys.encryption,
            keys.authentication,
            keys.lls,
            self.counters,
            signing_key=pairs and pairs.client_signing,
            agreement_key=pairs and pairs.client_agreement,
            peer_signing_key=pairs and pairs.signing.public,
            peer_agreement_key=pairs and pairs.agreement.public,
            master_key=keys.master,
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        async with open_session(
            parse_address(self.proxy.address.replace("timeout=5", f"timeout={self.timeout_s}")),
            self.meter_type,
            self.kind,
            self.credentials,
            server_title=self.meter.identity.system_title,
            last_received=lambda title: self.heard,
            unasked=self.pushed.append,
        ) as session:
            yield session
            self.heard = session.association.last_received


@asynccontextmanager
async def scene(kind: Association) -> AsyncIterator[Scene]:
    associations = METER_TYPE.associations | {"meter_reader": kind}
    meter_type = replace(METER_TYPE, associations=associations)
    fleet = Fleet(5, 1, {"Bhopal city": 1}, COMMISSIONED)
    identity = fleet.identity(0)
    meter = SimulatedMeter(
        meter_type, identity, fleet.keys(0, kind.suite), Around(town_of(fleet, meter_type)), lambda: NOW
    )
    server = MeterServer({identity.host: meter})
    await server.start()
    proxy = TamperingProxy(identity.host, server.port)
    try:
        async with proxy.open():
            yield Scene(proxy, meter, meter_type, kind)
    finally:
        await server.close()


Alter = Callable[[Recording, bytes], Sequence[bytes]]


async def attacked(place: Scene, alter: Alter) -> bytes:
    """What a client reads as the serial number while the man alters the answer; then he lets go and it reads again."""
    answer = b""
    caught: HeadEndError | None = None
    try:
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place), "it works before"
            place.proxy.tamper = alter
            try:
                answer = await session.get(SERIAL)
            except HeadEndError as error:
                caught = error
                place.proxy.tamper = honest
                if not isinstance(error, LinkError | SecurityError):
                    assert await session.get(SERIAL) == serial_of(place), "the next request works"
                raise
            finally:
                place.proxy.tamper = honest
            assert await session.get(SERIAL) == serial_of(place), "the next request works"
    except HeadEndError as error:
        if error is not caught:
            raise AssertionError(f"refused what was honest: {error}") from error
    async with place.session() as session:
        assert await session.get(SERIAL) == serial_of(place), "a new association works"
    if caught is not None:
        raise caught
    return answer


def serial_of(place: Scene) -> bytes:
    return axdr.visible_string(place.meter.identity.serial)


def flip(place: int) -> Alter:
    def flipped(recording: Recording, answer: bytes) -> list[bytes]:
        octets = bytearray(answer)
        octets[place] ^= 0x01
        return [bytes(octets)]

    return flipped


def zeroed_tag(recording: Recording, answer: bytes) -> list[bytes]:
    return [answer[:-12] + bytes(12)]


def in_clear(recording: Recording, answer: bytes) -> list[bytes]:
    return [apdu.GetResponseNormal(number, axdr.visible_string("forged")).encode() for number in range(0xC0, 0xD0)]


def played_again(recording: Recording, answer: bytes) -> list[bytes]:
    """The answer to the first GET of the session: the last of all that came before."""
    return [recording.answers[-2]]


def weaker(recording: Recording, answer: bytes) -> list[bytes]:
    """The security control says encryption alone; the tag is cut off."""
    match apdu.decode(answer):
        case apdu.GeneralSigning() as signing:
            return [replace(signing, content=weaker(recording, signing.content)[0]).encode()]
        case (
            apdu.ServiceCiphered()
            | apdu.GeneralGloCiphering()
            | apdu.GeneralDedCiphering()
            | apdu.GeneralCiphering() as ciphered
        ):
            suite = ciphered.content[0] & 0x0F
            return [replace(ciphered, content=bytes([0x20 | suite]) + ciphered.content[1:-12]).encode()]
    raise AssertionError("not protected")


def silent(recording: Recording, answer: bytes) -> list[bytes]:
    return []


def cut_off(recording: Recording, answer: bytes) -> list[bytes]:
    raise Cut


def cut_short(recording: Recording, answer: bytes) -> list[bytes]:
    return [answer[: len(answer) // 2]]


@pytest.mark.parametrize("name", AUTHENTICATED)
@pytest.mark.parametrize(
    "alter", [flip(-1), flip(-13), zeroed_tag, cut_short, lambda recording, answer: [answer + b"\x00"]]
)
async def test_an_altered_answer_is_refused_wherever_there_is_a_tag_or_a_signature(name: str, alter: Alter) -> None:
    async with scene(PROTECTIONS[name]) as place:
        with pytest.raises((SecurityError, ProtocolError)):
            await attacked(place, alter)


async def test_without_a_tag_an_altered_answer_is_not_detectable_and_so_its_readings_are_flagged() -> None:
    """UNDETECTABLE: encryption alone. What is collected in such an association is stored as not authenticated."""
    async with scene(ENCRYPTED_ONLY) as place:
        answer = await attacked(place, flip(-1))
        assert answer[:-1] == serial_of(place)[:-1]
        assert answer[-1] == serial_of(place)[-1] ^ 1


async def test_in_clear_an_altered_answer_is_not_detectable() -> None:
    """UNDETECTABLE: no protection at all."""
    async with scene(PROTECTIONS["none"]) as place:
        assert (await attacked(place, flip(-1)))[-1] == serial_of(place)[-1] ^ 1


@pytest.mark.parametrize("name", PROTECTED)
async def test_an_answer_in_clear_is_refused_in_every_protection(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        with pytest.raises(SecurityError, match="plaintext answer"):
            await attacked(place, in_clear)


@pytest.mark.parametrize("name", PROTECTED)
async def test_an_answer_played_again_is_refused_in_every_protection(name: str) -> None:
    """By its counter, or by the transaction-id where each APDU has a key of its own."""
    async with scene(PROTECTIONS[name]) as place:
        with pytest.raises(SecurityError, match=r"replay refused"):
            await attacked(place, played_again)


@pytest.mark.parametrize("name", [name for name in AUTHENTICATED if name != "signed"])
async def test_a_weaker_protection_is_refused(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        with pytest.raises((SecurityError, ProtocolError)):
            await attacked(place, weaker)


@pytest.mark.parametrize("name", [name for name in PROTECTED if "general" in name or name == "signed"])
async def test_another_system_title_in_an_answer_is_refused(name: str) -> None:
    """Where the APDU carries one."""
    async with scene(PROTECTIONS[name]) as place:
        title = place.meter.identity.system_title

        def renamed(recording: Recording, answer: bytes) -> list[bytes]:
            assert title in answer
            return [answer.replace(title, title[:-1] + bytes([title[-1] ^ 1]))]

        with pytest.raises(SecurityError):
            await attacked(place, renamed)


@pytest.mark.parametrize("name", [name for name in PROTECTED if not PROTECTIONS[name].signed])
async def test_another_system_title_at_the_address_is_refused_before_anything_is_read(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        title = place.meter.identity.system_title
        place.proxy.tamper = lambda recording, answer: [answer.replace(title, b"XYZ\x00\x00\x00\x00\x01")]
        with pytest.raises(HeadEndError, match="58595A0000000001 answers"):
            async with place.session():
                raise AssertionError("let in")
        place.proxy.tamper = honest
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)


COUNTED = ["glo, encryption alone", "glo, authentication", "glo", "general-glo", "general-ciphering"]


@pytest.mark.parametrize("name", COUNTED)
async def test_a_counter_of_the_meter_that_falls_is_refused(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)
            place.meter._last_sent -= 2
            with pytest.raises(SecurityError, match="replay refused"):
                await session.get(SERIAL)
        place.meter._last_sent += 100
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)


@pytest.mark.parametrize("name", list(PROTECTIONS))
async def test_a_foreign_invoke_id_is_passed_over_and_the_right_answer_awaited(name: str) -> None:
    """A late answer of the meter itself: protected, but to another request."""
    async with scene(PROTECTIONS[name]) as place:
        if name == "none":
            foreign = apdu.GetResponseNormal(0xCF, axdr.uint8(1)).encode()
            answer = await attacked(place, lambda recording, answer: [foreign, answer])
            assert answer == serial_of(place)
            return
        waiting: list[bytes] = []

        def one_late(recording: Recording, answer: bytes) -> list[bytes]:
            waiting.append(answer)
            return [] if len(waiting) == 1 else waiting[-2:]

        place.timeout_s = SHORT_S
        async with place.session() as session:
            place.proxy.tamper = one_late
            with pytest.raises(LinkTimeout):
                await session.get(SERIAL)
        place.proxy.tamper = honest
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)


@pytest.mark.parametrize("name", list(PROTECTIONS))
async def test_a_push_in_the_middle_of_a_request_is_told_apart(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        pushes = [
            apdu.DataNotification(7, axdr.uint8(1)).encode(),
            apdu.EventNotification(SERIAL, axdr.uint8(1)).encode(),
        ]
        answer = await attacked(place, lambda recording, answer: [*pushes, answer, *pushes])
        assert answer == serial_of(place)
        assert place.pushed[:2] == pushes


@pytest.mark.parametrize("name", list(PROTECTIONS))
async def test_silence_and_a_cut_link_end_in_time(name: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        place.timeout_s = SHORT_S
        with pytest.raises(LinkTimeout):
            await attacked(place, silent)
        with pytest.raises(LinkError):
            await attacked(place, cut_off)


@pytest.mark.parametrize("name", list(PROTECTIONS))
@pytest.mark.parametrize(
    ("forged", "error"),
    [
        (apdu.ExceptionResponse(1, 6, 0x7FFFFFFF), SecurityError),
        (apdu.ExceptionResponse(1, 2), AccessDenied),
        (apdu.ConfirmedServiceError(5, 0, 0), AccessDenied),
    ],
    ids=["counter", "exception", "service error"],
)
async def test_a_forged_refusal_is_an_error_and_changes_no_counter(
    name: str, forged: apdu.ExceptionResponse | apdu.ConfirmedServiceError, error: type[HeadEndError]
) -> None:
    async with scene(PROTECTIONS[name]) as place:
        before = place.counters.next
        with pytest.raises(error):
            await attacked(place, lambda recording, answer: [forged.encode()])
        assert place.counters.next < before + 20


async def test_a_forged_counter_of_the_public_client_is_hearsay_that_the_caller_bounds() -> None:
    """What is done with it is shown with the collector: it may raise our counter by a bounded step, never lower it."""
    async with scene(READER) as place:
        place.proxy.tamper = lambda recording, answer: (
            [apdu.GetResponseNormal(0xC1, axdr.uint32(0xFFFFFFFF)).encode()]
            if recording.client == PUBLIC and answer[0] == 0xC4
            else [answer]
        )
        address = parse_address(place.proxy.address)
        assert await read_invocation_counter(address, place.meter_type, COUNTER) == 0xFFFFFFFF
        place.proxy.tamper = honest
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)
        assert place.counters.next < 20


BLOCKED = ["none", "glo", "general-glo", "general-ciphering, wrapped", "signed general-glo"]


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("how", ["doubled", "left out", "cut short"])
async def test_a_block_that_is_doubled_left_out_or_cut_is_refused(name: str, how: str) -> None:
    async with scene(PROTECTIONS[name]) as place:
        blocks: list[bytes] = []

        def alter(recording: Recording, answer: bytes) -> list[bytes]:
            blocks.append(answer)
            if len(blocks) != 2:
                return [answer]
            return {"doubled": [blocks[0]], "left out": [], "cut short": [answer[:-30]]}[how]

        async with place.session() as session:
            whole = await session.get(BLOCK_LOAD)
        assert len(whole) > 2000
        place.timeout_s = SHORT_S
        async with place.session() as session:
            place.proxy.tamper = alter
            with pytest.raises((SecurityError, ProtocolError, LinkTimeout)):
                await session.get(BLOCK_LOAD)
        assert len(blocks) >= 2
        place.proxy.tamper = honest
        async with place.session() as session:
            assert await session.get(BLOCK_LOAD) == whole


@pytest.mark.parametrize("name", PROTECTED)
async def test_a_forged_association_is_refused(name: str) -> None:
    """The man answers the AARQ himself, as any meter that was in clear would."""
    async with scene(PROTECTIONS[name]) as place:
        initiate = apdu.InitiateResponse(0x10, 1024).encode()

        def forge(recording: Recording, request: bytes) -> list[bytes] | None:
            title = place.meter.identity.system_title
            aare = acse.encode_aare(
                result=0, diagnostic=0, ciphered=True, system_title=title, user_information=initiate
            )
            return [aare] if request[0] == acse.AARQ else None

        place.proxy.forge = forge
        with pytest.raises((SecurityError, LinkError, AccessDenied)):
            async with place.session() as session:
                await session.get(SERIAL)
        place.proxy.forge = let_pass
        async with place.session() as session:
            assert await session.get(SERIAL) == serial_of(place)
