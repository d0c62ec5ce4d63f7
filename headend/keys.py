"""A meter's keys and secrets from where people keep them, for commands that need no database.

The command line wins over the key file, the file over the environment; what is still missing can be asked for. The one
rule: no key is shown, whatever is wrong with it.
"""

from __future__ import annotations

import contextlib
import csv
import getpass
import os
import tomllib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from drivers.address import Address, parse_address
from drivers.credentials import CounterRange, Credentials
from drivers.dlms.security import Key, PrivateKey, PublicKey, Secret
from drivers.dlms.security.suites import SUITES
from headend.words import spoken, words
from profiles.errors import HeadEndError, SecurityError, SettingsError
from profiles.meter_type import Association

KEY_NAMES: Final = (
    "encryption_key",
    "authentication_key",
    "master_key",
    "signing_key",
    "peer_signing_key",
    "agreement_key",
    "peer_agreement_key",
)
ENVIRONMENT: Final = {name: f"HEADEND_{name.upper()}" for name in (*KEY_NAMES, "secret")}
FILE_NAMES: Final = (*KEY_NAMES, "lls_secret", "hls_secret", "system_title")
"""What a key file may hold of a meter, beside keys the title by which it proves to be the one they belong to."""
METER_TYPE: Final = "meter_type"
"""The column of a meter list that says of which type its meter is."""
FILE_REMEDIES: Final = {
    "no_key_file": "see the name of the file, and its folder",
    "key_file_forbidden": "let this user read the file",
    "key_file_garbled": "compare it with one that works",
    "not_in_list": "compare the address with those of the list",
}
"""What to do about a file that gives no keys, by what is wrong with it."""
SECRET_NAMES: Final = {1: "lls_secret", 2: "hls_secret", 3: "hls_secret", 4: "hls_secret", 6: "hls_secret"}
"""By authentication mechanism."""

_Asymmetric = TypeVar("_Asymmetric", PrivateKey, PublicKey)

_MAX_KEY_FILE: Final = 4096
"""Characters of a file that holds one key or secret."""
_MAX_FILE: Final = 64 * 1024 * 1024
"""Characters of a file of keys: the list of a whole utility's meters."""
_SYMMETRIC: Final = frozenset({"encryption_key", "authentication_key", "master_key"})
_KEY_ORIGINS: Final = {
    "identified": (),
    "wrapped": ("master_key",),
    "one-pass": ("signing_key", "peer_signing_key", "agreement_key", "peer_agreement_key"),
    "static-unified": ("agreement_key", "peer_agreement_key"),
}


@dataclass(frozen=True, slots=True)
class KeySources:
    """Where to look for keys. `given`: by name (`encryption_key`, `secret`, …), as on the command line."""

    file: Path | None = None
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    ask: bool = False
    """Ask on the terminal for what is missing."""
    saved: Callable[[], Mapping[str, str]] | None = None
    """Gives the keys that are kept under the meter's name (book, vault), as a key file has them."""

    def meter_type(self, address: Address) -> str | None:
        """What the file says of the meter's type, if it is a meter list. SettingsError as `read_key_file`."""
        if self.file is None or self.file.suffix != ".csv":
            return None
        return read_key_file(self.file, address).get(METER_TYPE)


def needed_keys(kind: Association) -> tuple[str, ...]:
    """The names of the keys without which an association can't be opened."""
    names = ["encryption_key", "authentication_key"] if kind.needs_keys else []
    names += ["secret"] if kind.mechanism in SECRET_NAMES else []
    if kind.signed or kind.mechanism == 7:
        names += ["signing_key", "peer_signing_key"]
    if kind.ciphered and kind.ciphering == "general-ciphering":
        names += _KEY_ORIGINS[kind.key_origin]
    return tuple(dict.fromkeys(names))


def key_texts(sources: KeySources, address: Address, kind: Association) -> dict[str, str]:
    """Keys by name, as text: from the command line, the key file, what is saved, the environment, or the terminal; in
    this order. What is saved is only asked for where the association needs keys.

    `system_title`, if the file has it, is the meter's.
    """
    texts = {name: os.environ[variable] for name, variable in ENVIRONMENT.items() if os.environ.get(variable)}
    if sources.saved is not None and needed_keys(kind):
        texts |= _with_secret(sources.saved(), kind)
    if sources.file is not None:
        texts |= _with_secret(read_key_file(sources.file, address), kind)
    texts |= {name: key_given(name, text) for name, text in sources.given.items()}
    if sources.ask:
        texts |= {name: _ask(name) for name in needed_keys(kind) if name not in texts}
    return texts


def _with_secret(kept: Mapping[str, str], kind: Association) -> dict[str, str]:
    """Kept keys, and of the kept secrets the one that this association asks for."""
    name = SECRET_NAMES.get(kind.mechanism, "")
    return {**kept, "secret": kept[name]} if name in kept else dict(kept)


def key_given(name: str, text: str) -> str:
    """What a key option stands for: `env:NAME`, `@FILE` (a key, which is hex, also plain FILE), or the key itself."""
    if text.startswith("env:"):
        variable = text[4:]
        if not os.environ.get(variable):
            raise SettingsError(f"{_words(name)}: there is no environment variable {variable!r}")
        return os.environ[variable]
    if not is_key_itself(name, text):
        file = Path(text.removeprefix("@"))
        try:
            return _read(file, _MAX_KEY_FILE).strip()
        except UnicodeDecodeError:
            raise SettingsError(f"{_words(name)}: {file} holds no text") from None
        except (OSError, ValueError) as error:
            # What can't be opened may be the key, with a typing error in it.
            told = f"{file} can't be read" if text.startswith("@") else "neither hex digits nor a file that can be read"
            reason = f": {error.strerror}" if isinstance(error, OSError) and text.startswith("@") else ""
            raise SettingsError(f"{_words(name)}: {told}{reason}") from None
    return text


def is_key_itself(name: str, text: str) -> bool:
    """Whether an option's text is the key, which others on this machine can see there, and not where it is."""
    if text.startswith(("@", "env:")):
        return False
    if name == "secret":
        return True
    with contextlib.suppress(ValueError):
        bytes.fromhex(text)
        return True
    return False


def credentials_from(
    texts: Mapping[str, str], kind: Association, *, client_title: bytes = b"", counters: CounterRange | None = None
) -> Credentials:
    """Credentials for an association; SettingsError names the key that is missing or is none."""
    needed = needed_keys(kind)
    keys = {name: symmetric_key(texts, name, kind) for name in needed if name in _SYMMETRIC}
    private = {name: _private_key(texts, name, kind) for name in needed if name in ("signing_key", "agreement_key")}
    public = {name: _public_key(texts, name, kind) for name in needed if name.startswith("peer_")}
    return Credentials(
        client_title=client_title,
        encryption_key=keys.get("encryption_key"),
        authentication_key=keys.get("authentication_key"),
        secret=secret_from(texts, kind),
        counters=counters or CounterRange(0, 0),
        signing_key=private.get("signing_key"),
        agreement_key=private.get("agreement_key"),
        peer_signing_key=public.get("peer_signing_key"),
        peer_agreement_key=public.get("peer_agreement_key"),
        master_key=keys.get("master_key"),
    )


def symmetric_key(texts: Mapping[str, str], name: str, kind: Association) -> Key:
    """A symmetric key of the length that the association's suite has."""
    try:
        key = Key.from_hex(_present(texts, name, name))
    except SettingsError as error:
        raise error.at(asked=_words(name)) from None
    octets = SUITES[kind.suite].key_octets
    if len(key.octets) != octets:
        raise SettingsError(
            f"{len(key.octets)} octets, security suite {kind.suite} has keys of {octets}", asked=_words(name)
        )
    return key


def secret_from(texts: Mapping[str, str], kind: Association) -> Secret | None:
    """The LLS password or HLS secret; None where the mechanism has none."""
    if kind.mechanism not in SECRET_NAMES:
        return None
    name = SECRET_NAMES[kind.mechanism]
    text = _present(texts, "secret", name)
    try:
        return secret_of(text)
    except SettingsError as error:
        raise error.at(asked=name) from None


def secret_of(text: str) -> Secret:
    """A password or HLS secret as written in lists and key files: the text itself, or `hex:` and hex digits."""
    return Secret.from_hex(text[4:]) if text.startswith("hex:") else Secret(text.encode())


def title_from(text: str | None) -> bytes:
    """A system title from 16 hex digits; empty for None. SettingsError on anything else."""
    try:
        title = bytes.fromhex(text or "")
    except ValueError:
        title = b"?"
    if text is not None and len(title) != 8:
        raise SettingsError(f"{text!r} is not a system title", remedy="give its 8 octets as 16 hex digits")
    return title


def read_key_file(file: Path, address: Address | None = None, title: str | None = None) -> dict[str, str]:
    """A TOML file of one meter's keys, or a meter list (CSV), of which the row with this address or title counts.

    Of a list's row also the meter's type, as `METER_TYPE`.
    """
    try:
        text = _read(file, _MAX_FILE)
        if file.suffix == ".csv":
            row = next((row for row in csv.DictReader(text.splitlines()) if _is_of(row, address, title)), None)
            if row is None:
                named = f"address {address}" if address is not None else f"system title {title or '(none is given)'}"
                raise SettingsError(f"{file} has no meter with the {named}", remedy=FILE_REMEDIES["not_in_list"])
            return {name: value for name, value in row.items() if name in (*FILE_NAMES, METER_TYPE) and value}
        return _known_keys(tomllib.loads(text), file)
    except OSError as error:
        wrong = "key_file_forbidden" if isinstance(error, PermissionError) else "no_key_file"
        raise SettingsError(f"{file} can't be read: {error.strerror}", remedy=FILE_REMEDIES[wrong]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error):
        told = f"{file} is neither TOML nor a meter list (.csv)"
        raise SettingsError(told, remedy=FILE_REMEDIES["key_file_garbled"]) from None


def _read(file: Path, most: int) -> str:
    """The text of a file, which may be a device that never ends."""
    with file.open(encoding="utf-8") as opened:
        text = opened.read(most + 1)
    if len(text) > most:
        raise SettingsError(f"{file} is no file of keys: it is longer than {most} characters")
    return text


def _known_keys(found: Mapping[str, object], file: Path) -> dict[str, str]:
    keys = {name: value for name, value in found.items() if name in FILE_NAMES and isinstance(value, str)}
    for name in found:
        if name not in keys:
            problem = "is not text in quotes" if name in FILE_NAMES else "is not known"
            raise SettingsError(f"{file}: {name} {problem}", remedy=f"it may hold {', '.join(FILE_NAMES)}")
    return keys


def _is_of(row: Mapping[str, str], address: Address | None, title: str | None) -> bool:
    if address is not None:
        return _same_place(row.get("address"), address)
    return title is not None and (row.get("system_title") or "").lower() == title.lower()


def _same_place(text: str | None, address: Address) -> bool:
    """Whether a listed address names the same host and port, whatever its association."""
    with contextlib.suppress(SettingsError):
        return str(parse_address(text or "")) == str(address)
    return False


def _private_key(texts: Mapping[str, str], name: str, kind: Association) -> PrivateKey:
    try:
        key = PrivateKey(bytes.fromhex(_present(texts, name, name)))
    except ValueError:
        raise SettingsError("it is not a row of hex digits", asked=_words(name)) from None
    except HeadEndError as error:
        raise error.at(asked=_words(name)) from None
    return _of_suite(key, name, kind)


def _public_key(texts: Mapping[str, str], name: str, kind: Association) -> PublicKey:
    try:
        key = PublicKey(bytes.fromhex(_present(texts, name, name)))
    except ValueError:
        raise SettingsError("it is not a row of hex digits", asked=_words(name)) from None
    except SecurityError as error:
        raise SettingsError(error.message, asked=_words(name)) from None
    return _of_suite(key, name, kind)


def _of_suite(key: _Asymmetric, name: str, kind: Association) -> _Asymmetric:
    if kind.suite in (1, 2) and key.suite.id != kind.suite:
        raise SettingsError(f"it belongs to {key.suite.name}, not to {kind.suite}", asked=_words(name))
    return key


def _present(texts: Mapping[str, str], name: str, called: str) -> str:
    if name not in texts:
        raise SettingsError(
            f"no {called if name == 'secret' else _words(called)} was given",
            remedy=f"put it into a file for --keys, or into {ENVIRONMENT[name]}, or have it asked for at a terminal",
        )
    return texts[name]


def _ask(name: str) -> str:
    """Ask on the terminal, and only where it can be kept from showing what is typed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"{spoken(words(f'reading.key_{name}'))}: ")
    except (EOFError, getpass.GetPassWarning):
        raise SettingsError(
            f"no {_words(name)} was typed", remedy="without a terminal, use --keys or the environment"
        ) from None


def _words(name: str) -> str:
    return name.replace("_", " ")
