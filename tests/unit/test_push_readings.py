from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.dlms import apdu, axdr
from profiles.errors import ProtocolError
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.push_readings import push_of, push_readings
from profiles.units import unit_symbol

SAMPLES = {
    sample["meter"]: sample
    for sample in json.loads((Path(__file__).parent / "vectors" / "han_push_samples.json").read_text())
}


def body_of(meter: str) -> Any:
    """The body of a captured push, through the decoder."""
    notification = apdu.decode(bytes.fromhex(SAMPLES[meter]["apdu"]))
    assert isinstance(notification, apdu.DataNotification)
    return axdr.decode(notification.data)


def scaled(pushed: Any) -> dict[str, tuple[Decimal, str]]:
    return {one.name: (one.number, unit_symbol(one.unit)) for one in pushed.readings if one.number is not None}


def test_an_aidon_meter_names_and_scales_its_readings_itself() -> None:
    pushed = push_readings(load_meter_type("han-aidon"), body_of("Aidon"))
    assert [one.value for one in pushed.readings[:3]] == ["AIDON_V0001", "7359992892587665", "6525"]
    assert scaled(pushed) == {
        "Active power import": (Decimal(280), "W"),
        "Active power export": (Decimal(0), "W"),
        "Reactive power import": (Decimal(0), "var"),
        "Reactive power export": (Decimal(128), "var"),
        "Current L1": (Decimal("1.3"), "A"),
        "Current L3": (Decimal("0.9"), "A"),
        "Voltage L1": (Decimal("227.4"), "V"),
        "Voltage L2": (Decimal("230.1"), "V"),
        "Voltage L3": (Decimal("230.8"), "V"),
    }


def test_a_kaifa_list_is_known_by_its_length() -> None:
    pushed = push_readings(load_meter_type("han-kaifa"), body_of("Kaifa"))
    assert pushed.push.name == "list_1"
    assert scaled(pushed) == {"Active power import": (Decimal(5852), "W")}


def test_a_kamstrup_meter_gives_codes_and_its_type_the_scalers() -> None:
    pushed = push_readings(load_meter_type("han-kamstrup"), body_of("Kamstrup"))
    assert pushed.readings[0].value == "Kamstrup_V0001"
    assert scaled(pushed) == {
        "Active power import": (Decimal(1896), "W"),
        "Active power export": (Decimal(0), "W"),
        "Reactive power import": (Decimal(0), "var"),
        "Reactive power export": (Decimal(493), "var"),
        "Current L1": (Decimal("8.96"), "A"),
        "Voltage L1": (Decimal(225), "V"),
    }


def test_an_indian_push_is_known_by_its_push_setup_and_scaled_by_its_profile() -> None:
    meter_type = load_meter_type("is15959-1ph")
    scalers = {"block_load": {(3, Obis(1, 0, 12, 27, 0), 2): ScalerUnit(-1, 35)}}
    body = (b"SMA-1", bytes(Obis(0, 5, 25, 9, 0)), bytes(12), 2301, 5, 6, 0, 0, 14, 13)
    pushed = push_readings(meter_type, body, scalers=scalers)
    assert pushed.push.name == "block_load"
    assert scaled(pushed) == {"Voltage average in the recording interval": (Decimal("230.1"), "V")}
    assert [one.value for one in pushed.readings] == list(body)


def test_what_the_meter_lists_wins_over_the_columns_of_its_type() -> None:
    meter_type = load_meter_type("is15959-1ph")
    listed = [
        CaptureObject(1, Obis(0, 0, 96, 1, 2), 2),
        CaptureObject(40, Obis(0, 6, 25, 9, 0), 1),
        CaptureObject(8, Obis(0, 0, 1, 0, 0), 2),
        CaptureObject(3, Obis(1, 0, 1, 8, 0), 2),
    ]
    body = (b"SMA-1", bytes(Obis(0, 6, 25, 9, 0)), bytes(12), 4711)
    unnamed = push_readings(meter_type, body)
    assert [one.obis for one in unnamed.readings] == [None] * 4
    named = push_readings(meter_type, body, learnt={"daily_load": listed})
    assert [one.obis for one in named.readings] == [one.obis for one in listed]
    assert named.readings[3].name == "Active energy import"


def test_a_list_of_another_length_is_refused_and_not_shifted() -> None:
    meter_type = load_meter_type("is15959-1ph")
    with pytest.raises(ProtocolError, match="push alert: 3 elements in place of 4"):
        push_readings(meter_type, (b"SMA-1", bytes(Obis(0, 4, 25, 9, 0)), bytes(12)))


@pytest.mark.parametrize("body", [None, 5, (), (b"a", b"b"), [], (b"SMA-1", bytes(Obis(9, 9, 9, 9, 9)), 1), [(1, 2)]])
def test_a_body_that_is_none_of_the_types_pushes_is_refused(body: object) -> None:
    with pytest.raises(ProtocolError, match="is none that a is15959-1ph meter sends"):
        push_of(load_meter_type("is15959-1ph"), body)


def test_a_scaler_that_a_body_states_wrongly_is_put_right_though_no_column_names_the_object() -> None:
    currents = {AttributeRef(3, Obis(1, 0, 31, 7, 0), 2): -2}
    meter_type = load_meter_type("han-aidon")
    push = replace(meter_type.pushes["list"], columns=(), corrections=currents)
    pushed = push_readings(replace(meter_type, pushes={"list": push}), body_of("Aidon"))
    assert scaled(pushed)["Current L1"] == (Decimal("0.013"), "A")
    assert scaled(pushed)["Current L3"] == (Decimal("0.9"), "A")
