"""The protection that an association asks for, made of one side's keys: client and meter alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from drivers.credentials import Credentials
from drivers.dlms.security import (
    EndToEndProtection,
    GeneralProtection,
    HlsKeys,
    Key,
    KeyByOnePass,
    KeyByStaticUnified,
    KeyByWrapping,
    KeySource,
    LayeredProtection,
    Parties,
    Protection,
    ServiceProtection,
    SharedKey,
    SignatureProtection,
)
from drivers.dlms.security.gcm import HEADER_OCTETS, TAG_OCTETS, TITLE_OCTETS
from drivers.dlms.security.suites import AUTHENTICATION, SUITES
from profiles.errors import SecurityError
from profiles.meter_type import Association

_T = TypeVar("_T")

_TAG: Final = 1
_LENGTH: Final = 3
_TITLE: Final = 1 + TITLE_OCTETS
_GENERAL_HEADER: Final = 3 * _TITLE + 2
"""Transaction-id, originator, recipient; an empty date-time and other information."""


def protection_of(
    kind: Association,
    credentials: Credentials,
    peer_title: bytes,
    take_counter: Callable[[], int],
    dedicated_key: Key | None = None,
) -> Protection | None:
    """How APDUs of an open association go, from the side that holds `credentials`; None where they go in clear.

    `take_counter` gives our unused invocation counters. SecurityError where a key is missing.
    """
    parties = Parties(credentials.client_title, peer_title, take_counter)
    inner = _ciphering(kind, credentials, parties, dedicated_key) if kind.ciphered else None
    return _signed(kind, credentials, parties, inner)


def initiate_protection_of(
    kind: Association, credentials: Credentials, peer_title: bytes, take_counter: Callable[[], int]
) -> Protection | None:
    """How initiate-request and -response go, in AARQ, AARE and release: before there is a dedicated key.

    By the global key whatever the ciphering of services: so do others (see "Peers' deviations" in docs/protocol.md),
    and whom to address end to end is not known before the AARE. A signature stands on whole APDUs only, and so on
    neither of them.
    """
    if not kind.ciphered:
        return None
    parties = Parties(credentials.client_title, peer_title, take_counter)
    return ServiceProtection(parties, kind.security_control, *symmetric_keys(kind, credentials))


def overhead_of(kind: Association) -> int:
    """The most octets that the protection puts around a plain APDU, lengths of up to 3 octets included."""
    octets = 0
    public = {1: 64, 2: 96}.get(kind.suite, 0)  # also the octets of a signature
    if kind.ciphered:
        octets += _TAG + _LENGTH + HEADER_OCTETS + (TAG_OCTETS if kind.security_control & AUTHENTICATION else 0)
        if kind.ciphering in ("general-glo", "general-ded"):
            octets += _TITLE
        if kind.ciphering == "general-ciphering":
            octets += (
                _GENERAL_HEADER
                + {
                    "identified": 3,
                    "wrapped": 4 + SUITES[kind.suite].key_octets + 8,
                    "one-pass": 5 + _LENGTH + 2 * public,
                    "static-unified": 5,
                }[kind.key_origin]
            )
    if kind.signed:
        octets += _TAG + _GENERAL_HEADER + 2 * _LENGTH + public
    return octets


def hls_keys_of(kind: Association, credentials: Credentials) -> HlsKeys:
    """What HLS needs of one side."""
    return HlsKeys(
        secret=credentials.secret,
        encryption_key=credentials.encryption_key,
        authentication_key=credentials.authentication_key,
        suite=kind.suite,
        signing_key=credentials.signing_key,
        peer_signing_key=credentials.peer_signing_key,
    )


def symmetric_keys(kind: Association, credentials: Credentials) -> tuple[Key, Key]:
    """Encryption and authentication key; SecurityError where one is missing."""
    if credentials.encryption_key is None or credentials.authentication_key is None:
        raise SecurityError(f"association {kind.name} needs an encryption and an authentication key")
    return credentials.encryption_key, credentials.authentication_key


def _ciphering(kind: Association, credentials: Credentials, parties: Parties, dedicated_key: Key | None) -> Protection:
    encryption_key, authentication_key = symmetric_keys(kind, credentials)
    control = kind.security_control
    if kind.ciphering == "general-ciphering":
        return EndToEndProtection(parties, control, _key_source(kind, credentials, encryption_key), authentication_key)
    dedicated = kind.ciphering in ("ded", "general-ded")
    if dedicated:
        encryption_key = _required(dedicated_key, kind, "a dedicated key")
    form = ServiceProtection if kind.ciphering in ("glo", "ded") else GeneralProtection
    return form(parties, control, encryption_key, authentication_key, dedicated)


def _key_source(kind: Association, credentials: Credentials, encryption_key: Key) -> KeySource:
    match kind.key_origin:
        case "identified":
            return SharedKey(encryption_key)
        case "wrapped":
            return KeyByWrapping(_required(credentials.master_key, kind, "the master key"))
        case "one-pass":
            return KeyByOnePass(
                _required(credentials.signing_key, kind, "our private signing key"),
                _required(credentials.agreement_key, kind, "our private key agreement key"),
                _required(credentials.peer_signing_key, kind, "the other side's public signing key"),
                _required(credentials.peer_agreement_key, kind, "the other side's public key agreement key"),
            )
        case "static-unified":
            return KeyByStaticUnified(
                _required(credentials.agreement_key, kind, "our private key agreement key"),
                _required(credentials.peer_agreement_key, kind, "the other side's public key agreement key"),
            )


def _signed(
    kind: Association, credentials: Credentials, parties: Parties, inner: Protection | None
) -> Protection | None:
    if not kind.signed:
        return inner
    outer = SignatureProtection(
        parties,
        _required(credentials.signing_key, kind, "our private signing key"),
        _required(credentials.peer_signing_key, kind, "the other side's public signing key"),
    )
    return outer if inner is None else LayeredProtection(inner, outer)


def _required(value: _T | None, kind: Association, what: str) -> _T:
    if value is None:
        raise SecurityError(f"association {kind.name} needs {what}")
    return value
