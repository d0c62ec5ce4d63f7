"""Opens a push: from an APDU as it arrived and the meter that it claims to be from, to what it says and what is proven.

The one rule: what the meter's type demands is held against the cover before a key is used, and nothing is handed out
that was not opened as the cover says. Whether a counter or transaction is a repeated one is for the caller to settle,
with the batch that it stores (`drivers.push.window`): `Push.replay` says by what.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Literal, TypeAlias

from drivers.dlms import apdu as codec
from drivers.dlms import axdr
from drivers.dlms.apdu import (
    AgreedKey,
    DataNotification,
    DataNotificationConfirm,
    EventNotification,
    GeneralCiphering,
    GeneralDedCiphering,
    GeneralGloCiphering,
    GeneralSigning,
    KeyInfo,
    ServiceCiphered,
    WrappedKey,
    tags,
)
from drivers.dlms.ciphering import protection_of
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION, LayeredProtection, Opened, Protection
from drivers.dlms.security.key_agreement import ONE_PASS, STATIC_UNIFIED
from drivers.push.arrival import COVERS, NOTIFICATIONS, Arrival, title_of
from drivers.push.policy import CLEAR, PushingMeter
from profiles.errors import HeadEndError, ProtocolError, SecurityError
from profiles.meter_type import Association, Ciphering, KeyOrigin
from profiles.objects import Obis

Replay = Literal["counter", "transaction-id", "nothing"]
"""By what a repeated push is told: its counter, its transaction-id, or by nothing that anyone could not change."""

Ciphered: TypeAlias = ServiceCiphered | GeneralGloCiphering | GeneralDedCiphering | GeneralCiphering

_IN_CLEAR: Final = Association("push", 0, 0, CLEAR, Obis(0, 0, 40, 0, 4), None, 0, pre_established=True)
_FORMS: Final[dict[str, Ciphering]] = {
    GeneralGloCiphering.name: "general-glo",
    GeneralDedCiphering.name: "general-ded",
    GeneralCiphering.name: "general-ciphering",
}


@dataclass(frozen=True, slots=True)
class Cover:
    """How a push was protected, from the outside in; none of it where it came in clear."""

    layers: tuple[str, ...] = ()
    """The standard's names of the APDUs around it."""
    control: int = CLEAR
    """The security control of the ciphered one."""
    signed: bool = False
    kind: Association = field(default=_IN_CLEAR, repr=False)
    """The same as an association would have it."""

    def __str__(self) -> str:
        if not self.layers:
            return "in clear"
        ciphered = "in clear" if self.control == CLEAR else f"0x{self.control:02x}"
        return f"{ciphered} in {', '.join(self.layers)}"


@dataclass(frozen=True, slots=True)
class Push:
    """What a meter pushed: `notification.data` is well-formed A-XDR; who said it is proven only if `authenticated`."""

    meter: PushingMeter
    arrival: Arrival
    title: bytes
    """The sender's system title: the one in the cover, else the registered one."""
    cover: Cover
    authenticated: bool
    notification: DataNotification | EventNotification = field(repr=False)
    counter: int | None = None
    """The sender's invocation counter; None under a key for this push alone, or without ciphering."""
    transaction_id: bytes = b""
    replay: Replay = "nothing"
    protection: Protection | None = field(default=None, repr=False)

    @property
    def dedicated(self) -> bool:
        """Whether the counter is one of the dedicated key rather than the global one: each has its own window."""
        return self.cover.kind.ciphering in ("ded", "general-ded")

    @property
    def awaits_confirmation(self) -> bool:
        """Whether the meter waits for a data-notification-confirm, and gets one."""
        notification = self.notification
        confirmed = isinstance(notification, DataNotification) and notification.confirmed
        return confirmed and self.meter.policy.confirmed

    def confirmation(self) -> bytes | None:
        """The data-notification-confirm that the meter waits for, protected as its push was; None where it waits for
        none. To be sent when the push is safe. It takes a counter of ours; SecurityError where there is none."""
        notification = self.notification
        if not self.awaits_confirmation or not isinstance(notification, DataNotification):
            return None
        plain = DataNotificationConfirm(notification.invoke_id).encode()
        return plain if self.protection is None else self.protection.protect(plain, self.transaction_id)


def cover_of(apdu: bytes) -> Cover:
    """What the outside of an APDU says of its protection; ProtocolError where it is no notification, nor covers one."""
    tag = apdu[0] if apdu else None
    if tag in NOTIFICATIONS:
        return Cover()
    if tag not in COVERS:
        raise ProtocolError(f"not a notification: an APDU that begins {apdu[:2].hex() or '(nothing)'}", retry=False)
    value = codec.decode(apdu)
    if isinstance(value, Ciphered):
        return _ciphered(value)
    assert isinstance(value, GeneralSigning), "its tag is one of a cover"
    inner = cover_of(value.content)
    if inner.signed:
        raise ProtocolError("a signed APDU inside a signed one")
    return Cover((value.name, *inner.layers), inner.control, True, replace(inner.kind, signed=True))


def _ciphered(value: Ciphered) -> Cover:
    control = value.content[0] if value.content else CLEAR
    if control & 0x30 == 0:
        raise SecurityError(f"{value.name} with security control 0x{control:02x}, which protects nothing")
    form, origin = _form(value)
    return Cover((value.name,), control, False, _kind(control, form, origin))


@cache
def _kind(control: int, form: Ciphering, origin: KeyOrigin) -> Association:
    """One for each way of covering, of which there are few."""
    return replace(_IN_CLEAR, security_control=control, ciphering=form, key_origin=origin)


def _form(value: Ciphered) -> tuple[Ciphering, KeyOrigin]:
    if isinstance(value, ServiceCiphered):
        return ("ded" if value.dedicated else "glo"), "identified"
    if isinstance(value, GeneralCiphering):
        return "general-ciphering", _origin(value.key_info)
    return _FORMS[value.name], "identified"


def _origin(key_info: KeyInfo | None) -> KeyOrigin:
    if isinstance(key_info, WrappedKey):
        return "wrapped"
    if not isinstance(key_info, AgreedKey):
        return "identified"
    if key_info.parameters == ONE_PASS:
        return "one-pass"
    if key_info.parameters == STATIC_UNIFIED:
        return "static-unified"
    raise ProtocolError(f"general-ciphering: an unknown key agreement, {key_info.parameters.hex()}")


def open_push(arrival: Arrival, meter: PushingMeter | None) -> Push:
    """What `meter` pushed.

    SecurityError where no meter is registered, its type does not let pushes be covered so, or the cover does not hold;
    ProtocolError where it is garbled, or no notification.
    """
    try:
        if meter is None:
            raise SecurityError(
                f"a push from {_called(title_of(arrival.apdu))}, which is not registered",
                remedy="register the meter with its system title and keys",
            )
        return _open(arrival, meter)
    except HeadEndError as error:
        raise error.at(meter=arrival.peer if meter is None else meter.name, asked="push") from None


def _open(arrival: Arrival, meter: PushingMeter) -> Push:
    cover = cover_of(arrival.apdu)
    if cover.control not in meter.policy.controls:
        raise _below_policy(cover, arrival, meter)
    protection = _protection(cover, meter)
    opened = Opened(arrival.apdu, meter.title, authenticated=False)
    if protection is not None:
        opened = protection.unprotect(arrival.apdu)
        if opened.plain[:1] == bytes([tags.GENERAL_SIGNING]) and not cover.signed:
            cover, protection, opened = _signed_inside(cover, protection, opened, arrival, meter)
    if meter.policy.signed and not cover.signed:
        raise _below_policy(cover, arrival, meter)
    return Push(
        meter,
        arrival,
        opened.title,
        cover,
        opened.authenticated,
        _notification(opened, cover),
        opened.counter,
        opened.transaction_id,
        _replay(opened, meter),
        protection,
    )


def _protection(cover: Cover, meter: PushingMeter) -> Protection | None:
    credentials = meter.credentials
    if not cover.control & AUTHENTICATION and credentials.authentication_key is None:
        # Not used: without a tag there is nothing to authenticate.
        credentials = replace(credentials, authentication_key=credentials.encryption_key)
    return protection_of(cover.kind, credentials, meter.title, meter.credentials.counters.take, meter.dedicated_key)


def _signed_inside(
    cover: Cover, outer: Protection, opened: Opened, arrival: Arrival, meter: PushingMeter
) -> tuple[Cover, Protection, Opened]:
    """Signed first and ciphered then: both layers together, which have to agree."""
    inner = cover_of(opened.plain)
    if inner.control != CLEAR:
        raise ProtocolError("a ciphered APDU inside another")
    signature = _protection(inner, meter)
    assert signature is not None, "a signature is a protection"
    both = LayeredProtection(signature, outer)
    found = both.unprotect(arrival.apdu)
    if not opened.authenticated:
        # Only what the signature covers is proven; the header around it is anybody's.
        found = replace(found, transaction_id=signature.unprotect(opened.plain).transaction_id)
    return replace(cover, layers=cover.layers + inner.layers, signed=True), both, found


def _notification(opened: Opened, cover: Cover) -> DataNotification | EventNotification:
    try:
        notification = codec.decode(opened.plain) if opened.plain[:1] in _PLAIN else None
        if not isinstance(notification, DataNotification | EventNotification):
            raise ProtocolError(f"not a notification: it begins {opened.plain[:1].hex() or '(nothing)'}", retry=False)
        axdr.decode(notification.data)
    except ProtocolError:
        if cover.control & BOTH != ENCRYPTION:
            raise
        # A wrong key shows in nothing else.
        raise SecurityError(
            "deciphered, it is no sound notification",
            remedy="wrong encryption key or system title, or the APDU was altered: without a tag nobody can say",
        ) from None
    return notification


def _replay(opened: Opened, meter: PushingMeter) -> Replay:
    if not opened.authenticated:
        return "nothing"
    if opened.counter is not None and not meter.policy.constant_counter:
        return "counter"
    return "transaction-id" if opened.transaction_id else "nothing"


def _below_policy(cover: Cover, arrival: Arrival, meter: PushingMeter) -> SecurityError:
    return SecurityError(
        f"a push from {_called(title_of(arrival.apdu) or meter.title)} came {cover}, {meter.policy} is demanded",
        remedy="if the meter is set up so, its type has to allow it",
    )


def _called(title: bytes) -> str:
    return f"system title {title.hex().upper()}" if title else "a sender without a system title"


_PLAIN: Final = frozenset(bytes([tag]) for tag in NOTIFICATIONS)
