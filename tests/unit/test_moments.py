"""Date-times with wildcards as people read them, and the names of OBIS codes and units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.moments import Date, DateTime, Time
from profiles.obis_names import obis_name
from profiles.objects import Obis
from profiles.units import UNITS, unit_symbol


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("07ea0103060b251eff800000", "2026-01-03 11:37:30"),
        ("07ea0103060b251e00feb600", "2026-01-03 11:37:30 deviation -330 min"),
        ("07ea0103060b251e0c014a80", "2026-01-03 11:37:30.12 deviation 330 min, daylight saving active"),
        ("07ea0103060b251eff8000ff", "2026-01-03 11:37:30"),
        ("07ea0103060b25ffff800003", "2026-01-03 11:37:* invalid value, doubtful value"),
        ("ffffffffffffffffff800000", "*-*-* *:*:*"),
        ("ffff0cfeffffffffff8000ff", "*-12-last *:*:*"),
        ("fffffefd0102000000800000", "*-dst-begin-second-last Mon 02:00:00"),
        ("fffffdfe0703000000800000", "*-dst-end-last Sun 03:00:00"),
        ("07ea0d03060b251eff800000", "07ea0d03060b251eff800000"),
        ("07ea0103061925ffff800000", "07ea0103061925ffff800000"),
        ("07ea0103060b251eff7fff00", "07ea0103060b251eff7fff00"),
    ],
)
def test_a_date_time_reads_as_far_as_it_is_specified(octets: str, text: str) -> None:
    assert str(DateTime(bytes.fromhex(octets))) == text


def test_the_parts_of_a_date_time_are_at_hand() -> None:
    moment = DateTime(bytes.fromhex("07ea0103060b251e00feb681"))
    assert (str(moment.date), str(moment.time), moment.deviation_min) == ("2026-01-03", "11:37:30", -330)
    assert moment.clock_status == ("invalid value", "daylight saving active")
    assert DateTime(bytes.fromhex("07ea0103060b251e00800000")).deviation_min is None


@pytest.mark.parametrize(("kind", "length"), [(Date, 5), (Time, 4), (DateTime, 12)])
def test_another_length_is_no_moment(kind: type[Date] | type[Time] | type[DateTime], length: int) -> None:
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(ValueError, match=f"{length} octets"):
            kind(bytes(wrong))


@given(st.binary(min_size=12, max_size=12))
def test_any_twelve_octets_have_a_text(octets: bytes) -> None:
    moment = DateTime(octets)
    assert moment.is_valid or str(moment) == octets.hex()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("0.0.1.0.0.255", "Clock"),
        ("0.0.40.0.0.255", "Current association"),
        ("0.0.40.0.3.255", "Association 3"),
        ("0.0.43.1.2.255", "Invocation counter 2"),
        ("0.4.25.9.0.255", "Push setup 4"),
        ("0.0.96.3.10.255", "Disconnect control"),
        ("0.0.97.98.11.255", "Alarm filter 11"),
        ("0.0.94.91.10.255", "Nameplate profile"),
        ("1.0.99.1.0.255", "Load profile 1 (block load)"),
        ("1.0.94.91.4.255", "Scaler profile of the block load profile"),
        ("1.0.1.8.0.255", "Active energy import"),
        ("1.0.2.8.4.255", "Active energy export, rate 4"),
        ("1.0.1.8.0.101", "Active energy import, billing period 101"),
        ("1.0.1.7.0.255", "Active power import"),
        ("1.0.9.6.0.255", "Apparent power import maximum"),
        ("1.0.5.29.0.255", "Reactive energy QI in the recording interval"),
        ("1.0.32.7.0.255", "Voltage L1"),
        ("1.0.52.27.0.255", "Voltage L2 average in the recording interval"),
        ("1.0.71.7.5.255", "Current L3, harmonic 5"),
        ("1.0.33.7.0.255", "Power factor L1"),
        ("1.0.91.27.0.255", "Neutral current average in the recording interval"),
        ("7.0.3.0.0.255", "Gas volume"),
    ],
)
def test_a_code_has_its_name(code: str, name: str) -> None:
    assert obis_name(Obis.parse(code)) == name


@pytest.mark.parametrize("code", ["0.128.1.2.3.255", "1.0.200.7.0.255", "1.0.1.77.0.255", "255.255.255.255.255.255"])
def test_a_code_that_nothing_names_has_no_name(code: str) -> None:
    assert obis_name(Obis.parse(code)) is None


@given(st.tuples(*[st.integers(0, 255)] * 6))
def test_any_code_has_a_name_or_none(groups: tuple[int, int, int, int, int, int]) -> None:
    name = obis_name(Obis(*groups))
    assert name is None or (name and name[0].isupper() and "{" not in name)


def test_units_have_the_symbols_of_the_blue_book() -> None:
    known = {
        7: "s",
        9: "°C",
        13: "m³",
        27: "W",
        30: "Wh",
        32: "varh",
        33: "A",
        35: "V",
        44: "Hz",
        56: "%",
        70: "dBm",
        255: "",
    }
    assert {unit: UNITS[unit] for unit in known} == known
    assert (unit_symbol(30), unit_symbol(255), unit_symbol(199)) == ("Wh", "", "unit 199")
