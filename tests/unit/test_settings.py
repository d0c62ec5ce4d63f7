"""Settings: every fault names its key, the file and the environment variable, and shows no value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headend import settings as settings_module
from headend.settings import Settings, load_settings
from profiles.errors import SettingsError

SAMPLE = Path(__file__).parents[2] / "config" / "headend.toml"
SECTIONS = ("utility", "database", "vault", "collection", "spool", "log")
SETTING = re.compile(r"(# )?[a-z_]+ = |\[[a-z]+\]$")
"""A line of the sample that sets a key, commented out or not, or begins a section."""
Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("HEADEND_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings_module, "DEFAULT_FILE", tmp_path / "default.toml")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "headend.toml"
        path.write_text(text)
        return path

    return write


def refused(file: Path | None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None)
    assert settings == Settings()
    assert (settings.collection.tick_s, settings.utility.zone, settings.database.dsn) == (60, "Asia/Kolkata", "")


def test_the_default_file_is_read_where_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text("collection.tick_s = 90")
    assert load_settings(None).collection.tick_s == 90


def test_the_sample_file_names_every_key_with_its_default(write: Write) -> None:
    said = [line for line in SAMPLE.read_text().splitlines() if SETTING.match(line)]
    text = "\n".join(line.removeprefix("# ") for line in said if not line.startswith("# meter_types"))
    settings, defaults = load_settings(write(text.replace("chunk_days = 7\n", ""))), Settings()
    for section in ("collection", "log", "utility", "database", "upkeep"):
        assert getattr(settings, section) == getattr(defaults, section)
    for section, fields in ((name, type(getattr(defaults, name)).model_fields) for name in SECTIONS):
        part = text.split(f"[{section}]")[1].split("[")[0]
        assert fields.keys() == {line.split(" = ")[0] for line in part.split("\n") if line}


def test_the_environment_wins_over_the_file_key_by_key(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("[collection]\ntick_s = 60\nattempts = 3\n[log]\nlevel = 'debug'")
    monkeypatch.setenv("HEADEND_COLLECTION__TICK_S", "30")
    monkeypatch.setenv("HEADEND_DATABASE__DSN", "postgresql:///readings")
    settings = load_settings(file)
    assert (settings.collection.tick_s, settings.collection.attempts) == (30, 3)
    assert (settings.log.level, settings.database.dsn) == ("debug", "postgresql:///readings")


def test_paths_in_the_file_count_from_its_own_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("meter_types = ['types/a.toml', '/etc/b.toml']\nvault.kek_file = 'kek'\ndatabase.folder = '../data'")
    monkeypatch.chdir("/")
    settings = load_settings(file)
    assert settings.vault.kek_file == tmp_path / "kek"
    assert settings.database.folder == tmp_path / "../data"
    assert settings.meter_types == (tmp_path / "types/a.toml", Path("/etc/b.toml"))


@pytest.mark.parametrize(
    ("text", "key", "variable"),
    [
        ("collection.tick_s = 0", "collection.tick_s", "COLLECTION__TICK_S"),
        ("collection.tick_s = 'often'", "collection.tick_s", "COLLECTION__TICK_S"),
        ("collection.tick_s = nan", "collection.tick_s", "COLLECTION__TICK_S"),
        ("collection.tick_s = inf", "collection.tick_s", "COLLECTION__TICK_S"),
        ("collection.attempts = 11", "collection.attempts", "COLLECTION__ATTEMPTS"),
        ("collection.attempts = 1.5", "collection.attempts", "COLLECTION__ATTEMPTS"),
        ("collection.segment = 0", "collection.segment", "COLLECTION__SEGMENT"),
        ("collection.max_open_sessions = 1_000_000", "collection.max_open_sessions", "COLLECTION__MAX_OPEN_SESSIONS"),
        ("collection.counter_reserve = 2", "collection.counter_reserve", "COLLECTION__COUNTER_RESERVE"),
        ("collection.counter_step = 4_294_967_296", "collection.counter_step", "COLLECTION__COUNTER_STEP"),
        ("collection.session_timeout_s = -1", "collection.session_timeout_s", "COLLECTION__SESSION_TIMEOUT_S"),
        ("collection = 7", "collection", "COLLECTION"),
        ("collection.cycles = 60", "collection.cycles", "COLLECTION__CYCLES"),
        ("colection.tick_s = 90", "colection", "COLECTION"),
        ("log.level = 'loud'", "log.level", "LOG__LEVEL"),
        ("log.format = 7", "log.format", "LOG__FORMAT"),
        ("database.chunk_days = 0", "database.chunk_days", "DATABASE__CHUNK_DAYS"),
        ("database.connections = 1", "database.connections", "DATABASE__CONNECTIONS"),
        ("database.dsn = 'postgresql//nobody'", "database.dsn", "DATABASE__DSN"),
        ("utility.zone = 'Asia/Kolkatta'", "utility.zone", "UTILITY__ZONE"),
        ("utility.zone = '../zones'", "utility.zone", "UTILITY__ZONE"),
        ("vault.kek_file = 7", "vault.kek_file", "VAULT__KEK_FILE"),
        ("meter_types = 'one.toml'", "meter_types", "METER_TYPES"),
        ("meter_types = [7]", "meter_types.0", "METER_TYPES__0"),
    ],
)
def test_a_wrong_or_unknown_setting_names_its_key_the_file_and_the_variable(
    write: Write, text: str, key: str, variable: str
) -> None:
    file = write(text)
    said = refused(file)
    assert said.startswith(f"{key}: ")
    assert str(file) in said
    assert f"HEADEND_{variable}" in said
    assert "config/headend.toml explains every key" in said


def test_a_wrong_variable_names_its_key_and_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADEND_COLLECTION__TICK_S", "soon")
    said = refused(None)
    assert said.startswith("collection.tick_s: ")
    assert "HEADEND_COLLECTION__TICK_S" in said


def test_a_misspelt_section_in_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADEND_COLECTION__TICK_S", "60")
    assert "HEADEND_COLECTION__TICK_S" in refused(None)


def test_a_variable_that_holds_a_whole_section_badly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADEND_DATABASE", "postgresql:///readings")
    assert "database" in refused(None)


def test_variables_that_are_no_settings_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADEND_KEK", "HEADEND_ENCRYPTION_KEY", "HEADEND_SECRET"):
        monkeypatch.setenv(name, "x")
    assert load_settings(None) == Settings()


def test_the_file_that_the_environment_names_is_taken_whoever_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "headend.toml"
    monkeypatch.setenv("HEADEND_CONFIG", str(file))
    with pytest.raises(SettingsError, match="can't be read"):
        load_settings(None)
    file.write_text("[acts]\nper_hour = 2\n")
    assert load_settings(None).acts.per_hour == 2


@pytest.mark.parametrize("content", [b"collection.tick_s = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "headend.toml"
    file.write_bytes(content)
    assert refused(file).startswith(f"{file} ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.toml") == f"{tmp_path / 'none.toml'} can't be read: No such file or directory"
    assert refused(tmp_path) == f"{tmp_path} can't be read: Is a directory"


@pytest.mark.parametrize(
    "text",
    [
        "database.dsn = 'postgresql://hes:hunter2@[db/readings'",
        "database.dsn = ['hunter2']",
        "database.password = 'hunter2'",
        "collection.tick_s = 'hunter2'",
    ],
)
def test_no_value_stands_in_an_error(write: Write, text: str) -> None:
    assert "hunter2" not in refused(write(text))


def test_no_password_stands_in_a_repr(write: Write) -> None:
    settings = load_settings(write("database.dsn = 'postgresql://hes:hunter2@db/readings'"))
    assert "hunter2" not in repr(settings) + str(settings)
