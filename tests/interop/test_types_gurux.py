"""Simulated meters of three families of types as gurux-dlms reads them: object list, clock, blocks, events.

What its client decoded is compared with the type and with the answer key, which knows no stamp and no scaler profile;
stamps and scalers are applied here, by hand. The meter is in this process, and its clock stands still.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from types_place import NOW, Inhabited, inhabited

from profiles.loader import load_meter_type
from profiles.meter_type import MeterType, Profile
from simulators.objects import PROFILE

CLIENT = Path(__file__).with_name("gurux_types_client.py")
TITLE = "5749544E45535301"
BLOCKS, EVENTS = slice(-200, -50), slice(1, -1)
"""The rows that are asked for."""
DEVIATIONS = {"is15959-1ph": None, "is15959-ltct": None, "smr": "+01:00"}
"""The offset from UTC that the date-times of a type state (of SMR in winter)."""

Objects = set[tuple[int, int, str]]
"""Class, version, logical name."""


def way_in(place: Inhabited) -> dict[str, Any]:
    """How a client comes to the meter, in the association of its type that reads."""
    meter, keys = place.meter, place.meter.keys
    kind = meter.meter_type.associations[meter.meter_type.reading_association]
    security = {
        "suite": kind.suite,
        "policy": kind.security_control & 0x30,
        "encryption_key": keys.encryption.octets.hex(),
        "authentication_key": keys.authentication.octets.hex(),
        "client_title": TITLE,
        "counter": meter.last_received + 1,
    }
    return {
        "host": meter.identity.host,
        "port": place.server.port,
        "hdlc": False,
        "physical": None,
        "client": kind.client_sap,
        "mechanism": kind.mechanism,
        "secret": keys.lls.octets.decode() if kind.mechanism == 1 else None,
        "security": security,
        "ciphered": kind.protected,
        "protection": "glo",
        "dedicated": False,
        "max_pdu": 65535,
    }


def stamp(meter_type: MeterType, at: int) -> str:
    """A moment as the type's meters write it and gurux-dlms gives it."""
    local = datetime.fromtimestamp(at, ZoneInfo(meter_type.zone))
    deviation = DEVIATIONS[meter_type.name]
    assert deviation in (None, local.isoformat()[-6:])
    return (local if deviation else local.replace(tzinfo=None)).isoformat()


def selection(place: Inhabited, profile: Profile, rows: slice) -> dict[str, Any]:
    """How a client asks for these rows of the profile, in the way that the type offers."""
    at = place.said(profile).at.tolist()
    numbers = range(1, len(at) + 1)[rows]
    first, last = at[rows][0], at[rows][-1]
    assert [one for one in at if first <= one <= last] == at[rows], "a range of time has no other rows"
    asked = {
        "range": [stamp(place.meter.meter_type, one) for one in (first, last)],
        "entry": [numbers[0], numbers[-1]],
    }[profile.selective_access]
    scalers = profile.scaler_obis
    name = {"range": "range", "entry": "entries"}[profile.selective_access]
    return {"obis": str(profile.obis), "scalers": scalers and str(scalers), name: asked}


def check_profile(place: Inhabited, profile: Profile, rows: slice, said: dict[str, Any]) -> None:
    """Columns, scalers, units, stamps and values, of exactly the rows that were asked for."""
    expected, scalers = [], {}
    for register, values in place.said(profile).columns:
        captured, cells = register.captured, values.tolist()[rows]
        if register.scaler is not None:
            scalers[f"{captured.class_id}/{captured.obis}"] = [register.scaler, register.unit]
        expected.append([stamp(place.meter.meter_type, one) for one in cells] if register.is_time else cells)
    captured_objects = [register.captured for register, _ in place.said(profile).columns]
    assert said["columns"] == [[one.class_id, str(one.obis), one.attribute] for one in captured_objects]
    assert {name: said["scalers"][name] for name in scalers} == scalers
    steps = [scalers.get(f"{class_id}/{obis}") for class_id, obis, _ in said["columns"]]
    rows_said = repeated(said["rows"]) if profile.null_data == "repeat" else said["rows"]
    found = [[thousandths(cell, step) for cell, step in zip(row, steps, strict=True)] for row in rows_said]
    assert found == [list(row) for row in zip(*expected, strict=True)]


def repeated(rows: list[list[Any]]) -> list[list[Any]]:
    """With what stands in the row before in place of null-data (Blue Book, Profile generic, buffer)."""
    whole = rows[:1]
    for row in rows[1:]:
        whole.append([before if cell is None else cell for before, cell in zip(whole[-1], row, strict=True)])
    return whole


def thousandths(cell: int | str, step: list[int] | None) -> int | str:
    """A number of a register, in the unit of the answer key; all else as it is."""
    return cell if step is None else int(Decimal(cell).scaleb(step[0] + 3))


def objects_of(place: Inhabited) -> Objects:
    """What an association that is not the public one sees: all, and in it all that the type's file names."""
    meter_type = place.meter.meter_type
    seen = {(entry.class_id, entry.version, str(obis)) for obis, entry in place.meter.objects.items()}
    named = {(PROFILE, one.obis) for one in meter_type.profiles.values()}
    named |= {(PROFILE, one.scaler_obis) for one in meter_type.profiles.values() if one.scaler_obis}
    named |= {(column[0], column[1]) for one in meter_type.profiles.values() for column in one.capture_objects}
    named |= {(one.class_id, one.obis) for one in meter_type.controls.values()}
    assert {(class_id, str(obis)) for class_id, obis in named} <= {(class_id, name) for class_id, _, name in seen}
    return seen


@pytest.mark.parametrize(
    ("name", "index", "log"),
    [("is15959-1ph", 1, "event_power"), ("is15959-ltct", 0, "event_voltage"), ("smr", 0, "event_standard")],
    ids=["1ph-lls", "ltct-lls", "smr-gmac"],
)
async def test_gurux_reads_objects_clock_blocks_and_events_of_meters_of_different_families(
    run: Callable[..., Any], name: str, index: int, log: str
) -> None:
    async with inhabited(load_meter_type(name), index) as place:
        meter_type = place.meter.meter_type
        profiles = [(meter_type.profiles["block_load"], BLOCKS), (meter_type.profiles[log], EVENTS)]
        wanted = way_in(place) | {
            "clock": str(meter_type.clock.obis),
            "profiles": [selection(place, *one) for one in profiles],
        }
        done = await asyncio.to_thread(run, "python", CLIENT, given=json.dumps(wanted))
        assert place.meter.holder is None, "the client was to release the association"
        said = json.loads(done.stdout)
        listed = [tuple(entry) for entry in said["objects"]]
        assert sorted(listed) == sorted(objects_of(place))
        assert said["clock"] == stamp(meter_type, int(NOW.timestamp()))
        for (profile, rows), answer in zip(profiles, said["profiles"], strict=True):
            check_profile(place, profile, rows, answer)
        blocks, events = (len(answer["rows"]) for answer in said["profiles"])
        assert blocks == 150
        assert events > 10
