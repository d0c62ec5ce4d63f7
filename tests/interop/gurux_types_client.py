"""Read what every meter has by gurux-dlms' client: a program of its own, since gurux-dlms is GPL; no test imports it.

Takes JSON on stdin and prints JSON. In: what `gurux_matrix_client.py` takes to come to the meter; clock, a logical
name; profiles, each with obis, scalers (its scaler profile, null where registers have their own), and either range (the
wall times of the first and the last row, with an offset where the meter needs a deviation) or entries (the first and
the last number). Out, decoded by gurux-dlms: objects (class, version, logical name), clock, and of each profile columns
(class, logical name, attribute), rows (unscaled), scalers (by class and logical name: scaler, unit).
"""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime
from typing import Any

from gurux_dlms import GXDateTime
from gurux_dlms.enums import DateTimeSkips
from gurux_dlms.objects import GXDLMSClock, GXDLMSProfileGeneric, GXDLMSRegister
from gurux_matrix_client import Meter, RefusedError, Steps, client_of


def bound(text: str) -> GXDateTime:
    """Of a range: without deviation where the wall time has no offset."""
    moment = GXDateTime(datetime.fromisoformat(text))
    moment.skip |= DateTimeSkips.MILLISECOND | DateTimeSkips.DAY_OF_WEEK
    if datetime.fromisoformat(text).tzinfo is None:
        moment.skip |= DateTimeSkips.DEVITATION
    return moment


def plain(value: Any) -> Any:
    """A cell as JSON has it; a date-time as its wall time, with the offset where the meter gave a deviation."""
    if isinstance(value, GXDateTime):
        return value.value.isoformat()
    return None if value is None else int(value)


def answer(meter: Meter, requests: Any) -> Any:
    reply = meter.exchange(requests)
    if reply.error:
        raise RefusedError(int(reply.error))
    return reply.value


def read(meter: Meter, item: Any, attribute: int) -> Any:
    """An attribute, as gurux-dlms puts it into the object."""
    return meter.client.updateValue(item, attribute, answer(meter, meter.client.read(item, attribute)))


def read_profile(meter: Meter, wanted: dict[str, Any]) -> dict[str, Any]:
    client, profile = meter.client, GXDLMSProfileGeneric(wanted["obis"])
    for attribute in (3, 4, 5):  # by period and sort method it follows stamps that are null-data
        read(meter, profile, attribute)
    if "range" in wanted:
        requests = client.readRowsByRange(profile, *map(bound, wanted["range"]))
    else:
        first, last = wanted["entries"]
        requests = client.readRowsByEntry(profile, first, last - first + 1)
    rows = client.updateValue(profile, 2, answer(meter, requests))
    return {
        "columns": [[int(item.objectType), item.logicalName, at.attributeIndex] for item, at in profile.captureObjects],
        "rows": [[plain(cell) for cell in row] for row in rows],
        "scalers": read_scalers(meter, profile, wanted["scalers"]),
    }


def read_scalers(meter: Meter, profile: GXDLMSProfileGeneric, obis: str | None) -> dict[str, list[int]]:
    """From the one row of the scaler profile, or from attribute 3 of each register that is captured."""
    if obis is None:
        registers = [item for item, _ in profile.captureObjects if isinstance(item, GXDLMSRegister)]
        cells = [answer(meter, meter.client.read(item, 3)) for item in registers]
    else:
        scalers = GXDLMSProfileGeneric(obis)
        read(meter, scalers, 3)
        (cells,) = read(meter, scalers, 2)
        registers = [item for item, _ in scalers.captureObjects]
    return {
        f"{int(item.objectType)}/{item.logicalName}": [int(part) for part in cell]
        for item, cell in zip(registers, cells, strict=True)
    }


def read_meter(meter: Meter, wanted: dict[str, Any]) -> dict[str, Any]:
    return {
        "objects": [entry[:3] for entry in Steps(meter).step_view()],
        "clock": plain(read(meter, GXDLMSClock(wanted["clock"]), 2)),
        "profiles": [read_profile(meter, one) for one in wanted["profiles"]],
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # it prints remarks of its own
        order = json.load(sys.stdin)
        with Meter(client_of(order), order) as met:
            said = read_meter(met, order)
    json.dump(said, sys.stdout)
