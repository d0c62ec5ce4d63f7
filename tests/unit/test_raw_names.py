"""CLASS, OBIS and INDEX of the raw commands, as numbers and by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend.raw_names import parse_attribute, parse_class, parse_method, parse_obis
from profiles.classes import class_names, versions_of
from profiles.errors import SettingsError
from profiles.obis_names import find_obis, obis_name
from profiles.objects import Obis


@pytest.mark.parametrize(
    ("text", "class_id"),
    [
        ("8", 8),
        ("8192", 8192),
        ("clock", 8),
        ("Clock", 8),
        ("data", 1),
        ("register", 3),
        ("profile-generic", 7),
        ("profile_generic", 7),
        ("Profile generic", 7),
        ("disconnect-control", 70),
        ("disconnect", 70),
        ("association-ln", 15),
        ("compact-data", 62),
    ],
)
def test_a_class_is_a_number_or_a_name(text: str, class_id: int) -> None:
    assert parse_class(text) == class_id


def test_every_class_attribute_and_method_is_found_by_its_own_name() -> None:
    for class_id, name in class_names().items():
        assert parse_class(name) == class_id
        for known in versions_of(class_id)[:1]:
            for index, (attribute, _) in enumerate(known.attributes, 1):
                assert parse_attribute(class_id, attribute) == index
            for index, method in enumerate(known.methods, 1):
                assert parse_method(class_id, method) == index


@pytest.mark.parametrize(
    "text", ["1.0.99.1.0.255", "1.0.99.1.0", "1-0:99.1.0*255", "1-0:99.1.0", "0100630100ff", "0100630100FF"]
)
def test_an_obis_code_is_taken_in_every_usual_notation(text: str) -> None:
    assert parse_obis(text) == Obis(1, 0, 99, 1, 0, 255)


@pytest.mark.parametrize(
    ("name", "obis"),
    [
        ("clock", "0.0.1.0.0.255"),
        ("active-energy-import", "1.0.1.8.0.255"),
        ("Active energy import", "1.0.1.8.0.255"),
        ("voltage-l1", "1.0.32.7.0.255"),
        ("current-association", "0.0.40.0.0.255"),
        ("logical-device-name", "0.0.42.0.0.255"),
        ("nameplate-profile", "0.0.94.91.10.255"),
    ],
)
def test_an_obis_code_is_found_by_its_name(name: str, obis: str) -> None:
    assert str(parse_obis(name)) == obis


@given(st.tuples(*[st.integers(0, 255)] * 6))
def test_a_code_that_a_name_finds_has_that_name(groups: tuple[int, ...]) -> None:
    name = obis_name(Obis(*groups))
    found = find_obis(name) if name else None
    if found is not None:
        assert obis_name(found) == name


def test_attributes_and_methods_are_numbers_or_names() -> None:
    assert parse_attribute(8, "2") == parse_attribute(8, "time") == parse_attribute(8, "TIME") == 2
    assert parse_attribute(7, "capture-objects") == parse_attribute(7, "capture_objects") == 3
    assert parse_attribute(8, "-1") == -1
    assert parse_attribute(9000, "14") == 14
    assert parse_attribute(9000, "logical_name") == 1
    assert parse_method(70, "remote_disconnect") == parse_method(70, "1") == 1
    assert parse_method(70, "remote-reconnect") == 2
    assert parse_method(9000, "7") == 7


@pytest.mark.parametrize(
    ("parse", "told"),
    [
        (lambda: parse_class("cloak"), "'cloak' is no class"),
        (lambda: parse_class("association"), "may be association-ln, association-sn"),
        (lambda: parse_class("65536"), "0 to 65535"),
        (lambda: parse_class("-1"), "0 to 65535"),
        (lambda: parse_class(""), "is no class"),
        (lambda: parse_obis("1.0.99"), "is not an OBIS code such as"),
        (lambda: parse_obis("256.0.99.1.0.255"), "is not an OBIS code such as"),
        (lambda: parse_obis("cloak"), "or give a name"),
        (lambda: parse_attribute(8, "tme"), "no attribute of class 8 Clock (known: 1 logical-name, 2 time"),
        (lambda: parse_attribute(8, "daylight"), "may be daylight-savings-begin"),
        (lambda: parse_attribute(8, "128"), "-128 to 127"),
        (lambda: parse_method(1, "reset"), "give its number"),
        (lambda: parse_method(70, "disconnect"), "no method of class 70"),
    ],
)
def test_what_names_nothing_or_too_much_is_refused_with_what_there_is(parse: object, told: str) -> None:
    assert callable(parse)
    with pytest.raises(SettingsError) as refused:
        parse()
    assert told in str(refused.value)
