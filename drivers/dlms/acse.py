"""ACSE: AARQ and AARE open an association, RLRQ and RLRE release it (Green Book, clause 9.4; BER).

Both ways, for client and meter alike. The one rule: decoding is bounded, skips optional fields that mean nothing here,
and every fault is a `ProtocolError`; what is encoded never shows itself in an error or a repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.apdu import tags
from drivers.dlms.security import TITLE_OCTETS, Secret
from profiles.errors import ProtocolError, SecurityError

AARQ: Final = 0x60
AARE: Final = 0x61
RLRQ: Final = 0x62
RLRE: Final = 0x63

NO_SECURITY: Final = 0
LLS: Final = 1
HLS: Final = 2
HLS_GMAC: Final = 5

ACCEPTED: Final = 0
REJECTED_PERMANENT: Final = 1
REJECTED_TRANSIENT: Final = 2

USER: Final = 1
PROVIDER: Final = 2
"""The source of a diagnostic: acse-service-user, acse-service-provider."""

_CONTEXT_NAME: Final = bytes.fromhex("608574050801")
_MECHANISM_NAME: Final = bytes.fromhex("608574050802")
_LN: Final = 1
_LN_CIPHERED: Final = 3
_CONTEXT: Final = {
    ciphered: bytes.fromhex("a1090607") + _CONTEXT_NAME + bytes([name])
    for ciphered, name in ((False, _LN), (True, _LN_CIPHERED))
}
"""The field of AARQ and AARE that names the application context, by whether it is the one with ciphering."""
_CONTEXTS: Final = {field[2:]: ciphered for ciphered, field in _CONTEXT.items()}
"""The other way round, by the field's value."""
_AUTHENTICATED: Final = bytes.fromhex("0780")
"""ACSE-requirements: a bit string whose one bit says that the authentication unit is used."""
_MECHANISMS: Final = range(8)
_INITIATE_REQUESTS: Final = frozenset(
    {
        0x01,
        tags.GLO[0x01],
        tags.DED[0x01],
        tags.GENERAL_GLO_CIPHERING,
        tags.GENERAL_DED_CIPHERING,
        tags.GENERAL_CIPHERING,
        tags.GENERAL_SIGNING,
    }
)
"""First octet of what the user information of a client can be: the InitiateRequest, or what protects it."""


@dataclass(frozen=True, slots=True)
class Aarq:
    """What a client asks for. `authentication_value` is a password or a challenge and is not shown."""

    ciphered: bool
    mechanism: int
    client_title: bytes | None
    authentication_value: bytes | None = field(repr=False)
    user_information: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Aare:
    """What a meter answers: `result` 0 accepted, 1 rejected for good, 2 rejected for now; `challenge` of an HLS.

    `user_information` is an APDU: InitiateResponse or confirmed-service-error, as received (ciphered or not).
    """

    result: int
    diagnostic_source: int
    diagnostic: int
    ciphered: bool
    system_title: bytes | None = None
    mechanism: int = NO_SECURITY
    challenge: bytes | None = field(default=None, repr=False)
    user_information: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Release:
    """An RLRQ or RLRE: the reason (0 normal, 1 urgent or not finished, 30 user defined), where one is given."""

    reason: int | None = None
    user_information: bytes | None = field(default=None, repr=False)


# --- encoding -------------------------------------------------------------------------------------------------


def encode_aarq(
    *,
    ciphered: bool,
    mechanism: int,
    client_title: bytes | None,
    authentication_value: Secret | bytes | None,
    user_information: bytes,
) -> bytes:
    """The AARQ with logical name referencing; `user_information` is an InitiateRequest, in clear or protected.

    The authentication value is the password of LLS or our challenge of an HLS; a `Secret` is only ever taken for
    LLS, since it would leave in clear: SecurityError. ProtocolError on what no meter could understand.
    """
    if isinstance(authentication_value, Secret):
        if mechanism != LLS:
            raise SecurityError(f"a secret must not be sent in the AARQ of authentication mechanism {mechanism}")
        authentication_value = authentication_value.octets
    if mechanism not in _MECHANISMS:
        raise ProtocolError(f"there is no authentication mechanism {mechanism}", retry=False)
    fields = [_CONTEXT[ciphered]]
    if client_title is not None:
        if len(client_title) != TITLE_OCTETS:
            raise ProtocolError(f"a system title has {TITLE_OCTETS} octets, not {len(client_title)}", retry=False)
        fields.append(_tlv(0xA6, _tlv(0x04, client_title)))
    if mechanism:
        fields += [_tlv(0x8A, _AUTHENTICATED), _tlv(0x8B, _MECHANISM_NAME + bytes([mechanism]))]
    if authentication_value is not None:
        fields.append(_tlv(0xAC, _tlv(0x80, authentication_value)))
    fields.append(_initiate_request(user_information))
    return _tlv(AARQ, b"".join(fields))


def encode_rlrq(reason: int | None = 0, user_information: bytes | None = None) -> bytes:
    """The RLRQ; `user_information` is the InitiateRequest of the AARQ, protected anew, where the meter wants it.

    ProtocolError on a reason that there isn't, or other user information.
    """
    if reason not in (None, 0, 1, 30):
        raise ProtocolError(f"there is no reason {reason} for a release", retry=False)
    return _release_apdu(RLRQ, reason, b"" if user_information is None else _initiate_request(user_information))


def encode_aare(
    *,
    result: int,
    diagnostic: int,
    diagnostic_source: int = USER,
    ciphered: bool = False,
    system_title: bytes | None = None,
    mechanism: int = NO_SECURITY,
    challenge: bytes | None = None,
    user_information: bytes | None = None,
) -> bytes:
    """The AARE of a meter: application context, result, diagnostic and what else is given."""
    fields = [
        _CONTEXT[ciphered],
        _tlv(0xA2, _tlv(0x02, bytes([result]))),
        _tlv(0xA3, _tlv(0xA0 | diagnostic_source, _tlv(0x02, bytes([diagnostic])))),
    ]
    if system_title is not None:
        fields.append(_tlv(0xA4, _tlv(0x04, system_title)))
    if mechanism:
        fields += [_tlv(0x88, _AUTHENTICATED), _tlv(0x89, _MECHANISM_NAME + bytes([mechanism]))]
    if challenge is not None:
        fields.append(_tlv(0xAA, _tlv(0x80, challenge)))
    if user_information is not None:
        fields.append(_carried(user_information))
    return _tlv(AARE, b"".join(fields))


def encode_rlre(reason: int | None = 0, user_information: bytes | None = None) -> bytes:
    """The RLRE of a meter."""
    return _release_apdu(RLRE, reason, b"" if user_information is None else _carried(user_information))


def _release_apdu(tag: int, reason: int | None, user_information: bytes) -> bytes:
    return _tlv(tag, (b"" if reason is None else _tlv(0x80, bytes([reason]))) + user_information)


def _initiate_request(encoded: bytes) -> bytes:
    if not encoded or encoded[0] not in _INITIATE_REQUESTS:
        raise ProtocolError("the user information of an AARQ or RLRQ is an InitiateRequest", retry=False)
    return _carried(encoded)


def _carried(user_information: bytes) -> bytes:
    return _tlv(0xBE, _tlv(0x04, user_information))


def _tlv(tag: int, value: bytes) -> bytes:
    size = len(value)
    return (bytes((tag, size)) if size < 0x80 else bytes((tag,)) + axdr.length(size)) + value


# --- decoding -------------------------------------------------------------------------------------------------


def decode_aarq(octets: bytes) -> Aarq:
    """The AARQ of a client; ProtocolError on anything else."""
    fields = _fields(octets, AARQ, "AARQ")
    user_information = _user_information(fields, "AARQ")
    if user_information is None:
        raise ProtocolError("AARQ: no user information")
    return Aarq(
        ciphered=_ciphered(fields, "AARQ"),
        mechanism=_mechanism(fields.get(0x8B), "AARQ"),
        client_title=_title(fields.get(0xA6), "AARQ"),
        authentication_value=_inner(fields[0xAC], 0x80, "AARQ") if 0xAC in fields else None,
        user_information=user_information,
    )


def decode_aare(octets: bytes) -> Aare:
    """The AARE of a meter, accepted or not; ProtocolError on anything else."""
    fields = _fields(octets, AARE, "AARE")
    for tag, what in ((0xA2, "result"), (0xA3, "diagnostic")):
        if tag not in fields:
            raise ProtocolError(f"AARE: no {what}")
    source, diagnostic = _diagnostic(fields[0xA3])
    return Aare(
        result=_integer(fields[0xA2], "AARE"),
        diagnostic_source=source,
        diagnostic=diagnostic,
        ciphered=_ciphered(fields, "AARE"),
        system_title=_title(fields.get(0xA4), "AARE"),
        mechanism=_mechanism(fields.get(0x89), "AARE"),
        challenge=_inner(fields[0xAA], 0x80, "AARE") if 0xAA in fields else None,
        user_information=_user_information(fields, "AARE"),
    )


def decode_rlrq(octets: bytes) -> Release:
    """The RLRQ of a client, `62 00` included; ProtocolError on anything else."""
    return _release(octets, RLRQ, "RLRQ")


def decode_rlre(octets: bytes) -> Release:
    """The RLRE of a meter, `63 00` included; ProtocolError on anything else."""
    return _release(octets, RLRE, "RLRE")


def _release(octets: bytes, tag: int, name: str) -> Release:
    fields = _fields(octets, tag, name)
    reason = fields.get(0x80)
    if reason is not None and len(reason) != 1:
        raise ProtocolError(f"{name}: a reason of {len(reason)} octets")
    return Release(None if reason is None else reason[0], _user_information(fields, name))


def _fields(octets: bytes, tag: int, name: str) -> Mapping[int, bytes]:
    """tag: value of everything inside the APDU; order is not asked for, what is not known is left alone."""
    if octets[:1] != bytes((tag,)):
        raise ProtocolError(f"{name} expected, but the APDU begins {octets[:1].hex()}")
    _, at, end = _element(octets, 0, name)
    if end != len(octets):
        raise ProtocolError(f"{name}: {len(octets) - end} octets too many")
    fields: dict[int, bytes] = {}
    while at < end:
        inner, begin, at = _element(octets, at, name)
        if inner in fields:
            raise ProtocolError(f"{name}: field {inner:02x} twice")
        fields[inner] = octets[begin:at]
    return fields


def _element(octets: bytes, at: int, name: str) -> tuple[int, int, int]:
    """The tag of the BER element at `at`, and from where to where its value goes, within `octets`."""
    try:
        tag, size = octets[at], octets[at + 1]
    except IndexError:
        raise ProtocolError(f"{name}: ends at octet {len(octets)}, inside a field") from None
    if tag & 0x1F == 0x1F:
        raise ProtocolError(f"{name}: a tag of several octets, which ACSE does not have")
    begin = at + 2
    if size >= 0x80:
        more = size & 0x7F
        if not 1 <= more <= 4:
            raise ProtocolError(f"{name}: a length of {more} octets at octet {at + 1}")
        size, begin = int.from_bytes(octets[begin : begin + more], "big"), begin + more
    if begin + size > len(octets):
        raise ProtocolError(f"{name}: length {size} at octet {begin}, but {len(octets) - begin} octets follow")
    return tag, begin, begin + size


def _inner(value: bytes, tag: int, name: str) -> bytes:
    """The value of the one element inside an explicitly tagged field."""
    if value[:2] == bytes((tag, (len(value) - 2) & 0x7F)) and len(value) < 0x82:
        return value[2:]
    found, begin, end = _element(value, 0, name)
    if found != tag:
        raise ProtocolError(f"{name}: {found:02x} inside a field where {tag:02x} has to stand")
    if end != len(value):
        raise ProtocolError(f"{name}: {len(value) - end} octets too many")
    return value[begin:]


def _integer(value: bytes, name: str) -> int:
    if value[:-1] == b"\x02\x01":
        return value[-1]
    octets = _inner(value, 0x02, name)
    if len(octets) != 1:
        raise ProtocolError(f"{name}: an integer of {len(octets)} octets where 1 is due")
    return octets[0]


def _diagnostic(value: bytes) -> tuple[int, int]:
    source = USER if value[:1] == b"\xa1" else PROVIDER
    return source, _integer(_inner(value, 0xA0 | source, "AARE"), "AARE")


def _ciphered(fields: Mapping[int, bytes], name: str) -> bool:
    if 0xA1 not in fields:
        raise ProtocolError(f"{name}: no application context name")
    if fields[0xA1] in _CONTEXTS:
        return _CONTEXTS[fields[0xA1]]
    context = _inner(fields[0xA1], 0x06, name)
    if context not in (_CONTEXT_NAME + bytes([_LN]), _CONTEXT_NAME + bytes([_LN_CIPHERED])):
        raise ProtocolError(
            f"{name}: application context {context.hex()}", remedy="only logical name referencing is supported"
        )
    return context[-1] == _LN_CIPHERED


def _mechanism(value: bytes | None, name: str) -> int:
    if value is None:
        return NO_SECURITY
    if len(value) != 7 or not value.startswith(_MECHANISM_NAME):
        raise ProtocolError(f"{name}: authentication mechanism {value[:16].hex()}")
    return value[-1]


def _title(value: bytes | None, name: str) -> bytes | None:
    """A system title of 8 octets; an empty one, which some meters send without ciphering, is none."""
    title = None if value is None else _inner(value, 0x04, name)
    if title and len(title) != TITLE_OCTETS:
        raise ProtocolError(f"{name}: a system title of {len(title)} octets, not {TITLE_OCTETS}")
    return title or None


def _user_information(fields: Mapping[int, bytes], name: str) -> bytes | None:
    return _inner(fields[0xBE], 0x04, name) if 0xBE in fields else None


# --- diagnostics in words -------------------------------------------------------------------------------------

_USER_DIAGNOSTICS: Final = {
    0: "no diagnostic",
    1: "no reason given",
    2: "application context name not supported",
    3: "calling AP title not recognized",
    4: "calling AP invocation identifier not recognized",
    5: "calling AE qualifier not recognized",
    6: "calling AE invocation identifier not recognized",
    7: "called AP title not recognized",
    8: "called AP invocation identifier not recognized",
    9: "called AE qualifier not recognized",
    10: "called AE invocation identifier not recognized",
    11: "authentication mechanism name not recognized",
    12: "authentication mechanism name required",
    13: "authentication failed",
    14: "authentication required",
}

_PROVIDER_DIAGNOSTICS: Final = {0: "no diagnostic", 1: "no reason given", 2: "no common ACSE version"}

_REMEDIES: Final = {
    (USER, 1): "check client SAP, keys and invocation counter; another association may still be open",
    (USER, 2): "the meter's association is ciphered and the type's is not, or the other way round",
    (USER, 3): "the meter does not know our system title",
    (USER, 5): "the meter expects a certificate of the client",
    (USER, 6): "the meter expects the user id of a client that it knows",
    (USER, 11): "the meter's association uses another authentication mechanism than its type says",
    (USER, 12): "the meter's association needs authentication, its type says none",
    (USER, 13): "the password or HLS secret is not the meter's",
    (USER, 14): "the meter waits for the second half of an HLS authentication",
}


def diagnostic_text(source: int, code: int) -> str:
    """An AARE's diagnostic for an operator: its words, and what to look at."""
    texts, name = (_USER_DIAGNOSTICS, "user") if source == USER else (_PROVIDER_DIAGNOSTICS, "provider")
    text = texts.get(code, f"acse-service-{name} diagnostic {code}")
    remedy = _REMEDIES.get((source, code))
    return f"{text}; {remedy}" if remedy else text
