"""What is refused of an act by hand before any meter is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.address import parse_address
from drivers.session import Session
from headend.acts.deed import GUARDED, Confirmation, Deed
from headend.acts.doing import carry_out
from headend.acts.limits import Limits
from headend.acts.pushes import parse_place, parse_what
from headend.raw_access import Meter, Way
from headend.single_session import Counting
from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.objects import AttributeRef, Obis

SURE = Confirmation(yes=True, serial="SMA24000000", ask=None, ask_serial=None)


def meter(folder: Path, *, registered: bool) -> Meter:
    meter_type = load_meter_type("is15959-1ph")
    kind = meter_type.associations["utility_setting"]
    place = parse_address("tcp://127.0.0.1:9")
    counting = Counting(folder / "counters.json")
    return Meter(Way(place, meter_type, kind, {}, counting, b"", None, "ignore", registered), None)


async def never(_: Session) -> Deed:
    raise AssertionError("the meter is not to be asked")


@pytest.mark.parametrize("class_id", sorted(GUARDED))
def test_a_meter_of_the_registry_is_neither_cut_off_nor_locked_by_hand(class_id: int, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not changed by hand on a meter of the utility's registry"):
        carry_out(meter(tmp_path, registered=True), frozenset({class_id}), never, SURE)
    assert not (tmp_path / "audit.jsonl").exists()


def test_what_can_not_be_confirmed_is_refused(tmp_path: Path) -> None:
    only_yes = Confirmation(yes=True, serial=None, ask=None, ask_serial=None)
    with pytest.raises(SettingsError, match=r"class 70 .* is not changed without the meter's serial number"):
        carry_out(meter(tmp_path, registered=False), frozenset({70}), never, only_yes)
    nobody = Confirmation(yes=False, serial=None, ask=None, ask_serial=None)
    with pytest.raises(SettingsError, match="no terminal to confirm this at"):
        carry_out(meter(tmp_path, registered=True), frozenset({8}), never, nobody)


def test_what_is_pushed_and_where_to_is_written_as_it_is_shown() -> None:
    assert parse_what(" 8/0.0.1.0.0.255/2,3/1.0.1.8.0.255/2") == (
        AttributeRef(8, Obis(0, 0, 1, 0, 0, 255), 2),
        AttributeRef(3, Obis(1, 0, 1, 8, 0, 255), 2),
    )
    assert parse_what(None) == ()
    assert parse_place("[::1]:4059") == "[::1]:4059"


@pytest.mark.parametrize(
    "text", ["", ",", "clock", "8/0.0.1.0.0.255", "x/0.0.1.0.0.255/2", "8/0.0.1/2", "8/1.2.3.4.5.6/999"]
)
def test_what_is_no_list_of_attributes_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"attribute|OBIS"):
        parse_what(text)


@pytest.mark.parametrize("text", ["", "host", "host:", ":4059", "host:0", "host:70000", "höst:1", f"{'h' * 200}:1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no place to push to"):
        parse_place(text)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_limit_is_a_number(value: float) -> None:
    with pytest.raises(SettingsError, match="a limit is a number"):
        _ = Limits(normal=value).by_attribute
