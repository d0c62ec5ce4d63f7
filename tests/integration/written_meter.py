"""A meter written by hand, attribute by attribute, and our client of it; APDUs go between them without a socket.

`WrittenMeter({reference: octets, …})`, its profiles as `WrittenProfile`; `async with reader(meter, meter_type)`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.credentials import Credentials
from drivers.dlms import acse, apdu, axdr
from drivers.dlms.apdu import Conformance
from drivers.dlms.client import Client
from drivers.reading import Reader
from drivers.session import Session, session_on
from profiles.errors import LinkTimeout
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit

UNDEFINED, REFUSED = 4, 3
"""data-access-results."""
TITLE = b"WRI\x00\x00\x00\x00\x01"
PLAIN = Association("reader", 16, 0, 0x00, Obis(0, 0, 40, 0, 1), None, 65_535)
IST = ZoneInfo("Asia/Kolkata")

Row = Sequence[bytes]


def stamp(wall: str, *, second: int = 0, deviation: bytes = b"\x80\x00", status: int = 0) -> bytes:
    """A date-time in A-XDR of a wall time such as `2026-01-03 11:45`."""
    at = datetime.fromisoformat(wall)
    head = at.year.to_bytes(2, "big") + bytes((at.month, at.day, at.isoweekday(), at.hour, at.minute))
    return axdr.octet_string(head + bytes((second, 0xFF)) + deviation + bytes([status]))


def ist(wall: str) -> datetime:
    return datetime.fromisoformat(wall).replace(tzinfo=IST)


def captured(*texts: str) -> tuple[CaptureObject, ...]:
    """`3/1.0.12.27.0/2` and the like."""
    parts = [text.split("/") for text in texts]
    return tuple(CaptureObject(int(class_id), Obis.parse(obis), int(attribute)) for class_id, obis, attribute in parts)


@dataclass
class WrittenProfile:
    """One profile: its rows, oldest first, each a list of A-XDR cells; `between` is called after each request."""

    columns: tuple[CaptureObject, ...]
    rows: list[Row]
    period_s: int = 900
    first_excluded: bool = False
    careless: int = 0
    """How many rows before a range are given with it."""
    between: Callable[[], None] = lambda: None
    asked: list[apdu.RangeSelection | apdu.EntrySelection | None] = field(default_factory=list)

    def buffer(self, selection: bytes | None) -> bytes:
        asked = None if selection is None else apdu.decode_selection(selection)
        self.asked.append(asked)
        rows = list(self.rows)
        if isinstance(asked, apdu.EntrySelection):
            rows = rows[asked.first - 1 : asked.last or None]
        elif isinstance(asked, apdu.RangeSelection):
            first, last = _wall(asked.start), _wall(asked.end)
            inside = [
                place
                for place, row in enumerate(rows)
                if (first < _wall(row[0][2:]) or (first == _wall(row[0][2:]) and not self.first_excluded))
                and _wall(row[0][2:]) <= last
            ]
            rows = rows[max(inside[0] - self.careless, 0) : inside[-1] + 1] if inside else []
        self.between()
        return axdr.array([axdr.structure(*row) for row in rows])

    def ranges(self) -> list[tuple[str, str]]:
        """The bounds of the ranges that were asked for, as wall time."""
        return [(_text(one.start), _text(one.end)) for one in self.asked if isinstance(one, apdu.RangeSelection)]

    def entries(self) -> list[tuple[int, int]]:
        return [(one.first, one.last) for one in self.asked if isinstance(one, apdu.EntrySelection)]


def _wall(octets: bytes) -> tuple[int, ...]:
    """What orders date-times: all but the day of the week, the second FF being 0."""
    return (*octets[:4], *octets[5:7], octets[7] % 0xFF)


def _text(octets: bytes) -> str:
    return f"{int.from_bytes(octets[:2], 'big')}-{octets[2]:02}-{octets[3]:02} {octets[5]:02}:{octets[6]:02}"


def scaler_profile(scalers: dict[CaptureObject, ScalerUnit], attribute: int = 3) -> WrittenProfile:
    """One row, whose columns point at `attribute` of each object."""
    columns = tuple(CaptureObject(one.class_id, one.obis, attribute) for one in scalers)
    row = [axdr.structure(axdr.int8(one.scaler), axdr.enum(one.unit)) for one in scalers.values()]
    return WrittenProfile(columns, [row], 0)


@dataclass
class WrittenMeter:
    """`attributes` in A-XDR; `refused` are answered with read-write-denied, what is not there with object-undefined."""

    attributes: dict[AttributeRef, bytes] = field(default_factory=dict)
    profiles: dict[Obis, WrittenProfile] = field(default_factory=dict)
    refused: set[AttributeRef] = field(default_factory=set)
    conformance: Conformance = Conformance.GET | Conformance.SELECTIVE_ACCESS | Conformance.BLOCK_TRANSFER_WITH_GET
    max_pdu: int = 560
    answers: int | None = None
    """How many requests it answers before the link breaks; None: all."""
    asked: list[AttributeRef] = field(default_factory=list)
    largest: int = 0
    """Octets of the longest answer, over all its blocks."""
    _rest: bytes = b""
    _block: int = 0

    def answer(self, received: bytes) -> bytes:
        if received[0] == acse.AARQ:
            agreed = apdu.InitiateResponse(self.conformance, self.max_pdu).encode()
            return acse.encode_aare(result=0, diagnostic=0, system_title=TITLE, user_information=agreed)
        if received[0] == acse.RLRQ:
            return acse.encode_rlre()
        request = apdu.decode(received)
        if isinstance(request, apdu.GetRequestNext):
            return self._piece(request.invoke_id)
        assert isinstance(request, apdu.GetRequestNormal)
        self.asked.append(request.attribute)
        data = None if request.attribute in self.refused else self._data(request.attribute, request.selection)
        if data is None:
            error = REFUSED if request.attribute in self.refused else UNDEFINED
            return apdu.GetResponseNormal(request.invoke_id, None, error).encode()
        self.largest = max(self.largest, len(data))
        whole = apdu.GetResponseNormal(request.invoke_id, data, None).encode()
        if len(whole) <= self.max_pdu:
            return whole
        if Conformance.BLOCK_TRANSFER_WITH_GET not in self.conformance:
            return apdu.GetResponseNormal(request.invoke_id, None, 250).encode()
        self._rest, self._block = data, 0
        return self._piece(request.invoke_id)

    def _piece(self, invoke_id: int) -> bytes:
        size = self.max_pdu - 16
        piece, self._rest, self._block = self._rest[:size], self._rest[size:], self._block + 1
        return apdu.GetResponseBlock(invoke_id, not self._rest, self._block, piece).encode()

    def _data(self, wanted: AttributeRef, selection: bytes | None) -> bytes | None:
        profile = self.profiles.get(wanted.obis)
        if profile is None or wanted.class_id != 7:
            return self.attributes.get(wanted)
        match wanted.attribute:
            case 2:
                return profile.buffer(selection)
            case 3:
                return axdr.array(
                    [
                        axdr.structure(
                            axdr.uint16(one.class_id),
                            axdr.octet_string(bytes(one.obis)),
                            axdr.int8(one.attribute),
                            axdr.uint16(one.data_index),
                        )
                        for one in profile.columns
                    ]
                )
            case 4:
                return axdr.uint32(profile.period_s)
            case 7:
                return axdr.uint32(len(profile.rows))
        return None


class WrittenLink:
    """Hands APDUs to the meter; after as many answers as it gives, nothing comes."""

    client, server, timeout_s = 16, 1, 1.0

    def __init__(self, meter: WrittenMeter) -> None:
        self._meter = meter
        self._waiting: list[bytes] = []

    async def send(self, apdu: bytes) -> None:
        self._waiting.append(self._meter.answer(apdu))

    async def receive(self) -> bytes:
        if self._meter.answers is not None:
            if self._meter.answers == 0:
                raise LinkTimeout("nothing came")
            self._meter.answers -= 1
        return self._waiting.pop(0)

    async def close(self) -> None:
        self._waiting.clear()


@asynccontextmanager
async def session_with(meter: WrittenMeter, kind: Association = PLAIN) -> AsyncIterator[Session]:
    async with session_on(WrittenLink(meter), Client(kind, Credentials())) as session:
        yield session


@asynccontextmanager
async def reader(
    meter: WrittenMeter, meter_type: MeterType, now: datetime, max_pdu: int = 65_535
) -> AsyncIterator[Reader]:
    async with session_with(meter, replace(PLAIN, max_pdu=max_pdu)) as session:
        yield Reader(session, meter_type, clock=lambda: now)
