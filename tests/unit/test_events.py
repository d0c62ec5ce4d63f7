"""The event catalogue: what it knows, what it does with what it does not know, and how a wrong table is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from profiles import events as catalogue
from profiles.errors import SettingsError
from profiles.events import GROUPS, VENDOR, event, events, group_of_log, load_events, makers, partner
from profiles.objects import Obis

BUNDLED = Path(catalogue.__file__).with_name("events.csv")
PAIRED = (*range(1, 13), *range(51, 71), 101, 102, *range(201, 211), 215, 216)
"""Codes that two or more sources agree on, and that alternate: occurrence, restoration."""
SINGLE = (*range(151, 156), *range(157, 167), 169, 182, *range(211, 215), 301, 302)

Altered = Callable[[str, str], Path]


@pytest.fixture
def altered(tmp_path: Path) -> Altered:
    """A copy of the bundled table with one text replaced by another."""

    def alter(old: str, new: str) -> Path:
        text = BUNDLED.read_text(encoding="utf-8")
        assert text.count(old) >= 1
        path = tmp_path / "events.csv"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return alter


def line_of(start: str) -> int:
    lines = BUNDLED.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(start))


def test_every_agreed_event_is_known_and_no_other_is_called_standard() -> None:
    assert {one.id for one in events().values() if one.scope == "standard"} == {*PAIRED, *SINGLE, 251, 252}


def test_agreed_pairs_begin_with_an_odd_code_and_end_with_the_next() -> None:
    for number in PAIRED:
        one = event(number)
        assert one.kind == ("occurrence" if number % 2 else "restoration")
        other = partner(number)
        assert other is not None
        assert other.id == (number + 1 if number % 2 else number - 1)


def test_every_partner_is_mutual_and_in_the_same_log() -> None:
    for maker in (None, *makers()):
        for one in events(maker).values():
            other = partner(one.id, maker)
            if other is not None:
                assert (other.partner, other.group) == (one.id, one.group)
                assert {one.kind, other.kind} == {"occurrence", "restoration"}


def test_opening_the_cover_and_welding_have_no_end() -> None:
    for number in (251, 252, 253):
        assert event(number).kind == "occurrence"
        assert partner(number) is None


def test_restorations_are_never_graver_than_information() -> None:
    assert {one.severity for one in events().values() if one.kind == "restoration"} == {"information"}


def test_tampering_is_critical() -> None:
    assert {event(number).severity for number in (57, 65, 69, 201, 203, 207, 209, 251)} == {"critical"}


def test_no_two_events_have_the_same_name_in_either_language() -> None:
    for maker in (None, *makers()):
        known = events(maker).values()
        assert len({one.english for one in known}) == len(known)
        assert len({one.hindi for one in known}) == len(known)


def test_a_name_fits_in_one_line_of_a_message() -> None:
    for one in events().values():
        assert len(one.english) <= 60
        assert len(one.hindi) <= 60
        assert one.english == one.english.strip()


def test_the_seven_logs_have_their_objects_by_number() -> None:
    assert list(GROUPS) == ["voltage", "current", "power", "transaction", "other", "non_rollover", "control"]
    tampering = GROUPS["other"]
    assert (str(tampering.log), str(tampering.code), str(tampering.sequence)) == (
        "0.0.99.98.4.255",
        "0.0.96.11.4.255",
        "0.0.96.15.4.255",
    )
    assert group_of_log(Obis(0, 0, 99, 98, 6)) is GROUPS["control"]
    assert group_of_log(Obis(1, 0, 99, 1, 0)) is None


def test_an_unknown_code_is_kept_with_its_number_and_log() -> None:
    one = event(156)
    assert (one.id, one.group, one.kind, one.scope, one.partner) == (156, "transaction", "unknown", "unknown", None)
    assert "156" in one.english
    assert "156" in one.hindi
    assert event(4711).group == VENDOR
    assert event(0).group == VENDOR


def test_a_makers_own_list_holds_for_that_maker_alone() -> None:
    assert event(159).english == "Load limit function enabled"
    assert event(159, "manipur-hes").english == "Connected"
    assert event(159, "csharp-hes") == event(159)
    assert event(85).scope == "unknown"
    assert event(85, "web-hes").english == "Last gasp"


def test_a_maker_without_a_list_speaks_as_agreed() -> None:
    assert event(251, "nobody") == event(251)
    assert events("nobody") is events()


def test_conflicts_are_recorded_as_doubts() -> None:
    assert "253" in event(252).doubt
    assert "252" in event(253).doubt
    assert all(event(number).doubt for number in (1, 124, 169, 603))


def test_every_event_says_where_it_was_found() -> None:
    known = {"LT", "BHO", "EP3", "HES"}
    for one in events().values():
        assert {word for word in one.evidence.split() if not word.isdigit()} <= known, one
        assert one.scope == "extension" or one.evidence != "HES 1", one


def test_the_tables_own_copy_loads(altered: Altered) -> None:
    assert load_events(altered("Over voltage,", "Swell,"))[""][7].english == "Swell"


def test_a_table_with_a_byte_order_mark_from_a_spreadsheet_loads(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(BUNDLED.read_text(encoding="utf-8").replace("\n", "\r\n"), encoding="utf-8-sig")
    assert load_events(path)[""] == events()


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (",8,voltage", ",8,voltage", ",7,voltage", "event 7 stands in line"),
        (",7,voltage", ",7,voltage", ",7,volts", "group: 'volts' is none of"),
        (",7,voltage", "7,voltage,occurrence", "7,voltage,start", "kind: 'start' is none of"),
        (",7,voltage", "7,voltage,occurrence,8", "7,voltage,occurrence,10", "partner: event 10 is no restoration"),
        (",7,voltage", "7,voltage,occurrence,8", "7,voltage,occurrence,99", "partner: there is no event 99"),
        (",8,voltage", "8,voltage,restoration,7", "8,voltage,restoration,", "the restoration of nothing"),
        (",151,", "151,transaction,single,", "151,transaction,single,152", "is single and has a partner"),
        (",151,", "151,transaction", "151,power", "not of the range of the power log"),
        (",603,", "603,vendor,single,,warning,extension", "603,vendor,single,,warning,standard", "not of the range"),
        (",7,voltage", "8,warning,standard,Over", "8,loud,standard,Over", "severity: 'loud' is none of"),
        (",7,voltage", "Over voltage,", ",", "english is empty"),
        (",7,voltage", "वोल्टेज अधिक", "Voltage adhik", "has no Devanagari letter"),
        (",7,voltage", "\n,7,", "\n,0,", "'0' is not a whole number from 1 to 65535"),
        (",7,voltage", "\n,7,", "\n,seven,", "'seven' is not a whole number"),
        (",7,voltage", "\n,7,", "\n7,", "10 columns in place of 11"),
        (",7,voltage", "Over voltage,", '"Over "voltage,', "not CSV"),
        ("maker", "maker,id", "id,maker", "the columns must be maker,id,"),
    ],
)
def test_a_wrong_line_is_refused_by_file_and_line(
    altered: Altered, line: str, old: str, new: str, message: str
) -> None:
    path = altered(old, new)
    with pytest.raises(SettingsError) as refused:
        load_events(path)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{path}:{line_of(line)}: ")


def test_an_overridden_half_of_a_pair_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    own = "somebody,7,voltage,single,,warning,extension,Swell,वोल्टेज अधिक,HES 1,\n"
    path.write_text(BUNDLED.read_text(encoding="utf-8") + own, encoding="utf-8")
    with pytest.raises(SettingsError, match=rf":{line_of(',8,voltage')}: partner: event 7 is no occurrence"):
        load_events(path)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_events(tmp_path / "none.csv")
    path = tmp_path / "events.csv"
    path.write_bytes(b"")
    with pytest.raises(SettingsError, match=":1: the columns must be"):
        load_events(path)
    path.write_bytes(BUNDLED.read_bytes() + b"\xff\xfe\n")
    with pytest.raises(SettingsError, match=r":\d+: not UTF-8"):
        load_events(path)
    path.write_bytes(b"x" * 300_000)
    with pytest.raises(SettingsError, match="not an event table"):
        load_events(path)
