"""What goes beyond one request and one answer between us and pydlms-client, both ways: general block transfer with
windows and lost blocks, pushes in the middle of a request, new keys, serial ports; and the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lines
import pytest
import test_matrix_our_meter as ours
import their_meter
import tour
from their_meter import LONG, NAME, PROFILE, SERIAL, Way

from drivers.dlms import axdr
from drivers.dlms.apdu import AccessGet, AccessSet, DataNotification, SelectedAttribute
from drivers.push import Arrival, PushingMeter, PushPolicy, open_push
from drivers.push.arrival import Route

Serve = Callable[..., Any]
Run = Callable[..., Any]

BY_OWN_BLOCKS = ["BLOCK_TRANSFER_WITH_SET_OR_WRITE", "BLOCK_TRANSFER_WITH_ACTION"]
"""Conformance without which requests go by general block transfer alone."""


@pytest.mark.parametrize(
    ("way", "window", "lost"),
    [
        (Way(), 1, ([], [])),
        (Way(), 5, ([], [])),
        (Way(), 5, ([2], [2])),
        (Way(5, 0x30), 63, ([2, 3], [1])),
        (Way(5, 0x30, "general-glo"), 5, ([], [])),
        (Way(6, 0x31, "general-ciphering"), 5, ([3], [2])),
        (Way(hdlc=True), 5, ([], [])),
    ],
    ids=str,
)
async def test_long_requests_and_answers_go_by_general_block_transfer(
    serve: Serve, tmp_path: Path, way: Way, window: int, lost: tuple[list[int], list[int]]
) -> None:
    """Blocks that get lost come again: theirs when we ask, ours when they do, or when nothing comes for a while."""
    changed = {"without": BY_OWN_BLOCKS, "gbt_window": window, "lost": lost}
    with their_meter.served(serve, tmp_path, way, **changed) as meter:
        async with meter.session(way, timeout_s=3 if any(lost) else 30) as session:
            rows = await session.get(PROFILE)
            assert len(tour.elements(rows)) == 96
            await session.set(NAME, LONG)
            assert await session.get(NAME) == LONG
            wanted = [SelectedAttribute(NAME), SelectedAttribute(PROFILE)]
            assert [one.data for one in await session.get_list(wanted)] == [LONG, rows]
            await their_meter.echo(session)
            if way.ciphering != "glo" or not way.control:
                answer = await session.access([AccessSet(NAME), AccessGet(NAME)], [LONG, axdr.null()])
                assert answer.data == (axdr.null(), LONG)


@pytest.mark.parametrize("way", [Way(), Way(5, 0x30), Way(5, 0x30, "general-glo"), Way(hdlc=True)], ids=str)
async def test_a_push_before_each_answer_of_their_meter_is_told_apart(serve: Serve, tmp_path: Path, way: Way) -> None:
    pushed: list[bytes] = []
    body = axdr.structure(axdr.uint8(1), axdr.visible_string("pushed"))
    with their_meter.served(serve, tmp_path, way, push=DataNotification(7, body).encode().hex()) as meter:
        async with meter.session(way, unasked=pushed.append) as session:
            for _ in range(3):
                assert await session.get(SERIAL) == axdr.visible_string("PYD0000000001")
            answers = 3 + (2 if way.mechanism else 1)  # one to the AARQ, one to an HLS
            assert len(pushed) == answers
        policy = PushPolicy(frozenset({0x30}))
        pushing = PushingMeter("theirs", their_meter.THEIR_TITLE, meter.credentials, policy)
        opened = [open_push(Arrival(each, Route("wrapper")), pushing) for each in pushed]
    assert {push.notification for push in opened} == {DataNotification(7, body)}
    counters = [push.counter or 0 for push in opened]
    assert counters == sorted(set(counters))


async def test_their_client_changes_the_keys_of_our_meter() -> None:
    """Wrapped under the master key; they hold from the next association on."""
    new = {"0": bytes(range(16)).hex(), "2": bytes(range(16, 32)).hex()}
    way = ours.Way(5, 0x30)
    async with ours.serving(way) as (place, wanted):
        setup = "0.0.43.0.3.255"
        steps = [["transfer_keys", setup, new], ["get", *tour.SERIAL]]
        serial = axdr.visible_string(place.meter.identity.serial).hex()
        assert (await ours.told(ours.PYDLMS, wanted | {"steps": steps}))["answers"] == [None, serial]
        assert place.meter.keys.encryption.octets.hex() == new["0"]
        again = ours.order(place.meter, way, wanted["host"], wanted["port"])
        assert again["security"]["authentication_key"] == new["2"]
        said = await ours.told(ours.PYDLMS, again | {"steps": steps[1:]})
        assert said == {"answers": [serial], "release": "verified"}


# --- serial ports ---------------------------------------------------------------------------------------------


async def test_their_meter_is_used_on_a_serial_port(serve: Serve, tmp_path: Path) -> None:
    way = Way(5, 0x30, hdlc=True)
    with their_meter.served(serve, tmp_path, way, port=None) as meter:
        async with meter.session(way) as session:
            rows = await session.get(PROFILE)
            assert len(tour.elements(rows)) == 96
            await their_meter.write(session)
            await their_meter.echo(session)


@pytest.mark.parametrize("mode_e", [False, True], ids=["HDLC at once", "mode E"])
async def test_their_client_takes_the_tour_of_our_meter_on_a_serial_port(mode_e: bool) -> None:
    place, way = lines.served(), ours.Way(2, 0x30, hdlc=True)
    async with lines.hdlc_meter(place) as address, place.session(address) as session:
        found = await tour.find(session)
    with lines.mode_e_meter(place, coded=bytes) if mode_e else lines.serial_meter(place) as line:
        path = line.terminal.path if isinstance(line, lines.ModeE) else line.path
        wanted = ours.order(place.meter, way, "", 0) | {"path": path, "mode_e": mode_e}
        stages = [*tour.reading(found), *tour.writing(found), *tour.calling(found)]
        said = await ours.told(ours.PYDLMS, wanted | {"steps": [step for step, _ in stages]})
    assert said["answers"] == [expected for _, expected in stages]
    assert said["release"] == "verified"


# --- the command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [Way(6, hdlc=True), Way(5, 0x30, "general-glo")], ids=str)
def test_headend_gets_sets_and_calls_at_their_meter(
    run: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with their_meter.simulated(serve, tmp_path, ciphered=bool(way.control), hdlc=way.hdlc) as meter:
        options = ["--client", str(way.association.client_sap), "--mechanism", str(way.mechanism)]
        if way.control:
            keys = their_meter.keys(0)[1]
            options += ["--security", "both", "--ciphering", way.ciphering, "--key", keys["encryption_key"]]
            options += ["--auth-key", keys["authentication_key"], "--counter-object", "0.0.43.1.0.255"]
        if way.mechanism in their_meter.SECRETS:
            options += ["--secret", their_meter.SECRETS[way.mechanism]]

        def headend(command: str, *arguments: str) -> Any:
            return json.loads(run("headend", command, meter.address, *arguments, *options, "--json").stdout)

        energy = headend("get", "register", "1.0.1.8.0.255", "value")
        assert energy["data"] == {"type": "double-long-unsigned", "value": 12345678}
        assert energy["scaled"]["unit"] == "Wh"
        done = headend("set", "data", "0.0.42.0.0.255", "value", "octets:0102", "--yes")
        assert done["after"][0]["data"] == {"type": "octet-string", "value": "0102"}
        switch = ("disconnect-control", "0.0.96.3.10.255")
        headend("call", *switch, "remote_disconnect", "i8:0", "--yes", "--serial", "PYD0000000001")
        assert headend("get", *switch, "output_state")["data"] == {"type": "boolean", "value": False}
        assert len(headend("profile", "1.0.99.1.0.255", "--entries", "1:5")["rows"]) == 5
