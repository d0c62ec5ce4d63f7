"""What other implementations' clients do at a simulated meter of ours, step by step, and what must come of each.

A step is a list as the programs beside this one take it: what to do, and the class, logical name and number that it is
done with. An answer is A-XDR in hex, a result that is no success as {"error": result}, or a list of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drivers.cosem.object_list import ListedObject, decode_object_list
from drivers.dlms import apdu, axdr
from drivers.session import Session
from profiles.objects import AttributeRef, MethodRef, Obis

Step = list[Any]
Expected = Any
TourStep = tuple[Step, Expected]

SERIAL: Step = [1, "0.0.96.1.0.255", 2]
CLOCK: Step = [8, "0.0.1.0.0.255", 2]
DEMAND_PERIOD: Step = [1, "1.0.0.8.0.255", 2]
MESSAGE: Step = [1, "0.0.96.13.0.255", 2]
NO_SUCH: Step = [1, "1.2.3.4.5.255", 2]
STATE: Step = [70, "0.0.96.3.10.255", 3]
DISCONNECT: Step = [70, "0.0.96.3.10.255", 1]
RECONNECT: Step = [70, "0.0.96.3.10.255", 2]
NO_METHOD: Step = [70, "0.0.96.3.10.255", 3]
BLOCK_LOAD = "1.0.99.1.0.255"
BY_ENTRY = "1.0.99.1.1.255"
"""The same rows, for who asks by entry."""
EVENTS: Step = [7, "0.0.99.98.2.255", 4]
ADD_USER: Step = [15, "0.0.40.0.0.255", 5]

LONG = bytes(range(256)) * 6
"""More than any meter takes in one piece."""
NOTHING = axdr.int8(0).hex()
"""The parameter of a method that needs none."""
ALL_EVENTS = apdu.entry_selection(1)[1:]
READ_WRITE_DENIED, OBJECT_UNDEFINED = {"error": 3}, {"error": 4}


@dataclass(frozen=True)
class Found:
    """What the meter holds before the tour, as our own client reads it: octets."""

    serial: bytes
    clock: bytes
    demand_period: bytes
    columns: bytes
    period: bytes
    buffer: bytes
    events: bytes
    objects: tuple[ListedObject, ...]

    @property
    def rows(self) -> list[bytes]:
        """Of the block load."""
        return elements(self.buffer)

    def stamp(self, number: int) -> str:
        """Of one of these rows, as a bound of a range."""
        return elements(self.rows[number])[0][2:].hex()


async def find(session: Session) -> Found:
    """Read it; in an association that may do everything."""

    async def get(class_id: int, obis: str, attribute: int) -> bytes:
        return await session.get(AttributeRef(class_id, Obis.parse(obis), attribute))

    class_id, obis, method = EVENTS
    return Found(
        serial=await get(*SERIAL),
        clock=await get(*CLOCK),
        demand_period=await get(*DEMAND_PERIOD),
        columns=await get(7, BLOCK_LOAD, 3),
        period=await get(7, BLOCK_LOAD, 4),
        buffer=await get(7, BLOCK_LOAD, 2),
        events=await session.action(MethodRef(class_id, Obis.parse(obis), method), ALL_EVENTS) or b"",
        objects=decode_object_list(await get(15, "0.0.40.0.0.255", 2)),
    )


def reading(found: Found) -> list[TourStep]:
    """GET: alone, in blocks, with a list."""
    serial = found.serial.hex()
    return [
        (["get", *SERIAL], serial),
        (["get", *NO_SUCH], OBJECT_UNDEFINED),
        (["get", *CLOCK], found.clock.hex()),
        (["get", 7, BLOCK_LOAD, 3], found.columns.hex()),
        (["get", 7, BLOCK_LOAD, 2], found.buffer.hex()),
        (["get_list", [SERIAL, NO_SUCH, DEMAND_PERIOD]], [serial, OBJECT_UNDEFINED, found.demand_period.hex()]),
    ]


def reading_a_long_list(found: Found) -> list[TourStep]:
    """GET with a list that comes in blocks."""
    values = found.serial, found.buffer, found.period
    return [(["get_list", [SERIAL, [7, BLOCK_LOAD, 2], [7, BLOCK_LOAD, 4]]], [one.hex() for one in values])]


def selecting(found: Found) -> list[TourStep]:
    """Selective access: by range of the clock, by entry, and some columns alone."""
    rows, bounds = found.rows, (found.stamp(-21), found.stamp(-1))
    some = [column_of(found, number) for number in (0, 3)]
    return [
        (["range", BLOCK_LOAD, *bounds, []], axdr.array(rows[-21:]).hex()),
        (["range", BLOCK_LOAD, *bounds, some], axdr.array([cells(row, [0, 3]) for row in rows[-21:]]).hex()),
        (["entries", BY_ENTRY, 5, 14, 1, 0], axdr.array(rows[4:14]).hex()),
        (["entries", BY_ENTRY, 5, 14, 1, 3], axdr.array([cells(row, [0, 1, 2]) for row in rows[4:14]]).hex()),
    ]


def selecting_columns(found: Found) -> list[TourStep]:
    """By entry, columns that are not the first ones."""
    rows = [cells(row, [1, 2, 3]) for row in found.rows[4:14]]
    return [(["entries", BY_ENTRY, 5, 14, 2, 4], axdr.array(rows).hex())]


def writing(found: Found) -> list[TourStep]:
    """SET: alone, in blocks, and what may not be written. The clock of the simulated meters stands still."""
    later = (found.clock[:9] + bytes([found.clock[9] ^ 1]) + found.clock[10:]).hex()  # a second off
    long = axdr.octet_string(LONG).hex()
    return [
        (["set", *DEMAND_PERIOD, axdr.uint16(900).hex()], None),
        (["get", *DEMAND_PERIOD], axdr.uint16(900).hex()),
        (["set", *SERIAL, axdr.visible_string("other").hex()], READ_WRITE_DENIED),
        (["set", *MESSAGE, long], None),
        (["get", *MESSAGE], long),
        (["set", *CLOCK, later], None),
        (["get", *CLOCK], later),
    ]


def writing_lists() -> list[TourStep]:
    """SET with a list, in one piece and in blocks."""
    short = [[*DEMAND_PERIOD, axdr.uint16(600).hex()], [*SERIAL, axdr.null().hex()]]
    long = axdr.octet_string(LONG[::-1]).hex()
    return [
        (["set_list", short], [0, 3]),
        (["set_list", [*short, [*MESSAGE, long]]], [0, 3, 0]),
        (["get", *MESSAGE], long),
    ]


def calling(found: Found) -> list[TourStep]:
    """ACTION: with effect, with data in return, with what may not be called; a reset at the end of it."""
    return [
        (["call", *DISCONNECT, NOTHING], None),
        (["get", *STATE], axdr.enum(0).hex()),
        (["call", *RECONNECT, NOTHING], None),
        (["get", *STATE], axdr.enum(1).hex()),
        (["call", *NO_METHOD, NOTHING], READ_WRITE_DENIED),
        (["call", *EVENTS, ALL_EVENTS.hex()], found.events.hex()),
        (["call", 7, BLOCK_LOAD, 1, NOTHING], None),
        (["get", 7, BLOCK_LOAD, 7], axdr.uint32(0).hex()),
    ]


def calling_at_length() -> list[TourStep]:
    """ACTION with a list, and with parameters that go in blocks."""
    user = axdr.structure(axdr.uint8(7), axdr.visible_string("n" * 1500)).hex()
    called = [[*DISCONNECT, NOTHING], [*NO_METHOD, NOTHING]]
    return [
        (["call", *ADD_USER, user], None),
        (["call_list", called], [None, READ_WRITE_DENIED]),
        (["call_list", [*called, [*ADD_USER, user]]], [None, READ_WRITE_DENIED, None]),
        (["get", *STATE], axdr.enum(0).hex()),
    ]


def all_at_once() -> list[TourStep]:
    """ACCESS: reads, writes and methods in one request."""
    period, null = axdr.uint16(1200).hex(), axdr.null().hex()
    asked = [
        ["set", *DEMAND_PERIOD, period],
        ["get", *DEMAND_PERIOD, null],
        ["get", *NO_SUCH, null],
        ["call", *RECONNECT, NOTHING],
        ["call", *NO_METHOD, NOTHING],
    ]
    return [(["access", asked], [[0, null], [0, period], [4, null], [0, null], [3, null]])]


def reading_at_once(found: Found) -> list[TourStep]:
    """ACCESS for nothing but reads."""
    null = axdr.null().hex()
    asked = [["get", *one, null] for one in (SERIAL, NO_SUCH, [7, BLOCK_LOAD, 4])]
    return [(["access", asked], [[0, found.serial.hex()], [4, null], [0, found.period.hex()]])]


def in_long_blocks(found: Found) -> list[TourStep]:
    """A SET that is too long for one piece, and an answer of ACCESS, which has no blocks of its own."""
    long, null = axdr.octet_string(LONG).hex(), axdr.null().hex()
    asked = [["get", *MESSAGE, null], ["get", 7, BLOCK_LOAD, 2, null]]
    return [(["set", *MESSAGE, long], None), (["access", asked], [[0, long], [0, found.buffer.hex()]])]


def viewed(listed: Iterable[ListedObject]) -> list[list[Any]]:
    """The object list: class, version, logical name; attributes to read and to write, methods to call."""
    return sorted(
        [
            one.class_id,
            one.version,
            str(one.obis),
            [right.attribute for right in one.attributes if right.readable],
            [right.attribute for right in one.attributes if right.writable],
            [right.method for right in one.methods if right.callable],
        ]
        for one in listed
    )


def elements(data: bytes) -> list[bytes]:
    """The octets of each element of an array or structure."""
    reader = axdr.Reader(data, "elements", 1)
    return [reader.datum() for _ in range(reader.length())]


def cells(row: bytes, wanted: list[int]) -> bytes:
    """A row with some of its cells."""
    all_cells = elements(row)
    return axdr.structure(*(all_cells[number] for number in wanted))


def column_of(found: Found, number: int) -> Step:
    """Class, logical name and attribute of a column of the block load."""
    match axdr.decode(elements(found.columns)[number]):
        case axdr.Structure((int(class_id), bytes(obis), int(attribute), 0)):
            return [class_id, str(Obis(*obis)), attribute]
    raise AssertionError("a capture object has four elements")
