"""What other implementations' clients do at a simulated meter of ours, step by step, and what must come of each.

A step is a list as the programs beside this one take it: what to do, and the class, logical name and number that it is
done with. An answer is A-XDR in hex, a result that is no success as {"error": result}, or a list of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
from simulated import NOW

from drivers.cosem.object_list import ListedObject
from drivers.dlms import apdu, axdr
from profiles.objects import Obis
from simulators import block_load, event_log
from simulators.meter import SimulatedMeter

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
EVENTS: Step = [7, "0.0.99.98.2.255", 4]
ADD_USER: Step = [15, "0.0.40.0.0.255", 5]
ASSOCIATION = Obis(0, 0, 40, 0, 0)

LONG = bytes(range(256)) * 6
"""More than any meter takes in one piece."""
NOTHING = axdr.int8(0).hex()
"""The parameter of a method that needs none."""
READ_WRITE_DENIED, OBJECT_UNDEFINED = {"error": 3}, {"error": 4}


def octets_at(moment: Any) -> bytes:
    """A time of the meters' clocks, 12 octets."""
    return block_load.clock_octets(np.array([int(moment.timestamp())], np.int64)).tobytes()


def reading(meter: SimulatedMeter) -> list[TourStep]:
    """GET: alone, in blocks, with a list."""
    identity = axdr.visible_string(meter.identity.serial).hex()
    columns = block_load.encode_capture_objects(meter.capture_objects()).hex()
    return [
        (["get", *SERIAL], identity),
        (["get", *NO_SUCH], OBJECT_UNDEFINED),
        (["get", *CLOCK], axdr.octet_string(octets_at(NOW)).hex()),
        (["get", 7, BLOCK_LOAD, 3], columns),
        (["get", 7, BLOCK_LOAD, 2], axdr.array(meter.rows(None)).hex()),
        (["get_list", [SERIAL, NO_SUCH, DEMAND_PERIOD]], [identity, OBJECT_UNDEFINED, axdr.uint16(1800).hex()]),
    ]


def reading_a_long_list(meter: SimulatedMeter) -> list[TourStep]:
    """GET with a list that comes in blocks."""
    values = axdr.visible_string(meter.identity.serial), axdr.array(meter.rows(None)), axdr.uint16(1800)
    return [(["get_list", [SERIAL, [7, BLOCK_LOAD, 2], DEMAND_PERIOD]], [one.hex() for one in values])]


def selecting(meter: SimulatedMeter) -> list[TourStep]:
    """Selective access: by range of the clock, by entry, and some columns alone."""
    rows, columns = meter.rows(None), list(meter.capture_objects())
    last = NOW.replace(minute=0, second=0)
    bounds = [octets_at(last - timedelta(hours=5)).hex(), octets_at(last).hex()]
    in_range = rows[-21:]
    some = [[one.class_id, str(one.obis), one.attribute] for one in (columns[0], columns[3])]
    return [
        (["range", BLOCK_LOAD, *bounds, []], axdr.array(in_range).hex()),
        (["range", BLOCK_LOAD, *bounds, some], axdr.array([_cells(row, [0, 3]) for row in in_range]).hex()),
        (["entries", BLOCK_LOAD, 5, 14, 1, 0], axdr.array(rows[4:14]).hex()),
        (["entries", BLOCK_LOAD, 5, 14, 1, 3], axdr.array([_cells(row, [0, 1, 2]) for row in rows[4:14]]).hex()),
    ]


def selecting_columns(meter: SimulatedMeter) -> list[TourStep]:
    """By entry, columns that are not the first ones."""
    rows = [_cells(row, [1, 2, 3]) for row in meter.rows(None)[4:14]]
    return [(["entries", BLOCK_LOAD, 5, 14, 2, 4], axdr.array(rows).hex())]


def writing() -> list[TourStep]:
    """SET: alone, in blocks, and what may not be written."""
    later = axdr.octet_string(octets_at(NOW + timedelta(seconds=90))).hex()
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


def calling(meter: SimulatedMeter) -> list[TourStep]:
    """ACTION: with effect, with data in return, with what may not be called; a reset at the end of it."""
    events = apdu.entry_selection(1)[1:].hex()
    return [
        (["call", *DISCONNECT, NOTHING], None),
        (["get", *STATE], axdr.enum(0).hex()),
        (["call", *RECONNECT, NOTHING], None),
        (["get", *STATE], axdr.enum(1).hex()),
        (["call", *NO_METHOD, NOTHING], READ_WRITE_DENIED),
        (["call", *EVENTS, events], _events(meter)),
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


def reading_at_once(meter: SimulatedMeter) -> list[TourStep]:
    """ACCESS for nothing but reads."""
    null, serial = axdr.null().hex(), axdr.visible_string(meter.identity.serial).hex()
    asked = [["get", *one, null] for one in (SERIAL, NO_SUCH, [7, BLOCK_LOAD, 4])]
    return [(["access", asked], [[0, serial], [4, null], [0, axdr.uint32(900).hex()]])]


def in_long_blocks(meter: SimulatedMeter) -> list[TourStep]:
    """A SET that is too long for one piece, and an answer of ACCESS, which has no blocks of its own."""
    long, null = axdr.octet_string(LONG).hex(), axdr.null().hex()
    asked = [["get", *MESSAGE, null], ["get", 7, BLOCK_LOAD, 2, null]]
    answered = [[0, long], [0, axdr.array(meter.rows(None)).hex()]]
    return [(["set", *MESSAGE, long], None), (["access", asked], answered)]


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


def _events(meter: SimulatedMeter) -> str:
    return axdr.array(event_log.rows(meter, None)).hex()


def _cells(row: bytes, wanted: list[int]) -> bytes:
    reader = axdr.Reader(row, "row", 1)
    cells = [reader.datum() for _ in range(reader.length())]
    return axdr.structure(*(cells[index] for index in wanted))
