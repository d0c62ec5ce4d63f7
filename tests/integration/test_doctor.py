"""The doctor of one meter: what is healthy is good, and each fault has its own finding and its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.dlms import acse
from headend.check.command import check
from headend.check.finding import Finding, Verdict, verdict_of
from headend.check.patient import Wanted
from headend.cli.meter_options import MeterOptions
from headend.reading.telling import Telling
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from profiles.objects import CaptureObject, Obis
from simulators.faults import Fault, fault, faults_of_meters
from simulators.faulty_meter import maker_of_meters
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.server import MeterServer
from simulators.state import Destination

METER_TYPE = load_meter_type("is15959-1ph")
WRONG_KEY = "00112233445566778899AABBCCDDEEFF"
PUSH_TO = "10.0.0.5:4059"
GRAVE = (Verdict.BROKEN, Verdict.MEND)
RIGHT = {
    "reached",
    "let_in",
    "keys_right",
    "counter_right",
    "identity",
    "type_right",
    "firmware_plain",
    "clock_right",
    "objects_right",
    "scalers_right",
    "deep",
    "no_gaps",
    "push_right",
    "relay_on",
}
"""What is right with a healthy meter, beside its columns, which vary from maker to maker."""


@dataclass
class Ward:
    """One meter in bed, and the folder of who examines it."""

    server: MeterServer
    folder: Path

    @property
    def meter(self) -> SimulatedMeter:
        return next(iter(self.server.meters.values()))

    async def examined(
        self, query: str = "", port: int | None = None, wrong: Mapping[str, str] | None = None, **given: object
    ) -> dict[str, Finding]:
        """Findings by code. `wrong`: keys that are otherwise than the meter's; `given`: options, and what is wanted."""
        own = self.meter.keys
        file = self.folder / "meter.toml"
        right = {
            "encryption_key": own.encryption.octets.hex(),
            "authentication_key": own.authentication.octets.hex(),
            "lls_secret": own.lls.octets.decode(),
            "hls_secret": own.hls.octets.decode(),
        }
        file.write_text("".join(f'{name} = "{text}"\n' for name, text in (right | dict(wrong or {})).items()))
        wanted = {name: given.pop(name) for name in ("push_to", "days", "save_type") if name in given}
        scheme = given.pop("scheme", "tcp")
        address = f"{scheme}://{self.meter.identity.host}:{port or self.server.port}{query}"
        options = MeterOptions(
            **{"address": address, "keys": file, "counters": self.folder / "counters.json", **given}  # type: ignore[arg-type]
        )
        found = await check(options, Wanted(**wanted), Telling(), None)  # type: ignore[arg-type]
        return {one.code: one for one in found.findings}


@asynccontextmanager
async def ward(
    folder: Path,
    *faults: Fault,
    make: Callable[..., SimulatedMeter] = SimulatedMeter,
    meter_type: MeterType = METER_TYPE,
) -> AsyncIterator[Ward]:
    """A meter that was commissioned two days ago, with these faults."""
    since = (datetime.now(UTC) - timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    fleet = Fleet(5, 1, {"Bhopal city": 1}, since)
    made = maker_of_meters(faults_of_meters(faults, 5, 1), make)
    server = MeterServer(simulated_meters(fleet, meter_type, lambda: datetime.now(UTC), made))
    await server.start()
    try:
        yield Ward(server, folder)
    finally:
        await server.close()


def grave(found: Mapping[str, Finding]) -> set[str]:
    """Codes of what is broken or to be mended."""
    return {code for code, one in found.items() if one.verdict in GRAVE}


async def test_a_healthy_meter_is_good_in_every_respect(tmp_path: Path) -> None:
    async with ward(tmp_path) as bed:
        for push in METER_TYPE.pushes.values():
            assert push.obis is not None
            bed.meter.state.push_to[push.obis] = Destination(address=PUSH_TO.encode())
        for scheme in ("tcp", "hdlc+tcp"):
            found = await bed.examined(scheme=scheme, push_to=PUSH_TO)
            assert set(found) - {"columns_right", "columns_vary"} == RIGHT
            assert verdict_of(found.values()) is Verdict.GOOD
            assert not any(one.remedy for one in found.values())
        assert "Let in: public (16), meter reader (32), utility setting (48)" in found["let_in"].said
        assert bed.meter.identity.serial in found["identity"].said
        assert bed.server.repeats == 0
        # What is right is right in Hindi too, and who asks for another destination is told.
        found = await bed.examined(push_to="10.0.0.6:4059")
        assert grave(found) == {"push_elsewhere"}
        assert "मीटर" in found["reached"].said.hindi
        assert bed.meter.holder is None, "an association was left open"


@dataclass(frozen=True)
class Ill:
    """A fault, how the meter is examined, and what has to be found: the one grave finding, and a word of its remedy."""

    code: str
    remedy: str
    query: str = ""
    faults: tuple[Fault, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, object] = field(default_factory=dict)
    also: frozenset[str] = frozenset({"no_gaps", "clock_right", "objects_right"})
    """What is seen to be right all the same."""


NOTHING: frozenset[str] = frozenset()
ILLS = {
    "port": Ill("no_connection", "host and port", given={"port": 1}, also=NOTHING),
    "logical device": Ill("wrong_server", "server=1", "?server=5", also=NOTHING),
    "client": Ill("no_such_client", "client=77", "?client=77"),
    "encryption key": Ill(
        "encryption_key_wrong",
        "encryption key of today",
        keys={"encryption_key": WRONG_KEY},
        also=frozenset({"clock_right", "identity"}),
    ),
    "authentication key": Ill(
        "authentication_key_wrong", "authentication key of today", keys={"authentication_key": WRONG_KEY}
    ),
    "password": Ill("password_wrong", "lls_secret", keys={"lls_secret": "not-the-password"}),
    "HLS secret": Ill("secret_wrong", "hls_secret", keys={"hls_secret": "0123456789ABCDEF"}),
    "HLS secret, asked first": Ill("secret_wrong", "hls_secret", "?client=48", keys={"hls_secret": "0123456789ABCDEF"}),
    "no keys": Ill("key_missing", "--keys", given={"keys": None}, also=frozenset({"clock_right"})),
    "clock": Ill(
        "clock_off",
        "--set",
        faults=(fault("clock_jump", seconds=600, at=1.7e9),),
        also=frozenset({"no_gaps", "objects_right"}),
    ),
    "type": Ill("type_wrong", "--type is15959-1ph", given={"meter_type": "is15959-3ph"}),
    "gaps": Ill(
        "gaps", "events power", faults=(fault("missing_rows", chance=0.1),), also=frozenset({"clock_right", "deep"})
    ),
    "push": Ill("push_nowhere", f"--list NAME --set {PUSH_TO}", given={"push_to": PUSH_TO}),
    "counter": Ill(
        "counter_ahead",
        "--accept-counter",
        faults=(fault("counter_mismatch", ahead=2_000_000),),
        also=frozenset({"clock_right"}),
    ),
}


@pytest.mark.parametrize("name", ILLS)
async def test_each_fault_has_its_own_finding_and_remedy(tmp_path: Path, name: str) -> None:
    ill = ILLS[name]
    async with ward(tmp_path, *ill.faults) as bed:
        found = await bed.examined(ill.query, wrong=ill.keys, **ill.given)  # type: ignore[arg-type]
        assert grave(found) == {ill.code}
        assert ill.remedy in found[ill.code].remedy
        assert ill.also <= set(found)
        for one in found.values():
            assert not any(text in one.said + one.remedy for text in ill.keys.values()), "a secret was told"
        assert bed.meter.holder is None
        if ill.code == "counter_ahead":
            accepted = await bed.examined(accept_counter=True)
            assert not grave(accepted)


async def test_where_no_association_encrypts_alone_either_key_may_be_wrong(tmp_path: Path) -> None:
    async with ward(tmp_path, meter_type=load_meter_type("generic-dlms")) as bed:
        found = await bed.examined("?client=1", meter_type="generic-dlms", wrong={"authentication_key": WRONG_KEY})
        assert grave(found) == {"keys_wrong"}
        assert "both keys of today" in found["keys_wrong"].remedy
        assert "clock_right" in found


class Jailer(SimulatedMeter):
    """Counts how often somebody was not let in."""

    refusals = 0

    def on_wire(self, apdu: bytes) -> bytes | None:
        if apdu[:1] == b"\x61" and acse.decode_aare(apdu).result != acse.ACCEPTED:
            type(self).refusals += 1
        return apdu


async def test_what_is_wrong_is_tried_once_so_that_no_meter_locks_itself(tmp_path: Path) -> None:
    for keys, left in (
        ({"lls_secret": "not-the-password"}, "in home display (96)"),
        ({"authentication_key": WRONG_KEY}, "utility setting (48), firmware upgrade (80)"),
    ):
        Jailer.refusals = 0
        async with ward(tmp_path, make=Jailer) as bed:
            found = await bed.examined(wrong=keys)
        assert Jailer.refusals == 1
        assert left in found["not_tried"].said


class Forgetful(SimulatedMeter):
    """Does not say what its block load captures."""

    def capture_objects(self) -> list[CaptureObject]:
        return []


async def test_what_fails_is_told_and_all_else_is_checked(tmp_path: Path) -> None:
    async with ward(tmp_path, make=Forgetful) as bed:
        found = await bed.examined()
        assert found["unread"].verdict is Verdict.UNKNOWN
        assert RIGHT - {"push_right", "deep", "no_gaps", "type_right"} <= set(found)
        assert bed.meter.holder is None


class Dying(SimulatedMeter):
    """Hangs up on everybody after so many answers."""

    left = 45

    def on_wire(self, apdu: bytes) -> bytes | None:
        self.left -= 1
        return apdu if self.left > 0 else None


async def test_a_link_that_breaks_for_good_is_told_once_and_no_key_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headend.reading.lasting.PATIENCE", 2)
    async with ward(tmp_path, make=Dying) as bed:
        found = await bed.examined()
        assert grave(found) == {"link_broke"}
        assert {"identity", "clock_right", "objects_right"} <= set(found)
        assert "the link is given up" in found["unread"].said
        assert "the link is broken" in found["not_tried"].said


async def test_a_profile_that_the_type_does_not_know_is_in_the_type_that_is_saved(tmp_path: Path) -> None:
    blocks, file = METER_TYPE.profiles["block_load"], tmp_path / "more.toml"
    more = replace(blocks, name="more", obis=Obis(1, 0, 99, 7, 0), selective_access="entry")
    known = replace(METER_TYPE, profiles={**METER_TYPE.profiles, "more": more})
    async with ward(tmp_path, meter_type=known) as bed:
        found = await bed.examined(save_type=file)
        columns = list(bed.meter.capture_objects())
        assert not grave(found)
        assert "1.0.99.7.0" in found["profiles_more"].said
        saved = load_meter_type(file)
        unknown = saved.profiles["profile_1_0_99_7_0"]
        assert (unknown.obis, unknown.selective_access) == (more.obis, "entry")
        assert len(unknown.capture_objects) == len(blocks.capture_objects)
        assert list(saved.profiles["block_load"].capture_objects) == columns
        volts = next(one for one in saved.profiles["block_load"].columns if one.captured.obis == Obis(1, 0, 12, 27, 0))
        assert (volts.scaler, volts.unit) == (-2, 35)
        again = await bed.examined(meter_type=str(file))
        assert not grave(again)
        assert "columns_right" in again


@asynccontextmanager
async def gate(bed: Ward, passes: bytes) -> AsyncIterator[int]:
    """A port that leads to the meter for who begins with this octet; to all others nothing is said."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first != passes:
            await reader.read()
            writer.close()
            return
        inside, out = await asyncio.open_connection(bed.meter.identity.host, bed.server.port)
        out.write(first)
        await asyncio.gather(pour(reader, out), pour(inside, writer))

    async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while octets := await source.read(4096):
            sink.write(octets)
        sink.close()

    server = await asyncio.start_server(lead, bed.meter.identity.host)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("asked", "passes", "code", "remedy"),
    [
        ("tcp", b"\x7e", "other_framing", "hdlc+tcp://"),
        ("hdlc+tcp", b"\x00", "other_framing", "as tcp://"),
        ("tcp", b"-", "silent", "timeout=60"),
    ],
)
async def test_a_meter_that_speaks_otherwise_or_not_at_all_is_told_apart(
    tmp_path: Path, asked: str, passes: bytes, code: str, remedy: str
) -> None:
    async with ward(tmp_path) as bed, gate(bed, passes) as port:
        found = await bed.examined("?timeout=0.5", port, scheme=asked)
        assert set(found) == {code}
        assert remedy in found[code].remedy
