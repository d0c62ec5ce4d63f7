"""The lock on the keys of an engineer's book: a key that the system keyring keeps, or that is made of a passphrase.

The one rule: what is sealed is AES-256-GCM under that key, bound to the meter it belongs to, with a nonce drawn anew
each time; a passphrase becomes a key by scrypt (RFC 7914). The passphrase and the key are never written or shown.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headend.words import spoken, words
from profiles.errors import SecurityError, SettingsError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

T = TypeVar("T")

PASSPHRASE_VARIABLE: Final = "HEADEND_BOOK_PASSPHRASE"  # noqa: S105
SHORTEST_PASSPHRASE: Final = 12
"""Characters; who has the file can try passphrases for as long as they like."""

_KEY_OCTETS: Final = 32
_NONCE_OCTETS: Final = 12
_SALT_OCTETS: Final = 16
_SCRYPT_N: Final = 1 << 17
_SCRYPT_R: Final = 8
_SERVICE: Final = "headend"
_USABLE_PRIORITY: Final = 1
"""Of a keyring; those below keep nothing, or keep it in clear."""
_PROOF: Final = b"headend book"


class Lock:
    """An opened lock."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def __repr__(self) -> str:
        return "Lock()"

    def seal(self, plain: bytes, bound_to: bytes) -> str:
        """Hex of nonce, ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_OCTETS)
        return (nonce + self._aead.encrypt(nonce, plain, bound_to)).hex()

    def unseal(self, sealed: str, bound_to: bytes) -> bytes:
        """What was sealed; SecurityError where that is not what was sealed here for the same `bound_to`."""
        try:
            octets = bytes.fromhex(sealed)
            return self._aead.decrypt(octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:], bound_to)
        except (ValueError, InvalidTag):
            raise SecurityError("what is sealed in the book was altered") from None


def new_lock() -> tuple[Lock, dict[str, str]]:
    """A lock, and what the book has to remember to open it again.

    Its key is in the system keyring where there is one, unless HEADEND_BOOK_PASSPHRASE gives a passphrase.
    """
    ring = None if os.environ.get(PASSPHRASE_VARIABLE) else _system_keyring()
    if ring is None:
        salt = secrets.token_bytes(_SALT_OCTETS)
        lock, remembered = Lock(_derived(_new_passphrase(), salt)), {"by": "passphrase", "salt": salt.hex()}
    else:
        key, entry = secrets.token_bytes(_KEY_OCTETS), f"book {secrets.token_hex(4)}"
        _in_keyring(lambda: ring.set_password(_SERVICE, entry, key.hex()))
        lock, remembered = Lock(key), {"by": "keyring", "entry": entry}
    return lock, remembered | {"proof": lock.seal(b"", _PROOF)}


def open_lock(remembered: Mapping[str, str]) -> Lock:
    """The lock that `new_lock` made; SettingsError where its key can't be had, SecurityError where it is another."""
    by_keyring = remembered["by"] == "keyring"
    if by_keyring:
        key = _key_in_keyring(remembered["entry"])
    else:
        key = _derived(_passphrase(), bytes.fromhex(remembered["salt"]))
    lock = Lock(key)
    try:
        lock.unseal(remembered["proof"], _PROOF)
    except SecurityError:
        told = "the key in the system keyring is not the book's" if by_keyring else "this is not the book's passphrase"
        raise SecurityError(told, remedy="without the right one, the keys in the book are lost") from None
    return lock


def ask_unseen(question: str, remedy: str = f"set {PASSPHRASE_VARIABLE}") -> str:
    """Ask on the terminal, and only where it can be kept from showing what is typed; SettingsError elsewhere."""
    try:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise EOFError
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"{spoken(question)}: ")
    except (EOFError, getpass.GetPassWarning):
        raise SettingsError(f"there is no terminal to ask for the {question} at", remedy=remedy) from None


def _derived(passphrase: str, salt: bytes) -> bytes:
    most = 2 * 128 * _SCRYPT_N * _SCRYPT_R
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=1, maxmem=most, dklen=_KEY_OCTETS)


def _new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    passphrase = given or ask_unseen(words("cli.new_passphrase"))
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise SettingsError(f"a passphrase for the book has {SHORTEST_PASSPHRASE} characters or more")
    if not given and ask_unseen(words("cli.passphrase_again")) != passphrase:
        raise SettingsError("the two passphrases differ: nothing was kept")
    return passphrase


def _passphrase() -> str:
    return os.environ.get(PASSPHRASE_VARIABLE) or ask_unseen(words("cli.passphrase"))


def _system_keyring() -> KeyringBackend | None:
    """The keyring of this machine; None where there is none that keeps secrets, or the package is not there."""
    try:
        import keyring
    except ImportError:
        return None
    ring = keyring.get_keyring()
    return ring if ring.priority >= _USABLE_PRIORITY else None


def _key_in_keyring(entry: str) -> bytes:
    ring = _system_keyring()
    key = None if ring is None else _in_keyring(lambda: ring.get_password(_SERVICE, entry))
    try:
        return bytes.fromhex(key or "no key")
    except ValueError:
        raise SettingsError(
            f"the book's key, {entry!r} of {_SERVICE!r} in the system keyring, is not there",
            remedy="use the keyring of the user who made the book; without it the keys in the book are lost",
        ) from None


def _in_keyring(act: Callable[[], T]) -> T:
    from keyring.errors import KeyringError

    try:
        return act()
    except KeyringError as error:
        raise SettingsError(f"the system keyring refuses: {error}", remedy="unlock it, and try again") from None
