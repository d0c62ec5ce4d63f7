"""The vault: keys and secrets of meters, encrypted at rest in the database under a key-encryption key (KEK).

The one rule: key octets leave here only inside `Key` and `Secret`, which show themselves nowhere. Each record is
AES-256-GCM under the KEK that it names, bound to its meter, key type and version, so that no record can be put in
another's place (NIST SP 800-38D; a nonce is drawn anew for every record).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drivers.dlms.security import Key, Secret
from headend.store.database import Connection, store_errors
from headend.store.statements import statement
from profiles.errors import SecurityError, SettingsError

KeyType = Literal["encryption", "authentication", "lls_secret", "hls_secret", "master"]
State = Literal["active", "new"]

KEY_TYPES: Final[tuple[KeyType, ...]] = get_args(KeyType)
SECRETS: Final = frozenset({"lls_secret", "hls_secret"})
"""Of any length; the other types are AES-128 keys."""

KEK_VARIABLE: Final = "HEADEND_KEK"
KEK_OCTETS: Final = 32
_NONCE_OCTETS: Final = 12


class Kek:
    """A key-encryption key; shows only its id, which is a digest."""

    __slots__ = ("_aead", "id")

    def __init__(self, octets: bytes) -> None:
        if len(octets) != KEK_OCTETS:
            raise SettingsError(
                f"a key-encryption key has {KEK_OCTETS} octets, not {len(octets)}",
                remedy="write it as 64 hex digits or in base64",
            )
        self._aead = AESGCM(octets)
        self.id = hashlib.sha256(b"headend key-encryption key id" + octets).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Kek({self.id})"

    def encrypt(self, nonce: bytes, plain: bytes, bound_to: bytes) -> bytes:
        return self._aead.encrypt(nonce, plain, bound_to)

    def decrypt(self, nonce: bytes, ciphertext: bytes, bound_to: bytes) -> bytes:
        """Raises cryptography's InvalidTag when the record is not what was stored here."""
        return self._aead.decrypt(nonce, ciphertext, bound_to)


def load_kek(file: Path | None) -> Kek:
    """The KEK of the environment variable HEADEND_KEK if it is set, else of `file`. Raises SettingsError."""
    text = os.environ.get(KEK_VARIABLE)
    if text is not None:
        return Kek(_octets(text, KEK_VARIABLE))
    if file is None:
        raise SettingsError(
            "there is no key-encryption key", remedy=f"make one with `headend vault init`, or set {KEK_VARIABLE}"
        )
    try:
        with open(file, "rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(1024)
    except OSError as error:
        raise SettingsError(
            f"the key-encryption key {file} can't be read: {error.strerror}",
            remedy="make one with `headend vault init`, or see vault.kek_file",
        ) from None
    if mode & 0o077:
        raise SettingsError(
            f"the key-encryption key {file} is open to others (mode {mode:04o})", remedy=f"chmod 600 {file}"
        )
    return Kek(content if len(content) == KEK_OCTETS else _octets(content.decode("ascii", "replace"), str(file)))


def create_kek(file: Path) -> Kek:
    """Draw a KEK and write it to a new file that only its owner can read. Raises SettingsError if there is one."""
    octets = secrets.token_bytes(KEK_OCTETS)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(octets.hex() + "\n")
            opened.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise SettingsError(
            f"{file} is there already; whoever replaces it loses every key stored under it", remedy="name another file"
        ) from None
    except OSError as error:
        raise SettingsError(f"the key-encryption key {file} can't be written: {error.strerror}") from None
    return Kek(octets)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key or secret to be stored for a meter."""

    meter_id: int
    key_type: KeyType
    material: Key | Secret


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key or secret as stored; `id` is what invocation counters belong to."""

    id: int
    meter_id: int
    key_type: KeyType
    version: int
    material: Key | Secret


class Vault:
    """Keys in the table `meter_key`, by meter and key type, in versions."""

    def __init__(self, kek: Kek) -> None:
        self._kek = kek

    async def get(
        self, connection: Connection, meter_ids: Sequence[int], *, state: State = "active"
    ) -> dict[int, dict[KeyType, StoredKey]]:
        """By meter and type; a meter without keys is left out.

        Raises SettingsError when another KEK is needed, SecurityError when a record was tampered with, StoreError.
        """
        parameters = {"meters": sorted(set(meter_ids)), "state": state}
        async with store_errors():
            cursor = await connection.execute(statement("keys_load"), parameters)
            rows = await cursor.fetchall()
        found: dict[int, dict[KeyType, StoredKey]] = {}
        for key_id, meter_id, key_type, version, kek_id, nonce, ciphertext in rows:
            material = self._decrypt(meter_id, key_type, version, kek_id, nonce, ciphertext)
            found.setdefault(meter_id, {})[key_type] = StoredKey(key_id, meter_id, key_type, version, material)
        return found

    async def check(self, connection: Connection) -> None:
        """See that this key-encryption key is that of the stored keys. Raises SettingsError, StoreError."""
        async with store_errors():
            row = await (await connection.execute(statement("keys_any"))).fetchone()
        if row is not None:
            with contextlib.suppress(SecurityError):  # altered: its own meter's fault
                await self.get(connection, [row[0]])

    async def put(self, connection: Connection, keys: Sequence[NewKey], *, state: State = "active") -> int:
        """Store keys, at most one a meter and type, as the next version; the version before is kept as `retired`.

        A key that equals the stored one is left alone. Returns how many were stored. Raises as `get`.
        """
        async with connection.transaction():
            stored = await self.get(connection, [key.meter_id for key in keys], state=state)
            fresh = [key for key in keys if not _same(stored, key)]
            if not fresh:
                return 0
            versions = await self._next_versions(connection, fresh)
            records = [(key, version, secrets.token_bytes(_NONCE_OCTETS)) for key, version in versions]
            parameters = {
                "meter_id": [key.meter_id for key, _, _ in records],
                "key_type": [key.key_type for key, _, _ in records],
                "version": [version for _, version, _ in records],
                "nonce": [nonce for _, _, nonce in records],
                "ciphertext": [self._encrypt(*record) for record in records],
                "kek_id": self._kek.id,
                "state": state,
            }
            async with store_errors():
                await connection.execute(statement("keys_retire"), parameters)
                await connection.execute(statement("keys_store"), parameters)
        return len(fresh)

    async def _next_versions(self, connection: Connection, keys: Sequence[NewKey]) -> list[tuple[NewKey, int]]:
        async with store_errors():
            cursor = await connection.execute(
                statement("keys_versions"), {"meters": sorted({key.meter_id for key in keys})}
            )
            highest = {(meter_id, key_type): version for meter_id, key_type, version in await cursor.fetchall()}
        return [(key, highest.get((key.meter_id, key.key_type), 0) + 1) for key in keys]

    def _encrypt(self, key: NewKey, version: int, nonce: bytes) -> bytes:
        return self._kek.encrypt(nonce, key.material.octets, _bound_to(key.meter_id, key.key_type, version))

    def _decrypt(
        self, meter_id: int, key_type: KeyType, version: int, kek_id: str, nonce: bytes, ciphertext: bytes
    ) -> Key | Secret:
        if kek_id != self._kek.id:
            raise SettingsError(
                f"the keys in this database are under key-encryption key {kek_id}, the one given is {self._kek.id}",
                remedy=f"give the right one in vault.kek_file or {KEK_VARIABLE}",
            )
        try:
            octets = self._kek.decrypt(nonce, ciphertext, _bound_to(meter_id, key_type, version))
        except InvalidTag:
            raise SecurityError(
                f"the stored {key_type} (version {version}) of meter id {meter_id} was altered",
                remedy="restore meter_key from a backup, or import the key again",
            ) from None
        return Secret(octets) if key_type in SECRETS else Key(octets)


def _same(stored: Mapping[int, Mapping[KeyType, StoredKey]], key: NewKey) -> bool:
    there = stored.get(key.meter_id, {}).get(key.key_type)
    return there is not None and there.material == key.material


def _bound_to(meter_id: int, key_type: str, version: int) -> bytes:
    return f"headend meter_key {meter_id} {key_type} {version}".encode()


def _octets(text: str, origin: str) -> bytes:
    text = text.strip()
    try:
        return bytes.fromhex(text) if len(text) == 2 * KEK_OCTETS else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise SettingsError(
            f"the key-encryption key in {origin} is neither 64 hex digits nor base64 of {KEK_OCTETS} octets"
        ) from None
