"""What `headend read` makes of times, ranges and keys, before a meter is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.address import parse_address
from headend.single_read import ENVIRONMENT, SingleRead, _key, _keys, _secret, _title, parse_time, whole_intervals
from profiles.errors import SettingsError
from profiles.loader import load_meter_type

INDIA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 3, 1, 20, 7, 3, 250_000, tzinfo=UTC)
"""2026-03-02 01:37 in India."""
TYPE = load_meter_type("is15959-1ph")
READER, PUBLIC = TYPE.associations["meter_reader"], TYPE.associations["public"]
UTILITY = TYPE.associations["utility_setting"]
ADDRESS = parse_address("tcp://127.1.0.1:4059")
KEY, OTHER = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("today", datetime(2026, 3, 1, 18, 30, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, 18, 30, tzinfo=UTC)),
        ("2026-01-01", datetime(2025, 12, 31, 18, 30, tzinfo=UTC)),
        ("2026-01-01T06:15", datetime(2026, 1, 1, 0, 45, tzinfo=UTC)),
        ("2026-01-01 06:15:30", datetime(2026, 1, 1, 0, 45, 30, tzinfo=UTC)),
        ("2026-01-01T00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00+01:00", datetime(2025, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_the_meters_own_unless_it_names_an_offset(text: str, moment: datetime) -> None:
    found = parse_time(text, INDIA, NOW)
    assert (found, found.utcoffset()) == (moment, timedelta(0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "NOW",
        "2026-13-01",
        "2026-02-30",
        "25:00",
        "1999-12-31",
        "2100-01-01",
        "0001-01-01",
        "9999-12-31",
    ],
)
def test_what_is_no_time_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_time(text, INDIA, NOW)
    assert str(caught.value).startswith(f"{text!r} is not a time")
    assert "write 2026-01-31, 2026-01-31T06:15, now, today or yesterday" in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_time_of_this_century_or_a_settings_error(text: str) -> None:
    try:
        moment = parse_time(text, INDIA, NOW)
    except SettingsError:
        return
    assert 1999 <= moment.year <= 2100


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.sampled_from([60, 300, 900, 1800, 3600, 86_400]),
    st.sampled_from(["Asia/Kolkata", "Asia/Kathmandu", "UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
)
def test_whole_intervals_are_those_of_the_grid_that_begin_within(
    start: datetime, length: timedelta, period_s: int, zone: str
) -> None:
    end, period, of = start + length, timedelta(seconds=period_s), ZoneInfo(zone)
    midnight = start.astimezone(of).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    try:
        first, until = whole_intervals(start, end, period_s, of)
    except SettingsError:
        steps = (start - midnight) / period
        assert (steps == int(steps) and not length) or midnight + (int(steps) + 1) * period >= end
        return
    assert (first - midnight) % period == (until - midnight) % period == timedelta(0)
    assert start <= first < start + period
    assert end <= until < end + period
    assert first.utcoffset() == until.utcoffset() == timedelta(0)


def test_the_grid_goes_on_through_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, end = datetime(2026, 3, 29, 0, 50, tzinfo=UTC), datetime(2026, 3, 29, 1, 20, tzinfo=UTC)
    assert whole_intervals(start, end, 1800, berlin) == (
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    )


def test_a_span_in_which_nothing_begins_is_refused() -> None:
    start = datetime(2026, 1, 1, 0, 46, tzinfo=UTC)
    with pytest.raises(SettingsError, match="no interval of 900 s begins between 2026-01-01 06:16 and"):
        whole_intervals(start, start + timedelta(minutes=13), 900, INDIA)


# --- keys -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


def wanted(key_file: Path | None = None, **given_keys: str) -> SingleRead:
    return SingleRead(
        address="tcp://127.1.0.1",
        profile="block_load",
        start="yesterday",
        end="now",
        meter_type="is15959-1ph",
        key_file=key_file,
        given_keys=given_keys,
        ask=False,
        system_title=None,
        counter_file=None,
        accept_counter=False,
    )


def test_keys_come_from_the_command_line_then_the_file_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "meter.toml"
    file.write_text(f'authentication_key = "{OTHER}"\nlls_secret = "from file"\nhls_secret = "of the other one"')
    monkeypatch.setenv("HEADEND_ENCRYPTION_KEY", KEY)
    monkeypatch.setenv("HEADEND_AUTHENTICATION_KEY", KEY)
    monkeypatch.setenv("HEADEND_SECRET", "from environment")
    keys = _keys(wanted(file), ADDRESS, READER)
    assert (keys["encryption_key"], keys["authentication_key"], keys["secret"]) == (KEY, OTHER, "from file")
    assert _keys(wanted(file), ADDRESS, UTILITY)["secret"] == "of the other one"
    assert _keys(wanted(file, secret="typed"), ADDRESS, READER)["secret"] == "typed"


def test_keys_come_from_the_row_of_a_meter_list_that_has_the_address(tmp_path: Path) -> None:
    file = tmp_path / "meters.csv"
    file.write_text(
        "name,address,encryption_key,authentication_key,lls_secret,hls_secret\n"
        f"a,tcp://127.1.0.2:4059,{OTHER},{OTHER},other,\n"
        f"b,tcp://127.1.0.1?client=48,{KEY},{OTHER},secret,\n"
    )
    keys = _keys(wanted(file), ADDRESS, READER)
    assert (keys["encryption_key"], keys["secret"]) == (KEY, "secret")
    with pytest.raises(SettingsError, match=r"has no meter with the address tcp://127\.1\.0\.9:4059"):
        _keys(wanted(file), parse_address("tcp://127.1.0.9"), READER)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("meter.toml", b"encryption_key = ", "neither TOML nor a meter list"),
        ("meter.toml", b"\xff\xfe", "neither TOML nor a meter list"),
        ("meter.csv", b"\xff\xfe", "neither TOML nor a meter list"),
        ("meter.toml", b'encription_key = "00"', "encription_key is not known"),
        ("meter.toml", b"encryption_key = 7", "encryption_key is not text in quotes"),
    ],
)
def test_a_bad_key_file_is_named_and_nothing_of_it_is_shown(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        _keys(wanted(file), ADDRESS, READER)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml can't be read: No such file"):
        _keys(wanted(tmp_path / "none.toml"), ADDRESS, READER)


def test_a_missing_key_or_password_says_where_it_may_be_put() -> None:
    with pytest.raises(SettingsError, match="no encryption key was given") as caught:
        _key({}, "encryption_key")
    assert "HEADEND_ENCRYPTION_KEY" in str(caught.value)
    with pytest.raises(SettingsError, match="no lls_secret was given") as caught:
        _secret({}, READER)
    assert "HEADEND_SECRET" in str(caught.value)
    assert _secret({}, PUBLIC) is None


@pytest.mark.parametrize("text", ["", "0011", KEY + "00", "hunter2hunter2hunter2hunter2hunt"])
def test_a_key_that_is_none_is_named_but_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _key({"encryption_key": text}, "encryption_key")
    assert str(caught.value).startswith("encryption key: ")
    assert "hunter2" not in str(caught.value)


def test_keys_stand_in_no_repr() -> None:
    assert KEY not in repr(wanted(encryption_key=KEY))
    assert KEY not in repr(_key({"encryption_key": KEY}, "encryption_key")).lower()


def test_a_system_title_has_sixteen_hex_digits() -> None:
    assert _title("534D413132333435") == b"SMA12345"
    assert _title(None) == b""
    for text in ("", "SMA12345", "534D41", "534D41313233343536"):
        with pytest.raises(SettingsError, match="is not a system title"):
            _title(text)
