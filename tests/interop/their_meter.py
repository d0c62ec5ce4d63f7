"""The example meter of pydlms-client's simulator as tests use it: how it is served, how our client comes to it, and
what it does with it there.

Nobody here wrote the meter. Each process that serves it has counters of its own under its key, which rise from one
association to the next.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tour

from drivers.address import parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import AccessAction, AccessGet, AccessSet, ActionResult, DataResult, SelectedAttribute
from drivers.dlms.association import ignore
from drivers.dlms.security import SUITES, Key, PrivateKey, Secret
from drivers.session import Session, open_session
from profiles.errors import AccessDenied
from profiles.loader import load_meter_type
from profiles.meter_type import Association
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis

TYPE = load_meter_type(Path(__file__).with_name("pydlms-sim.toml"))
PROGRAM, CLIENT = (Path(__file__).with_name(name) for name in ("pydlms_meter.py", "pydlms_client.py"))

OUR_TITLE, THEIR_TITLE = b"HES\x00\x00\x00\x00\x01", b"PYD\x00\x00\x00\x00\x01"
SHARED = "sixteen letters."
SECRETS = {1: "open-sesame", 2: SHARED, 3: SHARED, 4: SHARED, 6: SHARED}
CLEAR, CIPHERED = 20, 40
"""SAPs of the clients that authenticate by mechanism 0; those by the others follow."""

SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
ENERGY = AttributeRef(3, Obis(1, 0, 1, 8, 0), 2)
NO_SUCH = AttributeRef(1, Obis(1, 2, 3, 4, 5), 2)
PROFILE = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
NAME = AttributeRef(1, Obis(0, 0, 42, 0, 0), 2)
"""This one may be written, like most of this meter."""
OUTPUT = AttributeRef(70, Obis(0, 0, 96, 3, 10), 2)
DISCONNECT = MethodRef(70, Obis(0, 0, 96, 3, 10), 1)
NO_METHOD = MethodRef(70, Obis(0, 0, 96, 3, 11), 1)
ECHO = MethodRef(1, Obis(0, 0, 96, 13, 0), 100)
"""Gives back its parameters; only where `served` serves it."""

NOTHING, NULL = axdr.int8(0), axdr.null()
LONG = axdr.octet_string(bytes(range(256)) * 6)
"""More than the meter takes in one piece."""

Held = Mapping[AttributeRef, bytes]


@dataclass(frozen=True)
class Way:
    """How our client comes to the meter."""

    mechanism: int = 0
    control: int = 0
    ciphering: Any = "glo"
    signed: bool = False
    hdlc: bool = False

    @property
    def association(self) -> Association:
        sap = self.mechanism + (CIPHERED if self.control else CLEAR)
        name = Obis(0, 0, 40, 0, 0)
        kind = Association("way", sap, self.mechanism, self.control, name, None, 1024, self.ciphering)
        return replace(kind, signed=self.signed)

    def __str__(self) -> str:
        mechanism = f"hls {self.mechanism}" if self.mechanism > 1 else ("none", "lls")[self.mechanism]
        cover = f"{self.control:02x} {self.ciphering}" if self.control else "clear"
        return ", ".join([mechanism, cover, *["signed"] * self.signed, "hdlc" if self.hdlc else "wrapper"])


@dataclass(frozen=True)
class Meter:
    """Where it is, and our credentials there, but for the secret."""

    address: str
    credentials: Credentials

    @asynccontextmanager
    async def session(
        self, way: Way, timeout_s: float = 30, unasked: Callable[[bytes], None] = ignore
    ) -> AsyncIterator[Session]:
        kind, secret = way.association, SECRETS.get(way.mechanism)
        credentials = replace(self.credentials, secret=None if secret is None else Secret(secret.encode()))
        place = parse_address(f"{self.address}?client={kind.client_sap}&timeout={timeout_s}")
        async with open_session(place, TYPE, kind, credentials, unasked=unasked) as session:
            yield session


def keys(suite: int) -> tuple[Credentials, dict[str, str]]:
    """Ours, and what the meter has to know of them. The symmetric keys are those that everybody tests with."""
    size = SUITES[suite].key_octets
    encryption, authentication = bytes(range(size)), bytes(range(0xD0, 0xD0 + size))
    credentials = Credentials(OUR_TITLE, Key(encryption), Key(authentication), counters=CounterRange(1, 1_000_000))
    told = {"encryption_key": encryption.hex(), "authentication_key": authentication.hex()}
    if not suite:
        return credentials, told
    octets = {1: 32, 2: 48}[suite]
    signing, agreement, our_signing, our_agreement = (PrivateKey(bytes([number]) * octets) for number in (1, 2, 3, 4))
    credentials = replace(
        credentials,
        signing_key=our_signing,
        agreement_key=our_agreement,
        peer_signing_key=signing.public,
        peer_agreement_key=agreement.public,
    )
    return credentials, told | {
        "signing_key": signing.octets.hex(),
        "agreement_key": agreement.octets.hex(),
        "peer_signing_key": our_signing.public.octets.hex(),
        "peer_agreement_key": our_agreement.public.octets.hex(),
    }


@contextmanager
def simulated(
    serve: Callable[..., Any], folder: Path, *, ciphered: bool = False, hdlc: bool = False
) -> Iterator[Meter]:
    """The meter as `pydlms simulate` serves it: with keys, all clients but the public one are ciphered."""
    credentials, told = keys(0)
    options = ["--hdlc"] if hdlc else []
    if ciphered:
        options += ["--key", told["encryption_key"], "--auth-key", told["authentication_key"]]
    for mechanism in range(7):
        if ciphered or mechanism != 5:
            sap, secret = mechanism + (CIPHERED if ciphered else CLEAR), SECRETS.get(mechanism)
            options += ["--client", f"{sap}:{mechanism}" + ("" if secret is None else f":{secret}")]
    command = ("pydlms", "simulate", "--host", "127.0.0.1", "--port", "0", *options)
    with serve(folder, r"listening on (127\.0\.0\.1:\d+)", *command) as (found, _):
        yield Meter(f"{'hdlc+tcp' if hdlc else 'tcp'}://{found[1]}", credentials)


@contextmanager
def served(serve: Callable[..., Any], folder: Path, way: Way, **changed: Any) -> Iterator[Meter]:
    """The meter as the program beside this one serves it, which may say more of it than `pydlms simulate`."""
    suite = way.control & 0x0F
    credentials, told = keys(suite)
    order: dict[str, Any] = told | {
        "port": 0,
        "hdlc": way.hdlc,
        "window": 3,
        "suite": suite,
        "policy": way.control & 0x30 or 0x30,
        "clients": [
            [start + mechanism, mechanism, SECRETS.get(mechanism), start == CIPHERED]
            for start in (CLEAR, CIPHERED)
            for mechanism in range(8)
        ],
        "without": [],
        "gbt_window": None,
        "lost": [[], []],
        "push": None,
    }
    arguments = (PROGRAM, json.dumps(order | changed))
    with serve(folder, r"listening on (\S+)\n", "python", *arguments) as (found, _):
        yield Meter(found[1], credentials)


def witness(run: Callable[..., Any], meter: Meter) -> dict[AttributeRef, bytes]:
    """What the meter holds, as pydlms-client's own client reads it, in clear and by the wrapper."""
    host, _, port = meter.address.removeprefix("tcp://").partition(":")
    asked = (SERIAL, ENERGY, PROFILE)
    wanted = {
        "host": host,
        "port": int(port),
        "path": None,
        "mode_e": False,
        "hdlc": False,
        "client": CLEAR,
        "mechanism": 0,
        "secret": None,
        "security": None,
        "ciphered": False,
        "protection": "glo",
        "dedicated": False,
        "key_info": None,
        "max_pdu": 65535,
        "gbt_window": None,
        "steps": [["get", one.class_id, str(one.obis), one.attribute] for one in asked],
    }
    said = json.loads(run("python", CLIENT, given=json.dumps(wanted)).stdout)
    return {one: bytes.fromhex(answer) for one, answer in zip(asked, said["answers"], strict=True)}


# --- what our client does there -------------------------------------------------------------------------------


async def read(session: Session, held: Held) -> None:
    """GET: alone, in blocks, in lists, parts of a profile; and what there is not."""
    for attribute, octets in held.items():
        assert await session.get(attribute) == octets
    with pytest.raises(AccessDenied, match="object undefined"):
        await session.get(NO_SUCH)
    wanted = [SelectedAttribute(one) for one in (SERIAL, NO_SUCH, ENERGY)]
    short = (DataResult(held[SERIAL]), DataResult(None, 4), DataResult(held[ENERGY]))
    assert await session.get_list(wanted) == short
    assert await session.get_list([*wanted, SelectedAttribute(PROFILE)]) == (*short, DataResult(held[PROFILE]))

    rows = tour.elements(held[PROFILE])
    assert len(rows) == 96
    assert await session.get(PROFILE, apdu.entry_selection(5, 14)) == axdr.array(rows[4:14])
    energies = axdr.array([axdr.structure(tour.elements(row)[1]) for row in rows[4:14]])
    assert await session.get(PROFILE, apdu.entry_selection(5, 14, 2, 2)) == energies
    clock, energy = CaptureObject(8, Obis(0, 0, 1, 0, 0), 2), CaptureObject(3, ENERGY.obis, 2)
    bounds = [tour.elements(row)[0][2:] for row in (rows[4], rows[13])]
    assert await session.get(PROFILE, apdu.range_selection(clock, bounds[0], bounds[1])) == axdr.array(rows[4:14])
    assert await session.get(PROFILE, apdu.range_selection(clock, bounds[0], bounds[1], [energy])) == energies
    some = [SelectedAttribute(PROFILE, apdu.entry_selection(1, 1)), SelectedAttribute(SERIAL)]
    assert await session.get_list(some) == (DataResult(axdr.array(rows[:1])), DataResult(held[SERIAL]))


async def write(session: Session) -> None:
    """SET and ACTION: alone, in lists, in blocks both ways; and what may not be done."""
    for value in (axdr.octet_string(b"short"), LONG):
        await session.set(NAME, value)
        assert await session.get(NAME) == value
    with pytest.raises(AccessDenied, match="denied"):
        await session.set(NAME._replace(attribute=1), NULL)
    attributes = [SelectedAttribute(one) for one in (OUTPUT, NO_SUCH, NAME)]
    for value in (axdr.octet_string(b"listed"), LONG):
        assert await session.set_list(attributes, [axdr.boolean(True), NULL, value]) == (0, 4, 0)
        assert await session.get(NAME) == value

    await session.action(DISCONNECT, NOTHING)
    assert await session.get(OUTPUT) == axdr.boolean(False)
    with pytest.raises(AccessDenied, match="object unavailable"):
        await session.action(NO_METHOD, NOTHING)
    assert await session.action_list([DISCONNECT, NO_METHOD], [NOTHING] * 2) == (ActionResult(0), ActionResult(11))


async def echo(session: Session) -> None:
    """ACTION with long parameters and a long answer, alone; in a list with long parameters."""
    assert await session.action(ECHO, LONG) == LONG
    assert await session.action(ECHO, NOTHING) == NOTHING
    assert await session.action_list([ECHO] * 2, [NOTHING] * 2) == (ActionResult(0, NOTHING),) * 2


async def access(session: Session, held: Held) -> None:
    """ACCESS: what fails does not keep the others from being done."""
    answer = await session.access(
        [AccessGet(SERIAL), AccessGet(NO_SUCH), AccessSet(OUTPUT), AccessGet(OUTPUT), AccessAction(NO_METHOD)],
        [NULL, NULL, axdr.boolean(True), NULL, NOTHING],
    )
    assert answer.data == (held[SERIAL], NULL, NULL, axdr.boolean(True), NULL)
    assert [one.result for one in answer.results] == [0, 4, 0, 0, 11]
