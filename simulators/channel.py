"""What protects an association, from the meter's side: requests are opened, and answered under the same cover.

The one rule: a cover is taken if it is at least what the association asks for. Under one security control, glo-, ded-
and the general forms of both protect alike, so a client may use any of them that its AARQ made possible (a dedicated
key, general protection in the conformance), and is answered in kind. Signatures and general-ciphering have no
substitute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu
from drivers.dlms.apdu import tags
from drivers.dlms.ciphering import initiate_protection_of, overhead_of, protection_of
from drivers.dlms.security import Key, Protection
from profiles.errors import ProtocolError, SecurityError
from profiles.meter_type import Association, Ciphering
from simulators.invocations import KeyUse
from simulators.refusals import HangUp, counter_expected

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_COVERS: Final[Mapping[int, Ciphering]] = {
    **{tag: "ded" if dedicated else "glo" for tag, (_, dedicated) in tags.CIPHERED.items()},
    tags.GENERAL_GLO_CIPHERING: "general-glo",
    tags.GENERAL_DED_CIPHERING: "general-ded",
    tags.GENERAL_CIPHERING: "general-ciphering",
}
_GENERAL: Final = ("general-glo", "general-ded")
_DEDICATED: Final = ("ded", "general-ded")


@dataclass(frozen=True, slots=True)
class Request:
    """A request in clear, and how its answer is covered: by `protection`, which adds up to `overhead` octets."""

    plain: bytes
    protection: Protection | None = None
    overhead: int = 0
    transaction_id: bytes = b""

    def cover(self, answer: bytes) -> bytes:
        return answer if self.protection is None else self.protection.protect(answer, self.transaction_id)


class Channel:
    """The protection of one association with the client that has `client_title` (empty: each APDU names it).

    Its keys are those that the meter has when it begins: new ones count from the next association on.
    """

    def __init__(self, meter: SimulatedMeter, kind: Association, client_title: bytes) -> None:
        self.kind = kind
        self.client_title = client_title
        self._meter = meter
        self._credentials = meter.credentials(kind)
        self._dedicated_key: Key | None = None
        self._general = True
        self._global_use = meter.key_use
        self._dedicated_use = KeyUse(meter.record.of_another_key(), -1)
        self._covers: dict[Ciphering, tuple[Protection | None, int]] = {}

    def agree(self, dedicated_key: Key | None, *, general: bool) -> None:
        """What the AARQ brought: a dedicated key, general protection."""
        self._dedicated_key = dedicated_key
        self._general = general

    def open_initiate(self, received: bytes) -> Request:
        """The initiate-request of an AARQ or RLRQ; errors as `open`."""
        take = self._meter.next_counter
        protection = initiate_protection_of(self.kind, self._credentials, self.client_title, take)
        return Request(received) if protection is None else self._open(received, protection, 0, self._global_use)

    def open(self, received: bytes) -> Request:
        """The request inside. SecurityError where it is not protected as required; a replay hangs up."""
        if not self.kind.protected:
            if is_protected(received):
                raise SecurityError("a protected APDU in an association without protection")
            return Request(received)
        cover = self._cover_of(received)
        if cover not in self._covers:
            self._covers[cover] = self._protection(cover)
        protection, overhead = self._covers[cover]
        assert protection is not None
        use = self._dedicated_use if cover in _DEDICATED else self._global_use
        return self._open(received, protection, overhead, use)

    def _open(self, received: bytes, protection: Protection, overhead: int, use: KeyUse) -> Request:
        """Note the counter of what came, whatever becomes of it; one that does not rise hangs up, or is told."""
        counter = counter_of(received)
        if counter is not None:
            use.record.note(self.client_title, counter)
            if counter <= use.last:
                raise counter_expected(use.last + 1) if self._meter.tells_counters else HangUp
        opened = protection.unprotect(received)
        if opened.counter is not None:
            use.took(opened.counter)
        elif opened.transaction_id and not self._meter.transactions.add(opened.transaction_id):
            raise HangUp
        return Request(opened.plain, protection, overhead, opened.transaction_id)

    def _cover_of(self, received: bytes) -> Ciphering:
        kind = self.kind
        if kind.signed or kind.ciphering == "general-ciphering":
            return kind.ciphering
        cover = _COVERS.get(received[0]) if received else None
        if cover is None or cover == "general-ciphering":
            raise SecurityError("an APDU without the protection that is required")
        if cover in _GENERAL and not self._general and cover != kind.ciphering:
            raise SecurityError("general protection was not agreed on")
        if cover in _DEDICATED and self._dedicated_key is None:
            raise SecurityError("there is no dedicated key")
        return cover

    def _protection(self, cover: Ciphering) -> tuple[Protection | None, int]:
        kind = replace(self.kind, ciphering=cover)
        take = self._meter.next_counter
        return protection_of(kind, self._credentials, self.client_title, take, self._dedicated_key), overhead_of(kind)


def is_protected(received: bytes) -> bool:
    return received[:1] != b"" and (received[0] in _COVERS or received[0] == tags.GENERAL_SIGNING)


def counter_of(received: bytes) -> int | None:
    """The invocation counter under a key that lasts; None where there is none, or the APDU is garbled."""
    if received[:1] and received[0] in tags.CIPHERED:
        header = 2 + (received[1] & 0x7F if received[1:2] > b"\x7f" else 0)
        return _counter(received[header : header + 5])
    try:
        protected = apdu.decode(received)
    except ProtocolError:
        return None
    match protected:
        case apdu.GeneralSigning():
            return counter_of(protected.content)
        case apdu.GeneralCiphering() if not isinstance(protected.key_info, apdu.IdentifiedKey):
            return None
        case apdu.GeneralGloCiphering() | apdu.GeneralDedCiphering() | apdu.GeneralCiphering():
            return _counter(protected.content)
        case _:
            return None


def _counter(protected: bytes) -> int | None:
    """From security control, counter and what follows them."""
    return int.from_bytes(protected[1:5], "big") if len(protected) >= 5 else None
