"""The mappings that come with the program: nothing is left out, nothing made up, every part of a code is valid."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path

import pytest

from profiles.channels import COLUMNS
from profiles.events import esw_bits, events
from profiles.intervals import Quality
from profiles.mappings import CONTROLS, Mapped, MdmMapping, ProfileKind, ReadingType, Unmapped, load_mapping, mappings
from profiles.mappings.codes import EndDeviceCode, ReadingQuality
from profiles.objects import Obis

VECTORS = Path(__file__).parent / "vectors"
UNIT_NUMBERS = {"W": 38, "VA": 61, "var": 63, "Wh": 72, "VAh": 71, "varh": 73, "A": 5, "V": 29, "Hz": 33, "deg": 9}

VALID = {
    "macro_period": {0, 8, 11, 13},
    "aggregate": {0, 2, 8, 9},
    "measuring_period": {0, 1, 2, 3, 4, 5, 6, 7, 31, 50, 51, 52, 53, 54, 55, 56},
    "accumulation": {0, 1, 3, 4, 6, 9, 12},
    "flow_direction": {0, 1, 4, 15, 16, 17, 18, 19},
    "commodity": {1, 2},
    "measurement_kind": {4, 8, 12, 15, 37, 38, 54, 55},
    "harmonic_numerator": {0},
    "harmonic_denominator": {0},
    "argument_numerator": {0},
    "argument_denominator": {0},
    "tou": set(range(9)),
    "cpp": {0},
    "consumption_tier": {0},
    "phases": {0, 16, 32, 64, 128, 66, 96, 132},
    "multiplier": {0, 3},
    "unit": {5, 9, 29, 33, 38, 61, 63, 65, 71, 72, 73},
    "currency": {0},
}
"""By field the values that the Green Button schema publishes and electric meters use."""

UNITS_OF_KIND = {4: {5}, 8: {38, 61}, 12: {71, 72, 73}, 15: {33}, 37: {38, 61, 63}, 38: {65}, 54: {29}, 55: {9}}


def quantities() -> list[tuple[ProfileKind, Obis, str]]:
    """Every register or value, by profile, that any known meter captures besides its block load, with its unit."""
    with (VECTORS / "is15959_quantities.csv").open(newline="") as file:
        return [(row["profile"], Obis.parse(row["obis"]), row["unit"]) for row in csv.DictReader(file)]


def reading_types(mapping: MdmMapping) -> list[ReadingType]:
    """All of a mapping's, for 30-minute intervals and demand integration."""
    return [
        one.code.fill(interval_s=1800, demand_s=1800, primary=False, rate=key.e if isinstance(key, Obis) else 0)
        for (_, key), one in mapping.readings.items()
        if isinstance(one, Mapped)
    ]


@pytest.fixture(scope="module", params=mappings())
def mapping(request: pytest.FixtureRequest) -> MdmMapping:
    return load_mapping(request.param)


def test_the_bundled_mappings_are_known_by_name() -> None:
    assert mappings() == ["default", "idis"]
    assert [load_mapping(name).name for name in mappings()] == mappings()
    assert load_mapping() == load_mapping("default")


def test_every_column_is_mapped_or_says_why_not(mapping: MdmMapping) -> None:
    assert {key for kind, key in mapping.readings if kind == "block_load"} == set(COLUMNS)
    unmapped = {name for name in COLUMNS if isinstance(mapping.interval_reading(name, 900), Unmapped)}
    assert unmapped == {"meter_health", "signal_strength"}


def test_every_quantity_of_the_other_profiles_is_mapped_or_says_why_not(mapping: MdmMapping) -> None:
    known = {(kind, obis) for kind, obis, _ in quantities()}
    assert {key for key in mapping.readings if key[0] != "block_load"} == known


def test_what_has_a_unit_of_electricity_is_mapped_with_that_unit(mapping: MdmMapping) -> None:
    makers_own = {Obis.parse(code) for code in ("1.0.1.8.9", "1.0.2.8.9", "1.0.2.8.10", "1.0.5.9.0", "1.0.8.9.0")}
    for kind, obis, unit in quantities():
        if unit not in UNIT_NUMBERS or obis.a != 1 or obis in makers_own:
            continue
        found = mapping.reading(kind, obis, demand_s=1800)
        assert isinstance(found, ReadingType), (kind, obis)
        assert found.unit == UNIT_NUMBERS[unit], (kind, obis)


def test_what_is_no_quantity_of_electricity_has_no_reading_type(mapping: MdmMapping) -> None:
    for kind, obis, _ in quantities():
        if obis.a == 0:
            assert isinstance(mapping.reading(kind, obis, demand_s=1800), Unmapped), (kind, obis)


def test_every_event_is_mapped_or_says_why_not(mapping: MdmMapping) -> None:
    assert set(mapping.events) == set(events())


def test_every_status_bit_that_is_no_event_is_mapped_or_says_why_not(mapping: MdmMapping) -> None:
    assert set(mapping.status_bits) == {bit.bit for bit in esw_bits().values() if bit.occurrence is None}


def test_every_quality_is_mapped_or_says_why_not(mapping: MdmMapping) -> None:
    assert set(mapping.qualities) == {"good", "missing", *(str(mark.name).lower() for mark in Quality)}


def test_every_control_has_a_code_of_its_own(mapping: MdmMapping) -> None:
    found = [mapping.control(name) for name in CONTROLS]
    assert len({one.code for one in found if isinstance(one, Mapped)}) == len(CONTROLS)


def test_every_reason_is_a_sentence_and_every_code_says_how_sure_it_is(mapping: MdmMapping) -> None:
    tables = (mapping.readings, mapping.qualities, mapping.events, mapping.status_bits, mapping.controls)
    for one in chain.from_iterable(table.values() for table in tables):
        if isinstance(one, Unmapped):
            assert len(one.reason.split()) >= 3
        else:
            assert one.grade != "own"
            assert one.grade != "wider" or one.note


def test_every_field_of_every_reading_type_has_a_published_value(mapping: MdmMapping) -> None:
    found = reading_types(mapping)
    assert len(found) > 100
    for one in found:
        assert {name: value for name, value in one._asdict().items() if value not in VALID[name]} == {}, one
        assert one.unit in UNITS_OF_KIND[one.measurement_kind], one
        assert ReadingType.parse(str(one)) == one


def test_no_two_quantities_of_a_profile_have_the_same_reading_type(mapping: MdmMapping) -> None:
    for wanted in ("block_load", "instantaneous", "daily_load", "billing"):
        profile = [kind == wanted for (kind, _), one in mapping.readings.items() if isinstance(one, Mapped)]
        found = [one for one, of_it in zip(reading_types(mapping), profile, strict=True) if of_it]
        assert len(set(found)) == len(found)


def test_imports_flow_forward_exports_in_reverse_and_quadrants_by_themselves() -> None:
    mapping = load_mapping()
    for name, flow in {"wh_import": 1, "wh_export": 19, "vah_import": 1, "vah_export": 19}.items():
        assert mapping.interval_reading(name, 900).flow_direction == flow
    quadrants = [mapping.interval_reading(f"varh_q{quadrant}", 900) for quadrant in range(1, 5)]
    assert [one.flow_direction for one in quadrants] == [15, 16, 17, 18]


def test_the_known_examples_come_out_word_for_word() -> None:
    mapping = load_mapping()
    wh = Obis.parse("1.0.1.8.0")
    assert str(mapping.interval_reading("wh_import", 900)) == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.interval_reading("wh_import_register", 900)) == "0.0.2.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.reading("daily_load", wh)) == "11.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.reading("billing", wh)) == "8.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.reading("instantaneous", wh)) == "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.reading("instantaneous", Obis.parse("1.0.2.8.0"))) == "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0"


def test_the_interval_and_the_transformers_show_in_the_reading_type() -> None:
    mapping = load_mapping()
    assert str(mapping.interval_reading("wh_import", 1800)) == "0.0.5.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    assert str(mapping.interval_reading("wh_import", 3600, primary=True)) == "0.0.7.4.1.2.12.0.0.0.0.0.0.0.0.3.72.0"


def test_an_interval_without_a_code_is_unmapped() -> None:
    assert load_mapping().interval_reading("wh_import", 700) == Unmapped("no code is known where the interval is 700 s")


def test_a_maximum_demand_names_its_period_and_rate() -> None:
    mapping, third = load_mapping(), Obis.parse("1.0.9.6.3")
    assert str(mapping.reading("billing", third, demand_s=1800)) == "8.8.51.0.1.1.8.0.0.0.0.3.0.0.0.3.61.0"
    assert str(mapping.reading("billing", third, demand_s=900)) == "8.8.53.0.1.1.8.0.0.0.0.3.0.0.0.3.61.0"
    assert mapping.reading("billing", third) == Unmapped("the meter's demand integration period is not known")


def test_the_rate_of_a_billing_register_is_its_group_e() -> None:
    mapping = load_mapping()
    for rate in range(1, 9):
        found = mapping.reading("billing", Obis(1, 0, 2, 8, rate))
        assert (found.tou, found.flow_direction, found.accumulation) == (rate, 19, 9)


def test_codes_of_events_are_those_of_electric_meters_unless_the_mapping_is_of_any_device() -> None:
    for name, device_types in (("default", {3}), ("idis", {0, 3})):
        mapping = load_mapping(name)
        tables = (mapping.events, mapping.status_bits, mapping.controls)
        found = [one.code for one in chain.from_iterable(table.values() for table in tables) if isinstance(one, Mapped)]
        assert {code.device_type for code in found} == device_types
        for code in found:
            assert 1 <= code.domain <= 40
            assert 0 <= code.sub_domain < 500
            assert 1 <= code.event_or_action < 500
            assert EndDeviceCode.parse(str(code)) == code


def test_events_share_a_code_only_where_that_is_stated(mapping: MdmMapping) -> None:
    by_code: dict[EndDeviceCode, set[int]] = {}
    for number, one in mapping.events.items():
        if isinstance(one, Mapped):
            by_code.setdefault(one.code, set()).add(number)
    shared = {frozenset(numbers) for numbers in by_code.values() if len(numbers) > 1}
    assert shared <= {
        frozenset(numbers) for numbers in ((51, 53, 55), (52, 54, 56), (65, 69, 203, 207), (66, 70, 204, 208))
    }
    for numbers in shared:
        assert all(mapping.events[number].grade == "wider" for number in numbers)


def test_an_occurrence_and_its_restoration_never_share_a_code(mapping: MdmMapping) -> None:
    for one in events().values():
        begins, ends = mapping.event(one.id), mapping.event(one.partner or 0)
        if isinstance(begins, Mapped) and isinstance(ends, Mapped):
            assert begins.code != ends.code


def test_power_failure_and_last_gasp_are_told_apart() -> None:
    mapping = load_mapping()
    assert str(mapping.event(101).code) == "3.26.0.47"
    assert str(mapping.event(102).code) == "3.26.0.216"
    assert str(mapping.status_bit(85).code) == "3.26.136.47"
    assert str(mapping.status_bit(86).code) == "3.26.136.216"


def test_a_mapping_that_builds_on_another_has_its_own_codes_and_the_others() -> None:
    idis, default = load_mapping("idis"), load_mapping()
    assert str(idis.event(101).code) == "0.26.38.85"
    assert idis.event(7) == default.event(7)
    assert idis.readings == default.readings
    assert idis.title != default.title


def test_an_unknown_event_column_or_control_is_unmapped_and_named() -> None:
    mapping = load_mapping()
    for found, name in (
        (mapping.event(156), "event 156"),
        (mapping.status_bit(100), "status bit 100"),
        (mapping.control("explode"), "the control explode"),
        (mapping.interval_reading("temperature", 900), "the column temperature"),
        (mapping.reading("billing", Obis(1, 0, 99, 8, 0)), "1.0.99.8.0.255 in the profile billing"),
    ):
        assert found == Unmapped(f"the mapping default says nothing of {name}")


def test_qualities_are_told_once_each_and_none_is_told_of_what_has_no_code() -> None:
    mapping = load_mapping()
    outage = mapping.reading_qualities(Quality.POWER_FAIL | Quality.ZERO_FILLED | Quality.CLOCK_SUSPECT)
    assert set(map(str, outage)) == {"1.2.32", "1.1.9"}
    assert len(outage) == 2
    assert mapping.reading_qualities(Quality.ROUNDED) == ()
    assert mapping.reading_qualities(Quality(0)) == (ReadingQuality(1, 0, 0),)
