"""Protection of whole APDUs: each kind turns a plain APDU into the protected one, and back (Green Book, 9.2.7.2).

The receive policy is the same for all: an APDU of another kind (plaintext above all), another security control, a
wrong tag or signature, another sender than the registered one or another recipient than us is a SecurityError.

Replays are told by `last_counter`, which the caller keeps. Where every APDU has a key of its own the counter tells
nothing and `Opened.counter` is None: there the caller compares `Opened.transaction_id` with that of its request.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from drivers.dlms import apdu as codec
from drivers.dlms import axdr
from drivers.dlms.apdu import GeneralCiphering, GeneralHeader, GeneralSigning, tags
from drivers.dlms.security.gcm import TITLE_OCTETS, protect, unprotect
from drivers.dlms.security.glo import ded_unwrap, ded_wrap, glo_unwrap, glo_wrap
from drivers.dlms.security.key_agreement import KeySource
from drivers.dlms.security.keys import Key
from drivers.dlms.security.signing import PrivateKey, PublicKey
from drivers.dlms.security.suites import suite_of
from profiles.errors import SecurityError

TRANSACTION_ID_OCTETS: Final = 8


def new_transaction_id() -> bytes:
    """8 random octets. Under a key agreed by them, the invocation counter still makes every IV another."""
    return secrets.token_bytes(TRANSACTION_ID_OCTETS)


@dataclass(frozen=True, slots=True)
class Parties:
    """Who talks to whom, and the invocation counters of our keys."""

    own_title: bytes
    peer_title: bytes
    """Registered; empty where the APDU itself is to say who sent it."""
    take_counter: Callable[[], int]
    """Gives an invocation counter that was never used under the key."""

    def sender(self, named: bytes) -> bytes:
        """The title of who sent an APDU that names `named` (or nobody); SecurityError for another than registered."""
        if named and self.peer_title and named != self.peer_title:
            raise SecurityError(
                f"protected by {named.hex().upper()}, {self.peer_title.hex().upper()} is registered",
                remedy="another meter stands at this address: correct the registry, or the meter's address",
            )
        title = named or self.peer_title
        if len(title) != TITLE_OCTETS:
            raise SecurityError(f"a protected APDU whose sender is not known by a title of {TITLE_OCTETS} octets")
        return title

    def header(self, transaction_id: bytes) -> GeneralHeader:
        """The header of an APDU of ours; a new transaction where none is given."""
        return GeneralHeader(transaction_id or new_transaction_id(), self.own_title, self.peer_title)

    def received(self, header: GeneralHeader) -> bytes:
        """The title of who sent an APDU with this header to us; SecurityError where it was sent to another."""
        if header.recipient_system_title not in (b"", self.own_title):
            raise SecurityError(f"an APDU for {header.recipient_system_title.hex().upper()}, not for us")
        return self.sender(header.originator_system_title)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a protected APDU held, and what its protection proves."""

    plain: bytes = field(repr=False)
    title: bytes
    """The sender's system title."""
    authenticated: bool
    """A tag or a signature was there, and right."""
    counter: int | None = None
    """The sender's invocation counter under a key that lasts; None under a key made for this APDU, or none."""
    transaction_id: bytes = b""
    signed_by: bytes = b""
    """The title of the owner of the signing key, where there was a signature."""


class Protection(Protocol):
    """One way of protecting APDUs between two parties."""

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        """The protected APDU. An answer takes the transaction-id of its request, where the kind has one."""

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        """The plain APDU inside; SecurityError where it is refused, ProtocolError where it is garbled."""


@dataclass(frozen=True, slots=True)
class ServiceProtection:
    """glo- and ded-: the tag tells the service, and the plain APDU has to be of it."""

    parties: Parties
    control: int
    encryption_key: Key
    """The global key, or the dedicated one."""
    authentication_key: Key
    dedicated: bool = False

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        wrap = ded_wrap if self.dedicated else glo_wrap
        title, counter = self.parties.own_title, self.parties.take_counter()
        return wrap(plain, protect(self.control, self.encryption_key, self.authentication_key, title, counter, plain))

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        tag, protected = (ded_unwrap if self.dedicated else glo_unwrap)(apdu)
        title = self.parties.sender(b"")
        found = unprotect(self.control, self.encryption_key, self.authentication_key, title, protected, last_counter)
        if found.plain[:1] != bytes([tag]):
            raise SecurityError("the ciphered APDU is not the one that its tag names")
        return Opened(found.plain, title, found.authenticated, found.counter)


@dataclass(frozen=True, slots=True)
class GeneralProtection:
    """general-glo- and general-ded-ciphering: any APDU, behind the sender's system title."""

    parties: Parties
    control: int
    encryption_key: Key
    """The global key, or the dedicated one."""
    authentication_key: Key
    dedicated: bool = False

    @property
    def tag(self) -> int:
        return tags.GENERAL_DED_CIPHERING if self.dedicated else tags.GENERAL_GLO_CIPHERING

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        title, counter = self.parties.own_title, self.parties.take_counter()
        content = protect(self.control, self.encryption_key, self.authentication_key, title, counter, plain)
        return bytes([self.tag]) + axdr.length(len(title)) + title + axdr.length(len(content)) + content

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        _require(self.tag, apdu)
        reader = axdr.Reader(apdu, "ciphered APDU", 1)
        title, content = self.parties.sender(reader.octets()), reader.octets()
        reader.end()
        found = unprotect(self.control, self.encryption_key, self.authentication_key, title, content, last_counter)
        return Opened(found.plain, title, found.authenticated, found.counter)


@dataclass(frozen=True, slots=True)
class EndToEndProtection:
    """general-ciphering: any APDU, with its sender, recipient and transaction authenticated, and a key by `keys`."""

    parties: Parties
    control: int
    keys: KeySource
    authentication_key: Key

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        title, counter = self.parties.own_title, self.parties.take_counter()
        header = self.parties.header(transaction_id)
        key_info, key = self.keys.for_sending(suite_of(self.control), header)
        content = protect(self.control, key, self.authentication_key, title, counter, plain, header.encode())
        return GeneralCiphering(header, key_info, content).encode()

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        _require(tags.GENERAL_CIPHERING, apdu)
        ciphered = codec.decode(apdu)
        assert isinstance(ciphered, GeneralCiphering), "the tag was looked at"
        header, one_off = ciphered.header, self.keys.one_off
        title = self.parties.received(header)
        key = self.keys.for_receiving(suite_of(self.control), header, ciphered.key_info)
        found = unprotect(
            self.control,
            key,
            self.authentication_key,
            title,
            ciphered.content,
            None if one_off else last_counter,
            header.encode(),
        )
        counter = None if one_off else found.counter
        return Opened(found.plain, title, found.authenticated, counter, header.transaction_id)


@dataclass(frozen=True, slots=True)
class SignatureProtection:
    """general-signing: any APDU, plain or protected, with the sender's signature over it and its header."""

    parties: Parties
    signing_key: PrivateKey
    peer_signing_key: PublicKey

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        header = self.parties.header(transaction_id)
        unsigned = GeneralSigning(header, plain, b"")
        return GeneralSigning(header, plain, self.signing_key.sign(unsigned.signed)).encode()

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        _require(tags.GENERAL_SIGNING, apdu)
        signing = codec.decode(apdu)
        assert isinstance(signing, GeneralSigning), "the tag was looked at"
        title = self.parties.received(signing.header)
        self.peer_signing_key.verify(signing.signature, signing.signed)
        transaction_id = signing.header.transaction_id
        return Opened(signing.content, title, authenticated=True, transaction_id=transaction_id, signed_by=title)


@dataclass(frozen=True, slots=True)
class LayeredProtection:
    """One protection inside another, such as a ciphered APDU that is signed."""

    inner: Protection
    outer: Protection

    def protect(self, plain: bytes, transaction_id: bytes = b"") -> bytes:
        transaction_id = transaction_id or new_transaction_id()
        return self.outer.protect(self.inner.protect(plain, transaction_id), transaction_id)

    def unprotect(self, apdu: bytes, last_counter: int | None = None) -> Opened:
        """Everything that either layer proves; both have to be by the same sender and of the same transaction."""
        outer = self.outer.unprotect(apdu, last_counter)
        inner = self.inner.unprotect(outer.plain, last_counter)
        if inner.title != outer.title:
            raise SecurityError("one sender's protected APDU inside another's")
        if inner.transaction_id and outer.transaction_id and inner.transaction_id != outer.transaction_id:
            raise SecurityError("one transaction's protected APDU inside another's")
        return Opened(
            inner.plain,
            inner.title,
            authenticated=inner.authenticated or outer.authenticated,
            counter=inner.counter if outer.counter is None else outer.counter,
            transaction_id=inner.transaction_id or outer.transaction_id,
            signed_by=inner.signed_by or outer.signed_by,
        )


def _require(tag: int, apdu: bytes) -> None:
    if apdu[:1] != bytes([tag]):
        raise SecurityError(f"an APDU {apdu[:1].hex() or '(empty)'} where one of tag {tag:02x} is required")
