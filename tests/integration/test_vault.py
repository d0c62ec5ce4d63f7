"""The vault: what is stored is unreadable without the key-encryption key, and unusable in another place."""

from __future__ import annotations

import base64
import logging
import os
import pickle
import secrets
from pathlib import Path

import pytest

from drivers.dlms.security import Key, Secret
from headend.store.database import Connection
from headend.vault import KEK_VARIABLE, Kek, NewKey, Vault, create_kek, load_kek
from profiles.errors import SecurityError, SettingsError

KEY = Key(bytes(range(16)))
OTHER = Key(bytes(range(1, 17)))


@pytest.fixture
def vault() -> Vault:
    return Vault(Kek(bytes(32)))


async def test_keys_and_secrets_come_back_as_what_they_were(
    vault: Vault, connection: Connection, meters: list[int]
) -> None:
    one, two = meters[:2]
    keys = [
        NewKey(one, "encryption", KEY),
        NewKey(one, "lls_secret", Secret(b"12345678")),
        NewKey(two, "encryption", OTHER),
    ]
    assert await vault.put(connection, keys) == 3
    found = await vault.get(connection, meters)
    assert {meter: {kind: key.material for kind, key in of.items()} for meter, of in found.items()} == {
        one: {"encryption": KEY, "lls_secret": Secret(b"12345678")},
        two: {"encryption": OTHER},
    }


async def test_nothing_of_a_key_is_readable_in_the_database(
    vault: Vault, connection: Connection, meters: list[int]
) -> None:
    secret = b"a secret of some length"
    await vault.put(connection, [NewKey(meters[0], "hls_secret", Secret(secret)), NewKey(meters[1], "encryption", KEY)])
    cursor = await connection.execute("SELECT nonce || ciphertext, k::text FROM meter_key k")
    for octets, text in await cursor.fetchall():
        assert secret not in octets
        assert KEY.octets not in octets
        assert KEY.octets.hex() not in text


async def test_equal_keys_look_different_at_rest(vault: Vault, connection: Connection, meters: list[int]) -> None:
    await vault.put(connection, [NewKey(meter, "encryption", KEY) for meter in meters])
    cursor = await connection.execute("SELECT count(DISTINCT ciphertext), count(DISTINCT nonce) FROM meter_key")
    assert await cursor.fetchone() == (len(meters), len(meters))


async def test_a_changed_key_is_a_new_version_and_the_old_one_is_kept(
    vault: Vault, connection: Connection, meters: list[int]
) -> None:
    for material, stored in ((KEY, 1), (KEY, 0), (OTHER, 1), (KEY, 1)):
        assert await vault.put(connection, [NewKey(meters[0], "encryption", material)]) == stored
    found = (await vault.get(connection, meters))[meters[0]]["encryption"]
    assert (found.version, found.material) == (3, KEY)
    cursor = await connection.execute("SELECT version, state FROM meter_key ORDER BY version")
    assert await cursor.fetchall() == [(1, "retired"), (2, "retired"), (3, "active")]


async def test_a_new_key_stands_beside_the_active_one(vault: Vault, connection: Connection, meters: list[int]) -> None:
    await vault.put(connection, [NewKey(meters[0], "encryption", KEY)])
    await vault.put(connection, [NewKey(meters[0], "encryption", OTHER)], state="new")
    assert (await vault.get(connection, meters))[meters[0]]["encryption"].material == KEY
    assert (await vault.get(connection, meters, state="new"))[meters[0]]["encryption"].material == OTHER


async def test_another_kek_is_refused_by_name(vault: Vault, connection: Connection, meters: list[int]) -> None:
    await vault.put(connection, [NewKey(meters[0], "encryption", KEY)])
    wrong = Kek(bytes([1]) * 32)
    with pytest.raises(
        SettingsError, match=f"under key-encryption key {Kek(bytes(32)).id}, the one given is {wrong.id}"
    ):
        await Vault(wrong).get(connection, meters)


@pytest.mark.parametrize(
    "change",
    [
        "meter_id = meter_id + 1",
        "version = 2",
        "key_type = 'authentication'",
        "ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)",
        "nonce = set_byte(nonce, 11, get_byte(nonce, 11) # 128)",
    ],
)
async def test_a_record_altered_or_put_elsewhere_is_refused(
    vault: Vault, connection: Connection, meters: list[int], change: str
) -> None:
    await vault.put(connection, [NewKey(meters[0], "encryption", KEY)])
    await connection.execute(f"UPDATE meter_key SET {change}".encode())
    with pytest.raises(SecurityError, match="was altered"):
        await vault.get(connection, meters)


async def test_no_key_shows_itself_in_a_repr_a_log_or_a_pickle(
    vault: Vault, connection: Connection, meters: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    secret = Secret(b"correct horse battery")
    new = NewKey(meters[0], "hls_secret", secret)
    with caplog.at_level(logging.DEBUG):
        await vault.put(connection, [new])
        found = await vault.get(connection, meters)
    shown = f"{new!r} {found!r} {vault._kek!r} {caplog.text}"
    assert "correct horse" not in shown
    assert "redacted" in shown
    with pytest.raises(TypeError):
        pickle.dumps(found)


def test_a_new_kek_file_is_its_owners_alone_and_loads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEK_VARIABLE, raising=False)
    file = tmp_path / "new" / "kek"
    created = create_kek(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_kek(file).id == created.id
    with pytest.raises(SettingsError, match="is there already"):
        create_kek(file)
    assert load_kek(file).id == created.id


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_kek_file_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    monkeypatch.delenv(KEK_VARIABLE, raising=False)
    file = tmp_path / "kek"
    create_kek(file)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=f"open to others .*{mode:04o}.*chmod 600"):
        load_kek(file)


@pytest.mark.parametrize("form", ["hex", "base64", "hex with spaces"])
def test_a_kek_comes_from_the_environment_in_hex_or_base64(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    octets = secrets.token_bytes(32)
    text = base64.b64encode(octets).decode() if form == "base64" else octets.hex()
    monkeypatch.setenv(KEK_VARIABLE, f" {text}\n" if "spaces" in form else text)
    assert load_kek(None).id == Kek(octets).id


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31, "AA==", "no such thing", "é" * 64])
def test_a_kek_of_another_form_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(KEK_VARIABLE, text)
    with pytest.raises(SettingsError) as refused:
        load_kek(None)
    assert not text or text not in str(refused.value)


def test_no_kek_at_all_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEK_VARIABLE, raising=False)
    with pytest.raises(SettingsError, match="headend vault init"):
        load_kek(None)
    with pytest.raises(SettingsError, match="can't be read: No such file"):
        load_kek(tmp_path / "kek")
    (tmp_path / "kek").write_bytes(os.urandom(5))
    (tmp_path / "kek").chmod(0o600)
    with pytest.raises(SettingsError, match="neither 64 hex digits nor base64"):
        load_kek(tmp_path / "kek")
