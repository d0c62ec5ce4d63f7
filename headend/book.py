"""The engineer's own book of meters: name, address, type, serial number, system title and keys, in one file.

The one rule: keys stand in it sealed (`headend.book_lock`), bound to all else that is told of their meter, so that a
changed address gets no password; and nothing but `SavedMeter.keys` gives them out. The file is its owner's alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from drivers.address import parse_address
from drivers.dlms.security import Key, PrivateKey, PublicKey
from headend.book_lock import Lock, new_lock, open_lock
from headend.counter_file import lock_file
from headend.keys import FILE_NAMES, secret_of, title_from
from headend.own_files import BOOK_VARIABLE
from profiles.errors import HeadEndError, SettingsError
from profiles.loader import load_meter_type
from profiles.whole_file import check_file, written_whole

KEYS: Final[tuple[str, ...]] = tuple(name for name in FILE_NAMES if name != "system_title")
"""The keys that may be kept of a meter, named as in key files."""

_TOLD: Final = ("address", "meter_type", "serial", "system_title")
_LONGEST: Final = 500
_MOST_OCTETS: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be kept of a meter. Empty: not known, or left as it is."""

    name: str
    address: str = ""
    meter_type: str = ""
    serial: str = ""
    system_title: str = ""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """SettingsError where anything is not what it should be; a key is not shown."""
        if not self.name.strip() or not self.name.isprintable() or ":" in self.name or self.name.startswith("-"):
            raise SettingsError(f"{self.name!r} is no name for a meter", remedy="it has no colon and begins with no -")
        for text in (self.name, *(getattr(self, name) for name in _TOLD), *self.keys.values()):
            if len(text) > _LONGEST:
                raise SettingsError(f"{self.name[:40]}: no part of an entry is longer than {_LONGEST} characters")
        parse_address(self.address)
        if self.meter_type:
            load_meter_type(self.meter_type)
        title_from(self.system_title or None)
        for name, text in self.keys.items():
            _check_key(name, text)


@dataclass(frozen=True, slots=True)
class SavedMeter:
    """A meter in the book. Empty: not known. `system_title`: hex in capitals; `holds`: names of the keys kept."""

    name: str
    address: str
    meter_type: str
    serial: str
    system_title: str
    holds: tuple[str, ...]
    sealed: str = field(repr=False)
    book: Book = field(repr=False, compare=False)

    def keys(self) -> dict[str, str]:
        """The keys by name, as a key file has them. Opens the book's lock, which may ask for the passphrase."""
        return self.book.keys_of(self)

    def told(self) -> dict[str, str]:
        """All but the keys."""
        return {"name": self.name} | {name: getattr(self, name) for name in _TOLD}


class Book:
    """One book (JSON, mode 0600)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Lock | None = None

    def meters(self) -> dict[str, SavedMeter]:
        """All of them by name, in order of their names. No lock is opened."""
        meters = self._read()["meters"]
        return {name: self._saved(name, meters[name]) for name in sorted(meters)}

    def keep(self, entries: Sequence[Entry], *, change: bool = False) -> int:
        """Keep meters, all or, with any fault, none. How many are new, or other than before.

        With `change` what is there already is changed where an entry says something; else it is an error.
        """
        with self._changing() as state:
            kept = 0
            for entry in entries:
                if entry.name in state["meters"] and not change:
                    raise SettingsError(f"{entry.name} is in the book already", remedy="with --change it is changed")
                kept += self._keep(state, entry)
            return kept

    def remove(self, name: str) -> None:
        """Forget a meter and its keys. SettingsError where there is none."""
        with self._changing() as state:
            if state["meters"].pop(name, None) is None:
                raise SettingsError(f"there is no {name!r} in the book", remedy="`headend book list` lists it")

    def rename(self, name: str, new_name: str) -> None:
        """Call a meter otherwise. SettingsError where there is none of that name, or one of the new name."""
        with self._changing() as state:
            if name not in state["meters"]:
                raise SettingsError(f"there is no {name!r} in the book", remedy="`headend book list` lists it")
            if new_name in state["meters"]:
                raise SettingsError(f"{new_name} is in the book already", remedy="choose another name")
            old = self._saved(name, state["meters"][name])
            self._keep(state, Entry(**(old.told() | {"name": new_name}), keys=self._keys_of(state, old)))
            del state["meters"][name]

    def keys_of(self, meter: SavedMeter) -> dict[str, str]:
        """See `SavedMeter.keys`."""
        return self._keys_of(self._read(), meter)

    def _keep(self, state: dict[str, Any], entry: Entry) -> bool:
        """Put what an entry says over what is there; whether that changed anything."""
        old = state["meters"].get(entry.name)
        known = None if old is None else self._saved(entry.name, old)
        before = dict.fromkeys(_TOLD, "") if known is None else known.told()
        told: dict[str, Any] = {name: getattr(entry, name) or before[name] for name in _TOLD}
        told["system_title"] = told["system_title"].upper()
        Entry(entry.name, **told, keys=entry.keys).check()
        moved = known is None or any(told[name] != before[name] for name in _TOLD)
        if not moved and not entry.keys:
            return False
        held = {} if known is None else self._keys_of(state, known)
        keys = held | dict(entry.keys)
        if not moved and keys == held:
            return False
        bound_to = _bound_to(entry.name, told)
        sealed = self._opened(state).seal(json.dumps(keys, sort_keys=True).encode(), bound_to) if keys else ""
        state["meters"][entry.name] = told | {"holds": sorted(keys), "sealed": sealed}
        return True

    def _keys_of(self, state: dict[str, Any], meter: SavedMeter) -> dict[str, str]:
        """SecurityError where the entry was altered."""
        if not meter.holds:
            return {}
        lock = self._opened(state)
        try:
            found = json.loads(lock.unseal(meter.sealed, _bound_to(meter.name, meter.told())))
        except HeadEndError as error:
            error.remedy = f"see who wrote to the book; `headend book remove {meter.name}`, and add the meter again"
            raise error.at(asked=f"keys of {meter.name}") from None
        return dict(found)

    def _opened(self, state: dict[str, Any]) -> Lock:
        """The lock of the book; a new one where there is none yet."""
        if self._lock is None:
            if state["lock"] is None:
                self._lock, state["lock"] = new_lock()
            else:
                self._lock = open_lock(state["lock"])
        return self._lock

    def _saved(self, name: str, one: Mapping[str, Any]) -> SavedMeter:
        told = {key: one[key] for key in _TOLD}
        return SavedMeter(name, **told, holds=tuple(one["holds"]), sealed=one["sealed"], book=self)

    # --- the file -----------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            check_file(self.path)
            if not self.path.exists():
                return {"lock": None, "meters": {}}
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_MOST_OCTETS)
        except OSError as error:
            raise self._unusable(error) from None
        if mode & 0o077:
            raise SettingsError(f"the book {self.path} is open to others", remedy=f"chmod 600 {self.path}")
        return _parsed(content, self.path)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """What the book holds, for one process at a time; written back, durably, where all went well."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.path.with_name(f"{self.path.name}.lock"), "a") as lock:
                lock_file(lock.fileno(), f"the book {self.path}")
                state = self._read()
                yield state
                with written_whole(self.path, 0o600) as file:
                    file.write(json.dumps(state, indent=1, ensure_ascii=False).encode())
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"the book {self.path} can't be used: {error.strerror or error}", remedy=f"see {BOOK_VARIABLE}"
        )


def _bound_to(name: str, told: Mapping[str, str]) -> bytes:
    return json.dumps([name, *(told[key] for key in _TOLD)], ensure_ascii=False).encode()


def _check_key(name: str, text: str) -> None:
    try:
        if name not in KEYS:
            raise SettingsError("is no key that can be kept")
        if name.endswith("_secret"):
            secret_of(text)
        elif name in ("encryption_key", "authentication_key", "master_key"):
            Key.from_hex(text)
        elif name.startswith("peer_"):
            PublicKey(bytes.fromhex(text))
        else:
            PrivateKey(bytes.fromhex(text))
    except ValueError:
        raise SettingsError("is not a row of hex digits", asked=name) from None
    except HeadEndError as error:
        raise SettingsError(error.message, asked=name) from None


def _parsed(content: bytes, path: Path) -> dict[str, Any]:
    """What the file holds, if it is a book."""
    try:
        state = json.loads(content)
        lock, meters = state["lock"], state["meters"]
        texts = [one[key] for one in meters.values() for key in (*_TOLD, "sealed")]
        texts += [name for one in meters.values() for name in one["holds"]]
        if lock is not None:
            texts += [lock["proof"], lock["entry"] if lock["by"] == "keyring" else bytes.fromhex(lock["salt"]).hex()]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SettingsError(f"{path} is no book, or is damaged", remedy="put a copy of it in its place") from None
    return dict(state)
