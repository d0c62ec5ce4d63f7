"""What our simulated meters serve, as the clients of other implementations use it: every authentication, protection and
link that both know, and on each of them the whole tour of services (`tour.py`).

What the clients say is compared octet for octet; the meter is in this process, so that what they did to it is seen.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lines
import pytest
import tour
from simulated import SETTING, Place, one_meter

from drivers.dlms import axdr
from drivers.dlms.security import PrivateKey
from drivers.hdlc.server import HdlcServer
from simulators.fleet import KeyPairs
from simulators.meter import SimulatedMeter

LIMIT_S = 60.0
TITLE = "5749544E45535301"
FIRST_COUNTER = 1000
GURUX, PYDLMS = "gurux_matrix_client.py", "pydlms_client.py"


@dataclass(frozen=True)
class Way:
    """How a client comes to the meter."""

    mechanism: int = 0
    control: int = 0
    ciphering: str = "glo"
    key_origin: str = "identified"
    signed: bool = False
    hdlc: bool = False
    physical: int | None = None
    max_pdu: int = 65535
    gbt_window: int | None = None

    @property
    def association(self) -> dict[str, Any]:
        """Of the meter."""
        return {
            "mechanism": self.mechanism,
            "security_control": self.control,
            "ciphering": self.ciphering,
            "key_origin": self.key_origin,
            "signed": self.signed,
        }

    def __str__(self) -> str:
        suite, kind = self.control & 0x0F, {0x10: "auth ", 0x20: "enc "}.get(self.control & 0x30, "")
        covers = ([f"{kind}{self.ciphering}"] if self.control & 0x30 else []) + (["signed"] if self.signed else [])
        if self.ciphering == "general-ciphering":
            covers.append(self.key_origin)
        parts = [f"hls {self.mechanism}" if self.mechanism > 1 else ("none", "lls")[self.mechanism], *covers]
        parts += [f"suite {suite}"] if suite else []
        parts += ["gbt"] if self.gbt_window else []
        parts += [f"pdu {self.max_pdu}"] if self.max_pdu < 65535 else []
        return ", ".join([*parts, "hdlc" if self.hdlc else "wrapper"])


class Heard(SimulatedMeter):
    """Keeps the tags of its answers, which are covered as their requests were."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.answered: set[int] = set()

    def on_wire(self, apdu: bytes) -> bytes | None:
        self.answered.add(apdu[0])
        return super().on_wire(apdu)


@asynccontextmanager
async def serving(way: Way) -> AsyncIterator[tuple[Place, dict[str, Any]]]:
    """The meter on a socket, and what a client has to know of it."""
    async with one_meter(Heard, **way.association) as place:
        if not way.hdlc:
            yield place, order(place.meter, way, place.meter.identity.host, place.server.port)
            return
        async with lines.on_socket(
            lambda: HdlcServer(place.meter.connect(), physical=way.physical, offered=lines.METERS).receive
        ) as port:
            yield place, order(place.meter, way, "127.0.0.1", port)


def order(meter: SimulatedMeter, way: Way, host: str, port: int) -> dict[str, Any]:
    """What a client has to know to come to the meter that way."""
    keys, kind = meter.keys, meter.meter_type.associations[SETTING]
    secret = {0: None, 1: keys.lls, 5: None, 7: None}.get(way.mechanism, keys.hls)
    security = {
        "suite": way.control & 0x0F,
        "policy": way.control & 0x30,
        "encryption_key": keys.encryption.octets.hex(),
        "authentication_key": keys.authentication.octets.hex(),
        "master_key": keys.master.octets.hex(),
        "client_title": TITLE,
        "counter": FIRST_COUNTER,
        **key_pairs(keys.pairs),
    }
    return {
        "host": host,
        "port": port,
        "path": None,
        "mode_e": False,
        "hdlc": way.hdlc,
        "physical": way.physical,
        "client": kind.client_sap,
        "mechanism": way.mechanism,
        "secret": None if secret is None else secret.octets.decode(),
        "security": security if kind.protected or way.mechanism >= 5 else None,
        "ciphered": kind.protected,
        "protection": protection(way),
        "dedicated": way.ciphering in ("ded", "general-ded"),
        "key_info": key_info(way),
        "max_pdu": way.max_pdu,
        "gbt_window": way.gbt_window,
    }


def protection(way: Way) -> str:
    """pydlms-client's name of it."""
    covers = {"ded": "glo", "general-ded": "general-glo"}.get(way.ciphering, way.ciphering)
    if not way.signed:
        return covers
    return f"{covers}+signing" if way.control & 0x30 else "general-signing"


def key_info(way: Way) -> dict[str, Any] | None:
    if way.ciphering != "general-ciphering":
        return None
    schemes = {"one-pass": 1, "static-unified": 2}
    if way.key_origin in schemes:
        return {"kind": "agreed", "scheme": schemes[way.key_origin]}
    return {"kind": way.key_origin}


def key_pairs(pairs: KeyPairs | None) -> dict[str, str]:
    if pairs is None:
        return {}

    def private(key: PrivateKey) -> str:
        return key.octets.hex()

    return {
        "signing_key": private(pairs.client_signing),
        "agreement_key": private(pairs.client_agreement),
        "peer_signing_key": pairs.signing.public.octets.hex(),
        "peer_agreement_key": pairs.agreement.public.octets.hex(),
    }


async def told(program: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the program prints, while this process goes on serving it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).with_name(program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            printed, errors = await process.communicate(json.dumps(wanted).encode())
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    said: dict[str, Any] = json.loads(printed)
    return said


Stages = Callable[[tour.Found], list[tour.TourStep]]


async def walk(program: str, way: Way, stages: Stages) -> dict[str, Any]:
    """Take the program through the stages; each answer must be the one expected."""
    async with serving(way) as (place, wanted):
        steps = stages(await found_at(place))
        assert isinstance(place.meter, Heard)
        place.meter.answered.clear()
        said = await told(program, wanted | {"steps": [step for step, _ in steps]})
        for (step, expected), answer in zip(steps, said["answers"], strict=True):
            assert answer == (decoded(step, expected) if program == GURUX else expected), step
        assert place.meter.holder is None, "the client was to release the association"
        assert cover_of(way) in place.meter.answered
        assert (0xE0 in place.meter.answered) == (way.gbt_window is not None)
        return said


def cover_of(way: Way) -> int:
    """The tag of what carries the answer to a GET."""
    if way.signed:
        return 0xDF
    covers = {"glo": 0xCC, "ded": 0xD4, "general-glo": 0xDB, "general-ded": 0xDC, "general-ciphering": 0xDD}
    return covers[way.ciphering] if way.control & 0x30 else 0xC4


async def found_at(place: Place) -> tour.Found:
    async with place.session() as session:
        return await tour.find(session)


def release_of(way: Way) -> str:
    """How pydlms-client finds that the release went; a general-ciphering one it does not understand."""
    if not way.control & 0x30 and not way.signed:
        return "plain"
    return "verified" if way.control & 0x10 else "unverified"


def decoded(step: tour.Step, expected: tour.Expected) -> tour.Expected:
    """What gurux-dlms gives where it gives no octets: the elements of lists, decoded."""
    if step[0] == "get_list":
        return [one if isinstance(one, dict) else plain(axdr.decode(bytes.fromhex(one))) for one in expected]
    if step[0] == "access":
        return [[result, plain(axdr.decode(bytes.fromhex(data)))] for result, data in expected]
    return expected


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [plain(one) for one in value] if isinstance(value, list | axdr.Structure) else value


def numbers(text: str) -> list[int]:
    """From `1-3,5`; `-` is none."""
    ranges = [part.partition("-") for part in text.split(",") if part != "-"]
    return [index for low, _, high in ranges for index in range(int(low), int(high or low) + 1)]


def view_of(said: list[list[Any]]) -> list[list[Any]]:
    """Of the object list; pydlms-client tells rights in words."""

    def rights(text: str) -> list[list[int]]:
        return [numbers(part) for part in re.findall(r"=(\S+)", text)]

    return sorted([*entry[:3], *rights(entry[3])] if isinstance(entry[3], str) else entry for entry in said)


def gurux_tour(way: Way) -> Stages:
    """All that gurux-dlms can do. A list that comes in blocks, which come in several frames, it reads only ciphered;
    ACCESS it does not cipher but in general APDUs."""

    def stages(found: tour.Found) -> list[tour.TourStep]:
        steps = [*tour.reading(found), *tour.selecting(found)]
        if way.control or not way.hdlc:
            steps += tour.reading_a_long_list(found)
        if not way.control or way.ciphering.startswith("general"):
            steps += tour.reading_at_once(found)
        return [*steps, *tour.writing(found), *tour.calling(found)]

    return stages


def pydlms_tour(way: Way) -> Stages:
    """Everything; only has ACCESS no glo- APDU that it would sign."""

    def stages(found: tour.Found) -> list[tour.TourStep]:
        steps = [*tour.reading(found), *tour.reading_a_long_list(found), *tour.selecting(found)]
        steps += [
            *tour.selecting_columns(found),
            *tour.writing(found),
            *tour.writing_lists(),
            *tour.calling_at_length(),
        ]
        if not (way.signed and way.ciphering == "glo"):
            steps += [*tour.reading_at_once(found), *tour.all_at_once()]
        return [*steps, *tour.calling(found)]

    return stages


SHARED_WAYS = [
    *(Way(mechanism, hdlc=hdlc) for hdlc in (False, True) for mechanism in (0, 1)),
    *(Way(mechanism) for mechanism in (2, 3, 4, 5, 6)),
    *(Way(mechanism, 0x30) for mechanism in (0, 1, 2, 3, 4, 6)),
    *(Way(5, 0x30, hdlc=True, physical=physical) for physical in (None, 17)),
    *(Way(5, control) for control in (0x10, 0x20, 0x30)),
    *(Way(5, 0x30, ciphering) for ciphering in ("general-glo", "ded", "general-ded")),
    Way(5, 0x30, "general-glo", hdlc=True),
    Way(5, 0x30, max_pdu=200),
    Way(5, 0x31),
    Way(5, 0x32),
    Way(6, 0x32, "general-glo"),
]
PYDLMS_WAYS = [
    *SHARED_WAYS,
    *(Way(5, 0x31, "general-ciphering", origin) for origin in ("identified", "wrapped", "one-pass", "static-unified")),
    Way(5, 0x32, "general-ciphering", "one-pass"),
    *(Way(7, control, "general-glo") for control in (0x31, 0x32)),
    *(Way(7, 0x31, ciphering, signed=True) for ciphering in ("glo", "general-ciphering")),
    Way(7, 0x32, "general-ciphering", signed=True),
]
GBT_WAYS = [
    *(Way(0, gbt_window=window, max_pdu=max_pdu) for window, max_pdu in ((1, 65535), (1, 300), (8, 300))),
    Way(5, 0x30, gbt_window=4, max_pdu=300),
    Way(5, 0x30, "general-glo", gbt_window=63, max_pdu=300),
    Way(5, 0x31, "general-ciphering", "one-pass", gbt_window=4, max_pdu=400),
    Way(5, 0x30, gbt_window=3, max_pdu=300, hdlc=True),
]


@pytest.mark.parametrize("way", SHARED_WAYS, ids=str)
async def test_the_gurux_client_takes_the_tour(way: Way) -> None:
    await walk(GURUX, way, gurux_tour(way))


@pytest.mark.parametrize("way", PYDLMS_WAYS, ids=str)
async def test_the_pydlms_client_takes_the_whole_tour(way: Way) -> None:
    said = await walk(PYDLMS, way, pydlms_tour(way))
    assert said["release"] == release_of(way)


@pytest.mark.parametrize("way", GBT_WAYS, ids=str)
async def test_the_pydlms_client_writes_and_reads_by_general_block_transfer(way: Way) -> None:
    """But for a second long request in an association: its first block acknowledges the exchange before."""
    await walk(PYDLMS, way, lambda found: [*tour.reading(found), *tour.in_long_blocks(found)])


@pytest.mark.parametrize("program", [GURUX, PYDLMS])
async def test_each_client_sees_the_objects_and_rights_of_its_association(program: str) -> None:
    async with serving(Way(5, 0x30)) as (place, wanted):
        found = await found_at(place)
        said = await told(program, wanted | {"steps": [["view"]]})
        assert view_of(said["answers"][0]) == tour.viewed(found.objects)
