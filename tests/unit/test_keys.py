"""Where a meter's keys come from, before it is asked: command line, key file, environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.address import parse_address
from drivers.credentials import CounterRange
from drivers.dlms.security import SUITES, PrivateKey
from headend.keys import (
    ENVIRONMENT,
    KeySources,
    credentials_from,
    is_key_itself,
    key_given,
    key_texts,
    needed_keys,
    secret_from,
    symmetric_key,
    title_from,
)
from profiles.errors import SettingsError
from profiles.loader import load_meter_type

TYPE = load_meter_type("is15959-1ph")
READER, PUBLIC = TYPE.associations["meter_reader"], TYPE.associations["public"]
UTILITY = TYPE.associations["utility_setting"]
ADDRESS = parse_address("tcp://127.1.0.1:4059")
KEY, OTHER = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


def test_keys_come_from_the_command_line_then_the_file_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "meter.toml"
    file.write_text(f'authentication_key = "{OTHER}"\nlls_secret = "from file"\nhls_secret = "of the other one"')
    monkeypatch.setenv("HEADEND_ENCRYPTION_KEY", KEY)
    monkeypatch.setenv("HEADEND_AUTHENTICATION_KEY", KEY)
    monkeypatch.setenv("HEADEND_SECRET", "from environment")
    keys = key_texts(KeySources(file), ADDRESS, READER)
    assert (keys["encryption_key"], keys["authentication_key"], keys["secret"]) == (KEY, OTHER, "from file")
    assert key_texts(KeySources(file), ADDRESS, UTILITY)["secret"] == "of the other one"
    assert key_texts(KeySources(file, {"secret": "typed"}), ADDRESS, READER)["secret"] == "typed"


def test_keys_come_from_the_row_of_a_meter_list_that_has_the_address(tmp_path: Path) -> None:
    file = tmp_path / "meters.csv"
    file.write_text(
        "name,address,encryption_key,authentication_key,lls_secret,hls_secret\n"
        f"a,tcp://127.1.0.2:4059,{OTHER},{OTHER},other,\n"
        f"b,tcp://127.1.0.1?client=48,{KEY},{OTHER},secret,\n"
    )
    keys = key_texts(KeySources(file), ADDRESS, READER)
    assert (keys["encryption_key"], keys["secret"]) == (KEY, "secret")
    with pytest.raises(SettingsError, match=r"has no meter with the address tcp://127\.1\.0\.9:4059"):
        key_texts(KeySources(file), parse_address("tcp://127.1.0.9"), READER)


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
        key_texts(KeySources(file), ADDRESS, READER)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml can't be read: No such file"):
        key_texts(KeySources(tmp_path / "none.toml"), ADDRESS, READER)


def test_a_missing_key_or_password_says_where_it_may_be_put() -> None:
    with pytest.raises(SettingsError, match="no encryption key was given") as caught:
        symmetric_key({}, "encryption_key", READER)
    assert "HEADEND_ENCRYPTION_KEY" in str(caught.value)
    with pytest.raises(SettingsError, match="no lls_secret was given") as caught:
        secret_from({}, READER)
    assert "HEADEND_SECRET" in str(caught.value)
    assert secret_from({}, PUBLIC) is None


@pytest.mark.parametrize("text", ["", "0011", KEY + "00", "hunter2hunter2hunter2hunter2hunt"])
def test_a_key_that_is_none_is_named_but_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        symmetric_key({"encryption_key": text}, "encryption_key", READER)
    assert str(caught.value).startswith("encryption key: ")
    assert "hunter2" not in str(caught.value)


def test_keys_stand_in_no_repr() -> None:
    assert KEY not in repr(KeySources(given={"encryption_key": KEY}))
    assert KEY not in repr(symmetric_key({"encryption_key": KEY}, "encryption_key", READER)).lower()


def test_a_system_title_has_sixteen_hex_digits() -> None:
    assert title_from("534D413132333435") == b"SMA12345"
    assert title_from(None) == b""
    for text in ("", "SMA12345", "534D41", "534D41313233343536"):
        with pytest.raises(SettingsError, match="is not a system title"):
            title_from(text)


# --- on the command line ---------------------------------------------------------------------------------------


def test_a_key_on_the_command_line_is_hex_or_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text(f"{OTHER}\n")
    monkeypatch.setenv("OUR_KEY", KEY)
    for text, found, itself in (
        (KEY, KEY, True),
        (str(file), OTHER, False),
        (f"@{file}", OTHER, False),
        ("env:OUR_KEY", KEY, False),
    ):
        assert key_given("encryption_key", text) == found
        assert is_key_itself("encryption_key", text) is itself
    assert (key_given("secret", str(file)), is_key_itself("secret", str(file))) == (str(file), True)
    assert (key_given("secret", f"@{file}"), is_key_itself("secret", f"@{file}")) == (OTHER, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("env:NO_SUCH_VARIABLE", "no environment variable 'NO_SUCH_VARIABLE'"),
        ("@no/such/file", "no/such/file can't be read: No such file or directory"),
        ("@.", "can't be read: Is a directory"),
        ("0011223344556677889hunter2", "neither hex digits nor a file"),
        ("nul\0", "neither hex digits nor a file"),
        ("x" * 9000, "neither hex digits nor a file"),
    ],
)
def test_a_key_that_is_nowhere_is_said_without_showing_what_may_be_one(text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        key_given("encryption_key", text)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="holds no text"):
        key_given("encryption_key", str(file))


# --- what an association needs ---------------------------------------------------------------------------------


def test_each_association_needs_just_its_keys() -> None:
    keys = ("encryption_key", "authentication_key")
    assert needed_keys(PUBLIC) == ()
    assert needed_keys(replace(PUBLIC, mechanism=5)) == keys
    assert needed_keys(READER) == (*keys, "secret")
    assert needed_keys(replace(PUBLIC, mechanism=7)) == ("signing_key", "peer_signing_key")
    assert needed_keys(replace(PUBLIC, signed=True)) == ("signing_key", "peer_signing_key")
    general = replace(READER, mechanism=0, ciphering="general-ciphering")
    assert needed_keys(general) == keys
    assert needed_keys(replace(general, key_origin="wrapped")) == (*keys, "master_key")
    assert needed_keys(replace(general, key_origin="static-unified")) == (*keys, "agreement_key", "peer_agreement_key")
    assert set(needed_keys(replace(general, key_origin="one-pass", signed=True))) == {
        *keys,
        "signing_key",
        "peer_signing_key",
        "agreement_key",
        "peer_agreement_key",
    }


def test_credentials_hold_every_key_that_is_needed_and_no_other() -> None:
    pairs = {
        name: PrivateKey.generate(SUITES[1]) for name in ("signing", "agreement", "peer_signing", "peer_agreement")
    }
    texts = {"encryption_key": KEY, "authentication_key": OTHER, "master_key": KEY, "secret": "open"}
    texts |= {f"{name}_key": pairs[name].octets.hex() for name in ("signing", "agreement")}
    texts |= {f"{name}_key": pairs[name].public.octets.hex() for name in ("peer_signing", "peer_agreement")}
    kind = replace(READER, mechanism=7, security_control=0x31, ciphering="general-ciphering", key_origin="one-pass")
    found = credentials_from(texts, kind, client_title=b"HES00000", counters=CounterRange(5, 9))
    assert found.encryption_key is not None
    assert found.encryption_key.octets.hex() == KEY
    assert found.signing_key is not None
    assert found.signing_key.octets == pairs["signing"].octets
    assert (found.peer_signing_key, found.peer_agreement_key) == (
        pairs["peer_signing"].public,
        pairs["peer_agreement"].public,
    )
    assert (found.secret, found.master_key, found.counters.next) == (None, None, 5)
    assert credentials_from(texts, PUBLIC) == credentials_from({}, PUBLIC)


def test_a_key_of_another_suite_is_refused_before_a_meter_is_asked() -> None:
    texts = {"encryption_key": KEY, "authentication_key": OTHER}
    with pytest.raises(SettingsError, match="encryption key: 16 octets, security suite 2 has keys of 32"):
        credentials_from(texts, replace(READER, mechanism=0, security_control=0x32))
    signing = {"signing_key": PrivateKey.generate(SUITES[2]).octets.hex(), "peer_signing_key": "00" * 64}
    kind = replace(PUBLIC, mechanism=7, security_control=0x01)
    with pytest.raises(SettingsError, match="signing key: it belongs to security suite 2, not to 1"):
        credentials_from(signing, kind)
    own = {"signing_key": PrivateKey.generate(SUITES[1]).octets.hex()}
    for wrong in ("00" * 64, "00", "zz"):
        with pytest.raises(SettingsError, match="peer signing key: "):
            credentials_from(own | {"peer_signing_key": wrong}, kind)
    for wrong in ("00" * 32, "00", "zz"):
        with pytest.raises(SettingsError, match="signing key: "):
            credentials_from({"signing_key": wrong, "peer_signing_key": "00" * 64}, kind)
