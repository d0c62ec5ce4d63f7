"""The meter's side of a connection: association, security, services. APDU in, APDU out, no I/O.

States of a connection, and what is served in each (all else is answered with an exception-response):

    idle      AARQ                      -> open (none, LLS), or pending (HLS)
    pending   ACTION reply_to_HLS       -> open, or idle where the proof is wrong; RLRQ -> idle
    open      GET, GET next; RLRQ       -> idle

The one rule: whatever is wrong with what a client sends ends in an answer or in closing the connection, never in an
exception. What meters do silently (replayed counter: the connection closes without a word) is done silently.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import Conformance
from profiles.errors import ProtocolError, SecurityError
from profiles.meter_type import Association
from profiles.objects import AttributeRef, MethodRef
from simulators import block_load
from simulators.objects import ASSOCIATION, CURRENT_ASSOCIATION, visible

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

REPLY_TO_HLS = MethodRef(ASSOCIATION, CURRENT_ASSOCIATION, 1)
CHALLENGE_OCTETS = 16
LEAST_PDU = 64

_OFFERED = Conformance.GET | Conformance.SELECTIVE_ACCESS | Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.ACTION
_OFFERED_TO_PUBLIC = Conformance.GET | Conformance.BLOCK_TRANSFER_WITH_GET

_GLO_OCTETS = 21
"""Tag, length (up to 3), security control, counter and authentication tag around a ciphered APDU."""
_BLOCK_OCTETS = 12
"""What a get-response-with-datablock has around its piece of data."""

_NOT_ALLOWED = apdu.ExceptionResponse(state_error=1, service_error=1)
_UNKNOWN = apdu.ExceptionResponse(state_error=2, service_error=3)
_UNDECIPHERED = apdu.ExceptionResponse(state_error=1, service_error=5)

_DENIED, _UNDEFINED, _CLASS, _TYPE, _SCOPE = 3, 4, 9, 12, 13
_NO_LONG_GET, _BLOCK_NUMBER, _OTHER = 16, 19, 250
"""Data-access-results."""

_NO_REASON, _CONTEXT, _TITLE, _MECHANISM, _MECHANISM_MISSING, _AUTHENTICATION, _HLS_GOES_ON = 1, 2, 3, 11, 12, 13, 14
"""Diagnostics of the acse-service-user."""


class State(Enum):
    """Where a connection stands; the table is at the top of this file."""

    IDLE = "idle"
    PENDING = "pending"
    OPEN = "open"


class HangUp(Exception):  # noqa: N818 - not an error: what a meter does
    """The meter closes the connection without a word."""


class Rejected(Exception):  # noqa: N818 - not an error: what a meter answers
    """The meter refuses the association."""

    def __init__(self, diagnostic: int, *, transient: bool = False, because: tuple[int, int] | None = None) -> None:
        """`because`: kind and code of a confirmed-service-error that tells more."""
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
        self.result = acse.REJECTED_TRANSIENT if transient else acse.REJECTED_PERMANENT
        self.because = because


class Refused(Exception):  # noqa: N818 - not an error: what a meter answers
    """The meter refuses an attribute, with this data-access-result."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


@dataclass(slots=True)
class Transfer:
    """A GET in blocks: the whole value, how much of it was sent, and the number of the last block sent."""

    data: bytes
    sent: int = 0
    block: int = 0


class Connection:
    """One connection to a meter. `heard_at` is when something last came, by the meter's monotonic clock."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self.meter = meter
        self.state = State.IDLE
        self.heard_at = meter.monotonic()
        self._association: Association | None = None
        self._client_title = b""
        self._client_challenge = b""
        self._challenge = b""
        self._counter_at_start = 0
        self._conformance = Conformance(0)
        self._max_pdu = 0
        self._transfer: Transfer | None = None

    def handle(self, received: bytes, client_sap: int, server_sap: int) -> bytes | None:
        """The answer to an APDU; b"" for none, None where the meter closes the connection."""
        self.meter.busy()  # an association that was idle for too long is over, also for the one who held it
        self.heard_at = self.meter.monotonic()
        if server_sap != self.meter.meter_type.server_sap:
            return None
        try:
            answer = self._answer(received, client_sap)
        except HangUp:
            return None
        return self.meter.on_wire(answer)

    def close(self) -> None:
        """The connection is gone, or the association has been idle for too long: whatever was open is over."""
        if self.meter.holder is self:
            self.meter.holder = None
        self.state = State.IDLE
        self._association = None
        self._transfer = None

    def _answer(self, received: bytes, client_sap: int) -> bytes:
        tag = received[0] if received else 0
        try:
            if tag == acse.AARQ:
                return self._associate(received, client_sap)
            if self._association is None or client_sap != self._association.client_sap:
                return _NOT_ALLOWED.encode()
            if tag == acse.RLRQ:
                return self._release(received)
            return self._serve(received, self._association)
        except ProtocolError:
            return _UNKNOWN.encode()

    # --- association ------------------------------------------------------------------------------------------

    def _associate(self, received: bytes, client_sap: int) -> bytes:
        aarq = acse.decode_aarq(received)
        association = next(
            (one for one in self.meter.meter_type.associations.values() if one.client_sap == client_sap), None
        )
        try:
            if association is None:
                raise Rejected(_NO_REASON)
            proposed = self._proposed(aarq, association)
            if self.meter.busy():
                raise Rejected(_NO_REASON, transient=True)
            self._check_authentication(aarq, association)
            return self._accept(aarq, association, proposed)
        except Rejected as refusal:
            because = refusal.because
            return acse.encode_aare(
                result=refusal.result,
                diagnostic=refusal.diagnostic,
                ciphered=aarq.ciphered,
                user_information=None if because is None else apdu.ConfirmedServiceError(1, *because).encode(),
            )

    def _proposed(self, aarq: acse.Aarq, association: Association) -> apdu.InitiateRequest:
        """The initiate-request, after its protection was checked."""
        if aarq.ciphered != association.ciphered:
            raise Rejected(_CONTEXT)
        plain = aarq.user_information
        if association.ciphered:
            if aarq.client_title is None:
                raise Rejected(_TITLE)
            try:
                plain = self._unprotect(plain, aarq.client_title, association)
            except SecurityError:
                raise Rejected(_NO_REASON, because=(0, 6)) from None
        request = apdu.decode(plain)
        if not isinstance(request, apdu.InitiateRequest):
            raise Rejected(_NO_REASON, because=(6, 0))
        if request.dlms_version < apdu.DLMS_VERSION:
            raise Rejected(_NO_REASON, because=(6, 1))
        if not request.conformance & Conformance.GET:
            raise Rejected(_NO_REASON, because=(6, 2))
        if 0 < request.max_pdu < LEAST_PDU:
            raise Rejected(_NO_REASON, because=(6, 3))
        return request

    def _check_authentication(self, aarq: acse.Aarq, association: Association) -> None:
        if aarq.mechanism != association.mechanism:
            raise Rejected(_MECHANISM if aarq.mechanism else _MECHANISM_MISSING)
        value = aarq.authentication_value or b""
        if association.mechanism == acse.LLS and not hmac.compare_digest(value, self.meter.keys.lls.octets):
            raise Rejected(_AUTHENTICATION)
        if association.mechanism >= acse.HLS and not 8 <= len(value) <= 64:
            raise Rejected(_AUTHENTICATION)
        if association.mechanism == acse.HLS_GMAC and aarq.client_title is None:
            raise Rejected(_TITLE)

    def _accept(self, aarq: acse.Aarq, association: Association, proposed: apdu.InitiateRequest) -> bytes:
        hls = association.mechanism >= acse.HLS
        offered = _OFFERED_TO_PUBLIC if association.mechanism == acse.NO_SECURITY else _OFFERED
        own_max_pdu = min(association.max_pdu, self.meter.identity.maker.max_pdu)
        self._association = association
        self._client_title = aarq.client_title or b""
        self._client_challenge = aarq.authentication_value or b""
        self._challenge = secrets.token_bytes(CHALLENGE_OCTETS) if hls else b""
        self._counter_at_start = self.meter.last_received
        self._conformance = Conformance(proposed.conformance) & offered
        self._max_pdu = min(own_max_pdu, proposed.max_pdu or own_max_pdu)
        self._transfer = None
        self.state = State.PENDING if hls else State.OPEN
        self.meter.holder = self
        agreed = apdu.InitiateResponse(conformance=int(self._conformance), max_pdu=own_max_pdu).encode()
        return acse.encode_aare(
            result=acse.ACCEPTED,
            diagnostic=_HLS_GOES_ON if hls else 0,
            ciphered=association.ciphered,
            system_title=self.meter.identity.system_title if association.ciphered or hls else None,
            mechanism=association.mechanism if hls else acse.NO_SECURITY,
            challenge=self._challenge if hls else None,
            user_information=self._protect(agreed, association),
        )

    def _release(self, received: bytes) -> bytes:
        release, association = acse.decode_rlrq(received), self._association
        if release.user_information is not None and association is not None and association.ciphered:
            try:
                self._unprotect(release.user_information, self._client_title, association)
            except SecurityError:
                return _UNDECIPHERED.encode()
        self.close()
        return acse.encode_rlre()

    # --- security ---------------------------------------------------------------------------------------------

    def _unprotect(self, received: bytes, client_title: bytes, association: Association) -> bytes:
        """The plain APDU. SecurityError on other protection than the association's or a bad tag; a counter that
        does not rise hangs up."""
        keys = self.meter.keys
        tag, protected = security.glo_unwrap(received)
        counter = int.from_bytes(protected[1:5], "big")
        if len(protected) >= 5:
            self.meter.record.note(client_title, counter)
            if counter <= self.meter.last_received:
                raise HangUp
        opened = security.unprotect(
            association.security_control, keys.encryption, keys.authentication, client_title, protected, None
        )
        self.meter.received(counter)
        if opened.plain[:1] != bytes([tag]):
            raise SecurityError("the ciphered APDU is not the one that its tag names")
        return opened.plain

    def _protect(self, plain: bytes, association: Association) -> bytes:
        if not association.ciphered:
            return plain
        keys, title = self.meter.keys, self.meter.identity.system_title
        protected = security.protect(
            association.security_control, keys.encryption, keys.authentication, title, self.meter.next_counter(), plain
        )
        return security.glo_wrap(plain, protected)

    def _prove(self, parameters: bytes | None, association: Association) -> bytes:
        """Check pass 3 of an HLS and give pass 4; SecurityError where the proof is wrong (Green Book, 9.2.7.4)."""
        proof = axdr.decode(parameters) if parameters is not None else None
        if not isinstance(proof, bytes):
            raise SecurityError("the proof is not an octet-string")
        keys = self.meter.keys
        if association.mechanism == acse.HLS:
            security.check_hls2(keys.hls, self._challenge, proof)
            return security.hls2(keys.hls, self._client_challenge)
        if len(proof) >= 5:
            self.meter.record.note(self._client_title, int.from_bytes(proof[1:5], "big"))
        # Clients take this counter before or after that of the APDU around it: it has to be new to the association.
        counter = security.check_gmac(
            keys.encryption,
            keys.authentication,
            self._client_title,
            self._challenge,
            proof,
            self._counter_at_start,
        )
        self.meter.received(counter)
        return security.gmac(
            security.AUTHENTICATION,
            keys.encryption,
            keys.authentication,
            self.meter.identity.system_title,
            self.meter.next_counter(),
            self._client_challenge,
        )

    # --- services ---------------------------------------------------------------------------------------------

    def _serve(self, received: bytes, association: Association) -> bytes:
        plain = received
        if association.ciphered:
            try:
                plain = self._unprotect(received, self._client_title, association)
            except SecurityError:
                return _UNDECIPHERED.encode()
        elif security.is_glo(received):
            return _NOT_ALLOWED.encode()
        match apdu.decode(plain):
            case apdu.ActionRequestNormal() as request if self.state is State.PENDING:
                answer = self._reply_to_hls(request, association)
            case apdu.ActionRequestNormal() as request if self.state is State.OPEN:
                answer = apdu.ActionResponseNormal(request.invoke_id, _DENIED).encode()
            case apdu.GetRequestNormal() as request if self.state is State.OPEN:
                answer = self._get(request, association)
            case apdu.GetRequestNext() as request if self.state is State.OPEN:
                answer = self._next_block(request, association)
            case _:
                return _NOT_ALLOWED.encode()
        return self._protect(answer, association)

    def _reply_to_hls(self, request: apdu.ActionRequestNormal, association: Association) -> bytes:
        try:
            if request.method != REPLY_TO_HLS:
                raise SecurityError("another method before authentication is complete")
            proof = self._prove(request.parameters, association)
        except SecurityError:
            self.close()
            return apdu.ActionResponseNormal(request.invoke_id, _DENIED).encode()
        self.state = State.OPEN
        return apdu.ActionResponseNormal(request.invoke_id, 0, axdr.octet_string(proof)).encode()

    def _get(self, request: apdu.GetRequestNormal, association: Association) -> bytes:
        self._transfer = None
        try:
            data = self._value(request.attribute, request.selection, association)
        except Refused as refusal:
            return apdu.GetResponseNormal(request.invoke_id, error=refusal.result).encode()
        whole = apdu.GetResponseNormal(request.invoke_id, data).encode()
        if len(whole) + self._overhead(association) <= self._max_pdu:
            return whole
        if Conformance.BLOCK_TRANSFER_WITH_GET not in self._conformance:
            return apdu.GetResponseNormal(request.invoke_id, error=_OTHER).encode()
        self._transfer = Transfer(data)
        return self._block(request.invoke_id, self._transfer, association)

    def _next_block(self, request: apdu.GetRequestNext, association: Association) -> bytes:
        transfer = self._transfer
        if transfer is None or request.block != transfer.block:
            self._transfer = None
            error = _NO_LONG_GET if transfer is None else _BLOCK_NUMBER
            return apdu.GetResponseBlock(request.invoke_id, True, request.block, error=error).encode()
        return self._block(request.invoke_id, transfer, association)

    def _block(self, invoke_id: int, transfer: Transfer, association: Association) -> bytes:
        size = self._max_pdu - self._overhead(association) - _BLOCK_OCTETS
        piece = transfer.data[transfer.sent : transfer.sent + size]
        transfer.sent += len(piece)
        transfer.block += 1
        last = transfer.sent == len(transfer.data)
        if last:
            self._transfer = None
        return apdu.GetResponseBlock(invoke_id, last, transfer.block, piece).encode()

    def _value(self, attribute: AttributeRef, selection: bytes | None, association: Association) -> bytes:
        meter = self.meter
        entry = meter.objects.get(attribute.obis)
        if entry is None:
            raise Refused(_UNDEFINED)
        if entry.class_id != attribute.class_id:
            raise Refused(_CLASS)
        if not visible(meter.meter_type, association, attribute.obis):
            raise Refused(_DENIED)
        if attribute.attribute == 1:
            return axdr.octet_string(bytes(attribute.obis))
        answer = entry.attributes.get(attribute.attribute)
        if answer is None:
            raise Refused(_DENIED)
        if selection is None:
            return answer(meter, association)
        return self._selected(attribute, selection)

    def _selected(self, attribute: AttributeRef, selection: bytes) -> bytes:
        """Rows by range: the block load profile has no other selection, and nothing else has any."""
        block = self.meter.meter_type.profiles["block_load"]
        if attribute.obis != block.obis or attribute.attribute != 2:
            raise Refused(_SCOPE)
        if Conformance.SELECTIVE_ACCESS not in self._conformance:
            raise Refused(_SCOPE)
        try:
            asked = apdu.decode_selection(selection)
            if not isinstance(asked, apdu.RangeSelection) or asked.clock != block_load.CLOCK or asked.columns:
                raise Refused(_SCOPE)
            bounds = (block_load.utc_of_clock(asked.start), block_load.utc_of_clock(asked.end))
        except ProtocolError:
            raise Refused(_TYPE) from None
        return axdr.array(self.meter.rows(bounds))

    def _overhead(self, association: Association) -> int:
        return _GLO_OCTETS if association.ciphered else 0
