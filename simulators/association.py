"""The meter's side of a connection: it opens associations, serves them and releases them. APDU in, APDU out, no I/O.

States of a connection, and what is served in each (all else is answered with an exception-response):

    idle      AARQ                      -> open (none, LLS), or pending (HLS)
    pending   ACTION reply_to_HLS       -> open, or idle where the proof is wrong; RLRQ -> idle
    open      what was agreed on; RLRQ  -> idle

A pre-established association is open at all times, beside these.

The one rule: whatever is wrong with what a client sends ends in an answer or in closing the connection, never in an
exception. What meters do silently (replayed counter: the connection closes without a word) is done silently.
"""

from __future__ import annotations

import hmac
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from drivers.dlms import acse, apdu
from drivers.dlms.apdu import Conformance, GeneralBlockTransfer, tags
from drivers.dlms.ciphering import overhead_of
from drivers.dlms.security import SUITES, Key
from drivers.dlms.security.hls import CHALLENGE_OCTETS
from profiles.errors import ProtocolError, SecurityError
from profiles.meter_type import Association, MeterType
from simulators.channel import Channel, Request
from simulators.objects import PUBLIC
from simulators.open_association import OpenAssociation
from simulators.proof import Proof
from simulators.refusals import Diagnostic, Excepted, HangUp, Rejected, not_allowed, not_deciphered, unknown

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

LEAST_PDU: Final = 64
"""A client that takes less is refused, and so is one that takes no more than this less 32 beside the protection."""
_LEAST_PLAIN: Final = 32

_OFFERED: Final = (
    Conformance.GENERAL_PROTECTION
    | Conformance.GENERAL_BLOCK_TRANSFER
    | Conformance.PRIORITY_MANAGEMENT
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.DATA_NOTIFICATION
    | Conformance.ACCESS
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.EVENT_NOTIFICATION
    | Conformance.ACTION
)
_OFFERED_TO_PUBLIC: Final = Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET

_APPLICATION_REFERENCE, _INITIATE = 0, 6
"""Kinds of confirmed-service-error."""


class Connection:
    """One connection to a meter. `heard_at` is when something last came, by the meter's monotonic clock."""

    def __init__(self, meter: SimulatedMeter, *, streams: bool = False) -> None:
        """`streams`: the link sends what is in `further` too; else blocks go one at a time."""
        self.meter = meter
        self.heard_at = meter.monotonic()
        self.further: deque[bytes] = deque()
        """What is to be sent after the answer that `handle` returned: more blocks of a general block transfer."""
        self.open: OpenAssociation | None = None
        """The association that an AARQ opened."""
        self._streams = streams
        self._always_open: dict[int, OpenAssociation] = {}

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        """The answer to an APDU; b"" for none, None where the meter closes the connection."""
        self.meter.busy()  # an association that was idle for too long is over, also for the one who held it
        self.heard_at = self.meter.monotonic()
        self.meter.advance()
        if server_sap != self.meter.meter_type.server_sap:
            return None
        try:
            first, *more = self._answer(received, client_sap) or [b""]
        except HangUp:
            return None
        self.further.extend(octets for each in more if (octets := self.meter.on_wire(each)))
        return self.meter.on_wire(first) if first else b""

    def close(self) -> None:
        """The connection is gone, or the association has been idle for too long: whatever was open is over."""
        if self.meter.holder is self:
            self.meter.holder = None
        if self.open is not None and self.open.kind.name == PUBLIC:
            self.meter.released_at = self.meter.monotonic()
        self.open = None
        self.further.clear()

    def _answer(self, received: bytes, client_sap: int) -> list[bytes]:
        tag = received[0] if received else 0
        try:
            if tag == acse.AARQ:
                return [self._associate(received, client_sap)]
            association = self._association_of(client_sap)
            if tag == acse.RLRQ:
                return [self._release(received, association)]
            if tag == tags.GENERAL_BLOCK_TRANSFER:
                answers = association.serve_block(received if self._streams else _one_at_a_time(received))
            else:
                answers = association.serve(received)
        except Excepted as exception:
            return [exception.response.encode()]
        except ProtocolError:
            return [unknown().response.encode()]
        if association.over:
            self.close()
        return answers

    def _association_of(self, client_sap: int) -> OpenAssociation:
        """The association in which this client asks; Excepted where none is open."""
        if self.open is not None and self.open.kind.client_sap == client_sap:
            return self.open
        if client_sap not in self._always_open:
            kind = self._kind_of(client_sap)
            if kind is None or not kind.pre_established:
                raise not_allowed()
            own = self.meter.max_pdu(kind)
            channel = Channel(self.meter, kind, self.meter.client_title)
            self._always_open[client_sap] = OpenAssociation(
                self.meter, channel, offered(kind, self.meter.meter_type), max_pdu=own, own_max_pdu=own
            )
        return self._always_open[client_sap]

    def _kind_of(self, client_sap: int) -> Association | None:
        kinds = self.meter.meter_type.associations.values()
        return next((kind for kind in kinds if kind.client_sap == client_sap), None)

    # --- AARQ -------------------------------------------------------------------------------------------------

    def _associate(self, received: bytes, client_sap: int) -> bytes:
        aarq = acse.decode_aarq(received)
        kind = self._kind_of(client_sap)
        try:
            if kind is None or kind.pre_established:
                raise Rejected(Diagnostic.NO_REASON)
            channel = Channel(self.meter, kind, aarq.client_title or b"")
            request = _initiate_request(aarq, channel)
            proposed = _proposed(request.plain, kind)
            if self.meter.busy() or self.meter.pauses(kind):
                raise Rejected(Diagnostic.NO_REASON, transient=True)
            self._check_authentication(aarq, kind)
            return self._accept(aarq, channel, proposed, request)
        except Rejected as refusal:
            because = refusal.because
            return acse.encode_aare(
                result=refusal.result,
                diagnostic=refusal.diagnostic,
                ciphered=aarq.ciphered,
                user_information=None if because is None else apdu.ConfirmedServiceError(1, *because).encode(),
            )

    def _check_authentication(self, aarq: acse.Aarq, kind: Association) -> None:
        if aarq.mechanism != kind.mechanism:
            raise Rejected(Diagnostic.MECHANISM_NOT_RECOGNIZED if aarq.mechanism else Diagnostic.MECHANISM_REQUIRED)
        value = aarq.authentication_value or b""
        if kind.mechanism == acse.LLS and not hmac.compare_digest(value, self.meter.keys.lls.octets):
            raise Rejected(Diagnostic.AUTHENTICATION_FAILED)
        least, most = CHALLENGE_OCTETS.get(kind.mechanism, (0, len(value)))
        if not least <= len(value) <= most:
            raise Rejected(Diagnostic.AUTHENTICATION_FAILED)
        if kind.mechanism >= acse.HLS_GMAC and aarq.client_title is None:
            raise Rejected(Diagnostic.CALLING_TITLE_NOT_RECOGNIZED)

    def _accept(self, aarq: acse.Aarq, channel: Channel, proposed: apdu.InitiateRequest, request: Request) -> bytes:
        kind, title = channel.kind, channel.client_title
        hls = kind.mechanism >= acse.HLS
        own_max_pdu = self.meter.max_pdu(kind)
        conformance = Conformance(proposed.conformance) & offered(kind, self.meter.meter_type)
        key = None if proposed.dedicated_key is None else Key(proposed.dedicated_key)
        channel.agree(key, general=Conformance.GENERAL_PROTECTION in conformance)
        proof = Proof(self.meter, kind, title, aarq.authentication_value or b"") if hls else None
        self.open = OpenAssociation(
            self.meter,
            channel,
            conformance,
            max_pdu=min(own_max_pdu, proposed.max_pdu or own_max_pdu),
            own_max_pdu=own_max_pdu,
            proof=proof,
        )
        self.meter.holder = self
        self.meter.client_title = title or self.meter.client_title
        agreed = apdu.InitiateResponse(conformance=int(conformance), max_pdu=own_max_pdu).encode()
        return acse.encode_aare(
            result=acse.ACCEPTED,
            diagnostic=Diagnostic.NULL if proof is None else Diagnostic.AUTHENTICATION_REQUIRED,
            ciphered=kind.protected,
            system_title=self.meter.identity.system_title if kind.protected or hls else None,
            mechanism=kind.mechanism if hls else acse.NO_SECURITY,
            challenge=None if proof is None else proof.challenge,
            user_information=request.cover(agreed),
        )

    # --- RLRQ -------------------------------------------------------------------------------------------------

    def _release(self, received: bytes, association: OpenAssociation) -> bytes:
        """The RLRE: protected where the RLRQ was."""
        if association.kind.pre_established:
            raise not_allowed()
        if not self.meter.meter_type.session_habit.release:
            raise unknown()
        given, answer = acse.decode_rlrq(received).user_information, None
        if given is not None and association.kind.ciphered:
            try:
                request = association.channel.open_initiate(given)
            except SecurityError:
                raise not_deciphered() from None
            agreed = apdu.InitiateResponse(int(association.conformance), self.meter.max_pdu(association.kind))
            answer = request.cover(agreed.encode())
        self.close()
        return acse.encode_rlre(user_information=answer)


def offered(kind: Association, meter_type: MeterType) -> Conformance:
    """What the meter can do in an association; what the client proposes narrows it. The public one reads single
    attributes, but where it is the one that collects."""
    alone = kind.name == PUBLIC and meter_type.reading_association != PUBLIC
    return _OFFERED_TO_PUBLIC if alone else _OFFERED


def _initiate_request(aarq: acse.Aarq, channel: Channel) -> Request:
    """The initiate-request in clear, after its protection was checked."""
    protected = channel.kind.protected
    if aarq.ciphered != protected:
        raise Rejected(Diagnostic.CONTEXT_NOT_SUPPORTED)
    if protected and aarq.client_title is None:
        raise Rejected(Diagnostic.CALLING_TITLE_NOT_RECOGNIZED)
    try:
        return channel.open_initiate(aarq.user_information)
    except SecurityError:
        raise Rejected(Diagnostic.NO_REASON, because=(_APPLICATION_REFERENCE, 6)) from None


def _proposed(plain: bytes, kind: Association) -> apdu.InitiateRequest:
    """The initiate-request, if the meter can go along with it."""
    request = apdu.decode(plain)
    if not isinstance(request, apdu.InitiateRequest):
        raise Rejected(Diagnostic.NO_REASON, because=(_INITIATE, 0))
    if request.dlms_version < apdu.DLMS_VERSION:
        raise Rejected(Diagnostic.NO_REASON, because=(_INITIATE, 1))
    if not request.conformance & Conformance.GET:
        raise Rejected(Diagnostic.NO_REASON, because=(_INITIATE, 2))
    if 0 < request.max_pdu < max(LEAST_PDU, overhead_of(kind) + _LEAST_PLAIN):
        raise Rejected(Diagnostic.NO_REASON, because=(_INITIATE, 3))
    if request.dedicated_key is not None and len(request.dedicated_key) != SUITES[kind.suite].key_octets:
        raise Rejected(Diagnostic.NO_REASON, because=(_INITIATE, 0))
    return request


def _one_at_a_time(received: bytes) -> bytes:
    """A block as if its sender took one in a row, for links on which the meter sends one APDU a turn."""
    block = apdu.decode(received)
    assert isinstance(block, GeneralBlockTransfer), "the caller looked at the tag"
    return replace(block, window=min(block.window, 1)).encode()
