"""The objects of pydlms-client's example meter as we list and read them, and as its own client lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.address import parse_address
from drivers.cosem.object_list import ListedObject
from drivers.cosem.objects import DisconnectControl, ProfileGeneric, read_listed, read_object, read_object_list
from drivers.credentials import Credentials
from drivers.reading import association_of
from drivers.session import open_session
from profiles.classes import class_name
from profiles.loader import load_meter_type
from profiles.moments import DateTime
from profiles.objects import CaptureObject, Obis, ScalerUnit

TYPE = load_meter_type(Path(__file__).with_name("pydlms-sim.toml"))
COMPACT_DATA = 62
"""The one class of this meter whose attributes have no names here."""


@pytest.fixture(scope="module")
def url(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = ("pydlms", "simulate", "--host", "127.0.0.1", "--port", "0")
    with serve(tmp_path_factory.mktemp("meter"), r"listening on (127\.0\.0\.1:\d+) \(wrapper\)", *command) as (
        found,
        _,
    ):
        yield f"tcp://{found[1]}"


def indices(text: str) -> list[int]:
    """From `1-3,5`; `-` is none."""
    ranges = [part.partition("-") for part in text.split(",") if part != "-"]
    return [index for low, _, high in ranges for index in range(int(low), int(high or low) + 1)]


def as_their_client_says(listed: ListedObject) -> dict[str, Any]:
    return {
        "obis": str(listed.obis),
        "class": listed.class_id,
        "version": listed.version,
        "class_name": class_name(listed.class_id),
        "r": [right.attribute for right in listed.attributes if right.readable],
        "w": [right.attribute for right in listed.attributes if right.writable],
        "x": [right.method for right in listed.methods if right.callable],
    }


def as_we_say(entry: dict[str, Any]) -> dict[str, Any]:
    said = {name: entry[name] for name in ("obis", "class", "version", "class_name")}
    return said | {kind: indices(text) for kind, text in (part.split("=") for part in entry["access"].split())}


async def test_we_list_its_objects_and_rights_as_its_own_client_does(run: Callable[..., Any], url: str) -> None:
    address = parse_address(f"{url}?client=16")
    async with open_session(address, TYPE, association_of(TYPE, address), Credentials()) as session:
        ours = await read_object_list(session)

    theirs = json.loads(run("pydlms", "--json", "list", "--client", "16", url).stdout)
    assert len(ours) > 10
    assert [as_their_client_says(listed) for listed in ours] == [as_we_say(entry) for entry in theirs]


async def test_every_attribute_that_it_lets_us_read_is_as_the_blue_book_has_it(url: str) -> None:
    address = parse_address(f"{url}?client=16")
    async with open_session(address, TYPE, association_of(TYPE, address), Credentials()) as session:
        objects = await read_object_list(session)
        read = {(one.class_id, one.obis): await read_listed(session, one) for one in objects}
        switch = await read_object(session, DisconnectControl, Obis(0, 0, 96, 3, 10), 0)
        profile = await read_object(session, ProfileGeneric, Obis(1, 0, 99, 1, 0), 1)

    for (class_id, obis), values in read.items():
        assert values[1].value == obis
        odd = [value.name for value in values.values() if not value.as_declared]
        assert odd == [] or class_id == COMPACT_DATA
    assert isinstance(read[8, Obis(0, 0, 1, 0, 0)][2].value, DateTime)
    assert read[3, Obis(1, 0, 32, 7, 0)][3].value == ScalerUnit(-1, 35)
    assert (switch.output_state, switch.control_state) == (True, (1, "connected"))
    assert profile.capture_objects == (
        CaptureObject(8, Obis(0, 0, 1, 0, 0), 2),
        CaptureObject(3, Obis(1, 0, 1, 8, 0), 2),
    )
    assert (profile.capture_period, profile.entries_in_use) == (900, 96)
