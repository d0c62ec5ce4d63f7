"""The simulated meters over real sockets, asked with APDUs put together by hand from the codecs."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import Conformance
from drivers.dlms.security import Key, Secret
from drivers.dlms.wrapper import Unwrapper, wrap
from profiles.loader import load_meter_type
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef, CaptureObject, MethodRef, Obis
from simulators.expect import channel_of, write_expected
from simulators.fleet import Fleet
from simulators.meter import SimulatedMeter, simulated_meters
from simulators.registers import registers_of
from simulators.server import MeterServer

NOW = datetime(2026, 1, 3, 6, 7, 30, tzinfo=UTC)
COMMISSIONED = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
STORED_ROWS = 238
"""Whole quarters from commissioning to 06:00 UTC, two days and eleven and a half hours later."""
CLIENT_TITLE = b"HES\x00\x00\x00\x00\x01"

CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
SERIAL = AttributeRef(1, Obis(0, 0, 96, 1, 0), 2)
DEVICE_ID = AttributeRef(1, Obis(0, 0, 96, 1, 2), 2)
COUNTER_MR = AttributeRef(1, Obis(0, 0, 43, 1, 2), 2)
BLOCK_LOAD = AttributeRef(7, Obis(1, 0, 99, 1, 0), 2)
SCALERS = AttributeRef(7, Obis(1, 0, 94, 91, 4), 2)
NAMEPLATE = AttributeRef(7, Obis(0, 0, 94, 91, 10), 2)
REPLY_TO_HLS = MethodRef(15, Obis(0, 0, 40, 0, 0), 1)

METER_TYPE = load_meter_type("is15959-1ph")


def with_mechanism(mechanism: int) -> MeterType:
    """The meter type with this HLS mechanism in its utility setting association."""
    utility = replace(METER_TYPE.associations["utility_setting"], mechanism=mechanism)
    return replace(METER_TYPE, associations={**METER_TYPE.associations, "utility_setting": utility})


@asynccontextmanager
async def serving(
    meters: int = 2,
    meter_type: MeterType = METER_TYPE,
    make: Callable[..., SimulatedMeter] = SimulatedMeter,
    idle_s: float = 60.0,
) -> AsyncIterator[MeterServer]:
    fleet = Fleet(11, meters, {"Bhopal city": 1}, COMMISSIONED)
    server = MeterServer(simulated_meters(fleet, meter_type, lambda: NOW, make), idle_s=idle_s)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class Client:
    """A client that can be made to do anything wrong; waits at most five seconds for anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meter: SimulatedMeter) -> None:
        self.reader, self.writer, self.meter = reader, writer, meter
        self.keys = meter.keys
        self.counter = itertools.count(1)
        self.association: Association = meter.meter_type.associations["public"]
        self.control = 0
        self.sent = b""
        self.meter_counter = 0
        self._frames = Unwrapper()

    @classmethod
    @asynccontextmanager
    async def to(cls, server: MeterServer, index: int = 0) -> AsyncIterator[Client]:
        host = list(server.meters)[index]
        reader, writer = await asyncio.open_connection(host, server.port)
        try:
            yield cls(reader, writer, server.meters[host])
        finally:
            writer.close()

    async def raw(self, octets: bytes) -> bytes:
        """Send an APDU; the answer, or b"" where the meter closed the connection."""
        self.writer.write(wrap(self.association.client_sap, 1, octets))
        return await self.receive()

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            while (frame := self._frames.next()) is None:
                try:
                    data = await self.reader.read(65_536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return b""
                self._frames.feed(data)
        assert (frame.source, frame.destination) == (1, self.association.client_sap)
        return frame.apdu

    async def ask(self, plain: bytes) -> bytes:
        """Send a service APDU, protected as the association wants it; the plain answer."""
        self.sent = self.protect(plain)
        return self.opened(await self.raw(self.sent))

    def protect(self, plain: bytes, counter: int | None = None) -> bytes:
        if not self.control:
            return plain
        number = next(self.counter) if counter is None else counter
        keys = self.keys
        return security.glo_wrap(
            plain, security.protect(self.control, keys.encryption, keys.authentication, CLIENT_TITLE, number, plain)
        )

    def opened(self, answer: bytes) -> bytes:
        """The plain answer; its counter has to be above the last one."""
        if not security.is_glo(answer):
            return answer
        keys, title = self.keys, self.meter.identity.system_title
        _, protected = security.glo_unwrap(answer)
        plain = security.unprotect(
            self.association.security_control,
            keys.encryption,
            keys.authentication,
            title,
            protected,
            self.meter_counter,
        )
        self.meter_counter = plain.counter
        return plain.plain

    def aarq(self, name: str, value: Secret | bytes | None = None, max_pdu: int = 0, **changed: Any) -> bytes:
        self.association = replace(self.meter.meter_type.associations[name], **changed)
        self.control = self.association.security_control
        conformance = Conformance.GET | Conformance.SELECTIVE_ACCESS | Conformance.BLOCK_TRANSFER_WITH_GET
        initiate = apdu.InitiateRequest(conformance=int(conformance | Conformance.ACTION), max_pdu=max_pdu).encode()
        self.sent = acse.encode_aarq(
            ciphered=self.association.ciphered,
            mechanism=self.association.mechanism,
            client_title=CLIENT_TITLE if self.association.ciphered else None,
            authentication_value=value,
            user_information=self.protect(initiate),
        )
        return self.sent

    async def associate(
        self, name: str, value: Secret | bytes | None = None, max_pdu: int = 0, **changed: Any
    ) -> acse.Aare:
        return acse.decode_aare(await self.raw(self.aarq(name, value, max_pdu, **changed)))

    async def read_as_meter_reader(self, max_pdu: int = 0) -> None:
        aare = await self.associate("meter_reader", self.keys.lls, max_pdu)
        assert (aare.result, aare.diagnostic) == (0, 0)
        agreed = apdu.decode(self.opened(aare.user_information or b""))
        assert isinstance(agreed, apdu.InitiateResponse)
        assert agreed.conformance & Conformance.SELECTIVE_ACCESS

    async def get(self, attribute: AttributeRef, selection: bytes | None = None) -> tuple[Any, list[int]]:
        """The value, and how many octets of it came in each APDU."""
        answer = apdu.decode(await self.ask(apdu.GetRequestNormal(0xC1, attribute, selection).encode()))
        pieces: list[bytes] = []
        while isinstance(answer, apdu.GetResponseBlock):
            assert answer.block == len(pieces) + 1
            assert answer.data
            pieces.append(answer.data)
            if answer.last:
                return axdr.decode(b"".join(pieces)), [len(piece) for piece in pieces]
            answer = apdu.decode(await self.ask(apdu.GetRequestNext(0xC1, answer.block).encode()))
        assert isinstance(answer, apdu.GetResponseNormal)
        assert answer.data is not None, f"data-access-result {answer.error}"
        return axdr.decode(answer.data), [len(answer.data)]

    async def error(self, attribute: AttributeRef, selection: bytes | None = None) -> int | None:
        """The data-access-result of a GET that has to fail."""
        answer = apdu.decode(await self.ask(apdu.GetRequestNormal(0xC1, attribute, selection).encode()))
        assert isinstance(answer, apdu.GetResponseNormal)
        return answer.error


def stamps(first: str, last: str) -> bytes:
    return apdu.range_selection(CaptureObject(*CLOCK), bytes.fromhex(first), bytes.fromhex(last))


# --- public association ---------------------------------------------------------------------------------------


async def test_the_public_client_reads_clock_serial_and_counter_and_nothing_else() -> None:
    async with serving() as server, Client.to(server) as client:
        aare = await client.associate("public")
        assert (aare.result, aare.ciphered) == (0, False)
        clock, _ = await client.get(CLOCK)
        assert clock == bytes.fromhex("07ea0103060b251eff800000")  # Saturday 2026-01-03 11:37:30 in India
        assert (await client.get(SERIAL))[0] == "SMA24000000"
        assert (await client.get(COUNTER_MR))[0] == 0
        assert await client.error(BLOCK_LOAD) == 3
        assert await client.error(NAMEPLATE) == 3
        assert await client.error(DEVICE_ID) == 3
        assert await client.error(AttributeRef(1, Obis(1, 2, 3, 4, 5), 2)) == 4
        assert await client.error(AttributeRef(3, SERIAL.obis, 2)) == 9


async def test_the_public_counter_is_the_last_one_the_meter_took() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        await client.get(CLOCK)
        assert await client.raw(acse.encode_rlrq()) == acse.encode_rlre()
        await client.associate("public")
        assert (await client.get(COUNTER_MR))[0] == 2


async def test_the_association_lists_what_it_may_read() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.associate("public")
        listed, _ = await client.get(AttributeRef(15, Obis(0, 0, 40, 0, 0), 2))
        names = {Obis.of(entry[2]) for entry in listed}
        assert CLOCK.obis in names
        assert BLOCK_LOAD.obis not in names


# --- block load -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1])
async def test_the_whole_buffer_comes_in_blocks_and_says_what_is_expected(index: int) -> None:
    fleet = Fleet(11, 2, {"Bhopal city": 1}, COMMISSIONED)
    async with serving() as server, Client.to(server, index) as client:
        await client.read_as_meter_reader()
        rows, pieces = await client.get(BLOCK_LOAD)
        columns, _ = await client.get(replace_attribute(BLOCK_LOAD, 3))
        scaler_columns, _ = await client.get(replace_attribute(SCALERS, 3))
        (scalers,), _ = await client.get(SCALERS)
    limit = fleet.identity(index).maker.max_pdu
    assert len(pieces) > 5
    assert all(limit - 40 < size <= limit - 33 for size in pieces[:-1])
    assert len(rows) == STORED_ROWS

    stream = io.StringIO()
    write_expected(stream, fleet, COMMISSIONED, datetime(2026, 1, 3, 6, 0, tzinfo=UTC))
    expected = [row for row in csv.reader(io.StringIO(stream.getvalue())) if row[0] == fleet.identity(index).serial]
    by_obis = {entry[1]: 10.0 ** (pair[0] + 3) for entry, pair in zip(scaler_columns, scalers, strict=True)}
    columns_of = registers_of(METER_TYPE, METER_TYPE.profiles["block_load"], fleet.identity(index).maker)
    channels = {bytes(column.captured.obis): channel_of(column) for column in columns_of}
    header = stream.getvalue().splitlines()[0].split(",")
    for row, answer in zip(rows, expected, strict=True):
        for entry, value in zip(columns[1:], row[1:], strict=True):
            stored = answer[header.index(channels[entry[1]])]
            assert round(value * by_obis.get(entry[1], 1)) == int(stored), channels[entry[1]]


def replace_attribute(of: AttributeRef, attribute: int) -> AttributeRef:
    return of._replace(attribute=attribute)


async def test_a_range_holds_both_of_its_bounds() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        rows, _ = await client.get(BLOCK_LOAD, stamps("07ea010204171e00ff800000", "07ea0103ff000f00ff800000"))
        assert [row[0].hex() for row in rows] == [
            "07ea010205171e00ff800000",
            "07ea010205172d00ff800000",
            "07ea010306000000ff800000",  # midnight: the next day's
            "07ea010306000f00ff800000",
        ]


async def test_a_range_past_either_end_of_the_buffer_holds_what_there_is() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        rows, _ = await client.get(BLOCK_LOAD, stamps("07d0010101000000ff800000", "083301010100000000800000"))
        assert len(rows) == STORED_ROWS
        assert rows[0][0].hex() == "07ea010104000f00ff800000"
        assert rows[-1][0].hex() == "07ea0103060b1e00ff800000"
        assert (await client.get(BLOCK_LOAD, stamps("07ea0103ff0b1f00ff800000", "083301010100000000800000")))[0] == []
        assert (await client.get(BLOCK_LOAD, stamps("07ea0103ff000000ff800000", "07ea0102ff000000ff800000")))[0] == []


async def test_other_selections_are_refused_and_the_association_goes_on() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        assert await client.error(BLOCK_LOAD, apdu.entry_selection(0, 5)) == 13
        assert await client.error(NAMEPLATE, stamps("07ea010204171e00ff800000", "07ea0103ff000f00ff800000")) == 13
        assert await client.error(BLOCK_LOAD, stamps("07ea0d0104000f00ff800000", "07ea0103ff000f00ff800000")) == 12
        assert (await client.get(replace_attribute(BLOCK_LOAD, 7)))[0] == STORED_ROWS
        assert (await client.get(replace_attribute(BLOCK_LOAD, 8)))[0] == 35 * 96
        assert (await client.get(replace_attribute(BLOCK_LOAD, 4)))[0] == 900
        assert (await client.get(AttributeRef(1, Obis(1, 0, 0, 8, 4), 2)))[0] == 900


async def test_the_nameplate_names_the_meter() -> None:
    async with serving() as server, Client.to(server, 1) as client:
        await client.read_as_meter_reader()
        (row,), _ = await client.get(NAMEPLATE)
        assert row[:3] == ("NRB24000001", "NRB-24000001", "Narmada Electric")


async def test_no_answer_is_larger_than_the_client_takes() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader(max_pdu=200)
        _, pieces = await client.get(BLOCK_LOAD)
        assert max(pieces) == 200 - 33
        answer = await client.raw(client.protect(apdu.GetRequestNormal(0xC1, BLOCK_LOAD).encode()))
        assert 190 <= len(answer) <= 200


async def test_a_wrong_block_number_ends_the_transfer() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        first = apdu.decode(await client.ask(apdu.GetRequestNormal(0xC1, BLOCK_LOAD).encode()))
        assert isinstance(first, apdu.GetResponseBlock)
        refused = apdu.decode(await client.ask(apdu.GetRequestNext(0xC1, 2).encode()))
        assert refused == apdu.GetResponseBlock(0xC1, True, 2, None, 19)
        over = apdu.decode(await client.ask(apdu.GetRequestNext(0xC1, 1).encode()))
        assert over == apdu.GetResponseBlock(0xC1, True, 1, None, 16)
        assert (await client.get(SERIAL))[0] == "SMA24000000"


async def test_the_buffer_is_no_deeper_than_the_meter() -> None:
    shallow = replace(METER_TYPE.profiles["block_load"], depth_days=1)
    meter_type = replace(METER_TYPE, profiles={**METER_TYPE.profiles, "block_load": shallow})
    async with serving(meter_type=meter_type) as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        rows, _ = await client.get(BLOCK_LOAD)
        assert len(rows) == 96
        assert rows[0][0].hex() == "07ea0102050b2d00ff800000"


# --- HLS ------------------------------------------------------------------------------------------------------


async def hls(client: Client, mechanism: int, *, secret: Secret | None = None, key: Key | None = None) -> bytes:
    """Passes 1 to 3; the plain answer to pass 3. The meter's proof is checked where it gives one."""
    challenge, keys = b"sixteen octets!!", client.keys
    aare = await client.associate("utility_setting", challenge)
    assert (aare.result, aare.diagnostic, aare.mechanism) == (0, 14, mechanism)
    assert aare.challenge is not None
    assert len(aare.challenge) == 16
    client.opened(aare.user_information or b"")
    if mechanism == 2:
        proof = security.hls2(secret or keys.hls, aare.challenge)
    else:
        number = next(client.counter)
        proof = security.gmac(0x10, key or keys.encryption, keys.authentication, CLIENT_TITLE, number, aare.challenge)
    answer = await client.ask(apdu.ActionRequestNormal(0xC1, REPLY_TO_HLS, axdr.octet_string(proof)).encode())
    response = apdu.decode(answer)
    if isinstance(response, apdu.ActionResponseNormal) and response.result == 0:
        returned = axdr.decode(response.data or b"")
        assert isinstance(returned, bytes)
        if mechanism == 2:
            security.check_hls2(keys.hls, challenge, returned)
        else:
            title = client.meter.identity.system_title
            security.check_gmac(
                keys.encryption, keys.authentication, title, challenge, returned, client.meter_counter - 2
            )
    return answer


@pytest.mark.parametrize("mechanism", [2, 5])
async def test_hls_opens_the_association_for_who_holds_the_secret(mechanism: int) -> None:
    async with serving(meter_type=with_mechanism(mechanism)) as server, Client.to(server) as client:
        response = apdu.decode(await hls(client, mechanism))
        assert isinstance(response, apdu.ActionResponseNormal)
        assert response.result == 0
        rows, _ = await client.get(BLOCK_LOAD, stamps("07ea0103ff000000ff800000", "07ea0103ff000000ff800000"))
        assert len(rows) == 1
        assert server.repeats == 0


@pytest.mark.parametrize("mechanism", [2, 5])
async def test_a_wrong_hls_proof_is_denied_and_ends_the_association(mechanism: int) -> None:
    async with serving(meter_type=with_mechanism(mechanism)) as server, Client.to(server) as client:
        answer = await hls(client, mechanism, secret=Secret(b"not the secret!!"), key=Key(bytes(16)))
        assert apdu.decode(answer) == apdu.ActionResponseNormal(0xC1, 3)
        assert apdu.decode(await client.ask(apdu.GetRequestNormal(0xC1, CLOCK).encode())) == NOT_ALLOWED


NOT_ALLOWED = apdu.ExceptionResponse(1, 1)


async def test_nothing_is_served_between_the_passes_of_an_hls() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.associate("utility_setting", b"sixteen octets!!")
        assert apdu.decode(await client.ask(apdu.GetRequestNormal(0xC1, CLOCK).encode())) == NOT_ALLOWED


async def test_a_gmac_proof_that_repeats_the_counter_of_the_request_is_noticed() -> None:
    async with serving(meter_type=with_mechanism(5)) as server, Client.to(server) as client:
        aare = await client.associate("utility_setting", b"sixteen octets!!")
        keys = client.keys
        proof = security.gmac(0x10, keys.encryption, keys.authentication, CLIENT_TITLE, 2, aare.challenge or b"")
        await client.ask(apdu.ActionRequestNormal(0xC1, REPLY_TO_HLS, axdr.octet_string(proof)).encode())
        assert client.meter.record.examples == [(CLIENT_TITLE, 2)]
        assert server.repeats == 1


# --- refusals -------------------------------------------------------------------------------------------------


async def test_a_wrong_password_is_named_as_such() -> None:
    async with serving() as server, Client.to(server) as client:
        aare = await client.associate("meter_reader", Secret(b"12345678"))
        assert (aare.result, aare.diagnostic_source, aare.diagnostic) == (1, 1, 13)
        assert (await client.associate("meter_reader", client.keys.lls)).result == 0


async def test_a_wrong_key_is_refused_with_a_deciphering_error() -> None:
    async with serving() as server, Client.to(server) as client:
        client.keys = replace(client.keys, encryption=Key(bytes(16)))
        aare = await client.associate("meter_reader", client.keys.lls)
        assert (aare.result, aare.diagnostic) == (1, 1)
        assert apdu.decode(aare.user_information or b"") == apdu.ConfirmedServiceError(1, 0, 6)


@pytest.mark.parametrize(
    ("changed", "diagnostic"),
    [
        ({"security_control": 0}, 2),
        ({"mechanism": 2}, 11),
        ({"mechanism": 0}, 12),
        ({"security_control": 0x10}, 1),
        ({"security_control": 0x20}, 1),
        ({"client_sap": 99}, 1),
    ],
)
async def test_an_association_other_than_the_meters_is_refused_by_its_diagnostic(
    changed: dict[str, int], diagnostic: int
) -> None:
    async with serving() as server, Client.to(server) as client:
        value = {0: None, 1: client.keys.lls, 2: b"sixteen octets!!"}[changed.get("mechanism", 1)]
        aare = await client.associate("meter_reader", value, **changed)
        assert (aare.result, aare.diagnostic) == (1, diagnostic)


@pytest.mark.parametrize(
    ("initiate", "because"),
    [
        (apdu.InitiateRequest(0x10, 0, dlms_version=5).encode(), (6, 1)),
        (apdu.InitiateRequest(int(Conformance.SET | Conformance.READ), 0).encode(), (6, 2)),
        (apdu.InitiateRequest(0x10, 63).encode(), (6, 3)),
        (apdu.InitiateRequest(0x10, 0, bytes(5)).encode(), (6, 0)),
        (apdu.InitiateResponse(0x10, 1024).encode(), (6, 0)),
    ],
)
async def test_an_initiate_request_that_does_not_suit_is_refused_by_what_is_wrong_with_it(
    initiate: bytes, because: tuple[int, int]
) -> None:
    async with serving() as server, Client.to(server) as client:
        client.aarq("meter_reader", client.keys.lls)
        protected = client.protect(initiate)
        whole = client.aarq("meter_reader", client.keys.lls)
        refused = acse.decode_aare(await client.raw(with_user_information(whole, protected)))
        assert (refused.result, refused.diagnostic) == (1, 1)
        assert apdu.decode(refused.user_information or b"") == apdu.ConfirmedServiceError(1, *because)
    async with serving() as server, Client.to(server) as client:
        refused = acse.decode_aare(await client.raw(with_user_information(client.aarq("public"), initiate)))
        assert apdu.decode(refused.user_information or b"") == apdu.ConfirmedServiceError(1, *because)


def with_user_information(aarq: bytes, information: bytes) -> bytes:
    """The AARQ with other user information; both lengths are of one octet."""
    fields = aarq[2 : aarq.index(b"\xbe")] + bytes([0xBE, len(information) + 2, 0x04, len(information)]) + information
    return bytes([0x60, len(fields)]) + fields


@pytest.mark.parametrize("mechanism", [2, 5])
async def test_a_challenge_of_a_length_that_none_has_is_refused(mechanism: int) -> None:
    async with serving(meter_type=with_mechanism(mechanism)) as server, Client.to(server) as client:
        for challenge in (b"7 octet", bytes(65)):
            aare = await client.associate("utility_setting", challenge)
            assert (aare.result, aare.diagnostic) == (1, 13)


@pytest.mark.parametrize("control", [0x00, 0x10, 0x20])
async def test_a_request_below_the_policy_is_refused(control: int) -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        client.control = control
        answer = apdu.decode(await client.ask(apdu.GetRequestNormal(0xC1, CLOCK).encode()))
        assert answer == apdu.ExceptionResponse(1, 5)
        client.control = 0x30
        assert (await client.get(SERIAL))[0] == "SMA24000000"


async def test_an_altered_request_is_refused() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        altered = bytearray(client.protect(apdu.GetRequestNormal(0xC1, CLOCK).encode()))
        altered[12] ^= 1
        assert apdu.decode(await client.raw(bytes(altered))) == apdu.ExceptionResponse(1, 5)


async def test_a_replayed_request_closes_the_connection_and_is_reported() -> None:
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        await client.get(CLOCK)
        assert await client.raw(client.sent) == b""
        assert server.repeats == 1


async def test_a_replayed_association_closes_the_connection() -> None:
    async with serving() as server:
        async with Client.to(server) as client:
            await client.read_as_meter_reader()
            recorded = client.sent
        await until(lambda: len(server.links) == 0)
        async with Client.to(server) as client:
            client.association = METER_TYPE.associations["meter_reader"]
            assert await client.raw(recorded) == b""
            assert server.repeats == 1


async def test_a_repeat_in_refused_traffic_is_noticed() -> None:
    async with serving() as server, Client.to(server) as client:
        client.keys = replace(client.keys, encryption=Key(bytes(16)))
        for _ in range(2):
            client.counter = itertools.count(7)
            assert (await client.associate("meter_reader", client.keys.lls)).result == 1
        assert client.meter.record.examples == [(CLIENT_TITLE, 7)]


async def test_a_counter_below_the_last_one_is_refused_under_any_association() -> None:
    async with serving() as server:
        async with Client.to(server) as client:
            client.counter = itertools.count(500)
            await client.read_as_meter_reader()
        await until(lambda: len(server.links) == 0)
        async with Client.to(server) as client:
            assert await client.raw(client.aarq("utility_setting", b"sixteen octets!!")) == b""
            assert server.repeats == 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait, at most five seconds, until the server's side agrees."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the other side, without an event
            await asyncio.sleep(0.005)


# --- one association at a time --------------------------------------------------------------------------------


async def test_a_second_association_waits_until_the_first_is_released() -> None:
    async with serving() as server, Client.to(server) as first, Client.to(server) as second:
        await first.read_as_meter_reader()
        refused = await second.associate("public")
        assert (refused.result, refused.diagnostic) == (2, 1)
        assert (await first.get(SERIAL))[0] == "SMA24000000"
        release = acse.decode_rlre(await first.raw(acse.encode_rlrq(0, first.protect(INITIATE))))
        assert isinstance(apdu.decode(first.opened(release.user_information or b"")), apdu.InitiateResponse)
        assert (await second.associate("public")).result == 0


INITIATE = apdu.InitiateRequest(conformance=0x10, max_pdu=0).encode()


async def test_a_second_association_waits_until_the_first_hangs_up() -> None:
    async with serving() as server, Client.to(server) as second:
        async with Client.to(server) as first:
            await first.read_as_meter_reader()
            assert (await second.associate("public")).result == 2
        await until(lambda: len(server.links) == 1)
        assert (await second.associate("public")).result == 0


async def test_an_idle_association_is_over_for_both() -> None:
    async with serving() as server, Client.to(server) as first, Client.to(server) as second:
        await first.read_as_meter_reader()
        for meter in server.meters.values():
            meter.monotonic = lambda: time.monotonic() + 121.0
        assert (await second.associate("public")).result == 0
        assert apdu.decode(await first.ask(apdu.GetRequestNormal(0xC1, CLOCK).encode())) == NOT_ALLOWED


async def test_release_without_an_association_is_not_allowed() -> None:
    async with serving() as server, Client.to(server) as client:
        assert apdu.decode(await client.raw(acse.encode_rlrq())) == NOT_ALLOWED


# --- bad input ------------------------------------------------------------------------------------------------


async def test_no_truncated_or_flipped_apdu_brings_the_meter_down() -> None:
    async with serving() as server, Client.to(server) as client:
        aarq = client.aarq("public")
        request = apdu.GetRequestNormal(0xC1, BLOCK_LOAD, stamps("07ea0103ff000000ff800000", "ff" * 12)).encode()
        for octets in (aarq, request):
            for cut in range(1, len(octets)):
                assert await client.raw(octets[:cut]) != b""
            for place in range(len(octets)):
                flipped = octets[:place] + bytes([octets[place] ^ 0xFF]) + octets[place + 1 :]
                assert await client.raw(flipped) != b""
    async with serving() as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        for octets in (request, b"\xc0\x03\xc1\x00", b"\xc1\x01\xc1\x00", b"\xc3\x01", b"\x00"):
            for cut in range(1, len(octets)):
                protected = security.protect(
                    0x30,
                    client.keys.encryption,
                    client.keys.authentication,
                    CLIENT_TITLE,
                    next(client.counter),
                    octets[:cut],
                )
                assert await client.raw(b"\xc8" + axdr.length(len(protected)) + protected) != b""
        assert (await client.get(SERIAL))[0] == "SMA24000000"


async def test_a_meter_can_be_made_to_misbehave() -> None:
    class Odd(SimulatedMeter):
        answers = 0

        def clock_octets(self) -> bytes:
            return b"\xff" * 12

        def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
            return [axdr.structure(axdr.uint8(1)), *super().rows(bounds)]

        def on_wire(self, answer: bytes) -> bytes | None:
            self.answers += 1
            return answer if self.answers < 5 else b""

    async with serving(make=Odd) as server, Client.to(server) as client:
        await client.read_as_meter_reader()
        assert (await client.get(CLOCK))[0] == b"\xff" * 12
        first = apdu.decode(await client.ask(apdu.GetRequestNormal(0xC1, BLOCK_LOAD).encode()))
        assert isinstance(first, apdu.GetResponseBlock)
        assert (first.data or b"")[3:].startswith(bytes.fromhex("02011101"))
        await client.ask(apdu.GetRequestNext(0xC1, 1).encode())
        client.writer.write(wrap(32, 1, client.protect(apdu.GetRequestNext(0xC1, 2).encode())))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.receive(), 0.1)
