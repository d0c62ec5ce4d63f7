"""The client's side of one application association, without I/O (Green Book, 9.3 and 9.4).

All its states and what moves it from one to the next stand in `TRANSITIONS`; anything else is refused before a
single octet is sent. Services are generators (`drivers.service`): they yield what to send and when to wait.

The receive policy has no exceptions: in a ciphered association an APDU counts as data only if it carries the
protection the meter type demands, a right tag, the meter's own title and a counter above every earlier one. The one
APDU that may come in clear is exception-response (and confirmed-service-error), and it is only ever an error.
"""

from __future__ import annotations

import contextlib
import enum
import secrets
from collections.abc import Callable

from drivers.credentials import Credentials
from drivers.dlms import acse, apdu, axdr, results, security
from drivers.dlms.apdu import Conformance
from drivers.dlms.security import Key
from drivers.service import Receive, Send, Service, receive
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    MeterBusy,
    ProtocolError,
    SecurityError,
)
from profiles.meter_type import Association as AssociationType
from profiles.objects import AttributeRef, MethodRef, Obis

CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)
REPLY_TO_HLS_AUTHENTICATION = MethodRef(15, CURRENT_ASSOCIATION, 1)

PROPOSED_CONFORMANCE = (
    Conformance.GET | Conformance.ACTION | Conformance.SELECTIVE_ACCESS | Conformance.BLOCK_TRANSFER_WITH_GET
)
CHALLENGE_OCTETS = 16
MAX_PASSED_OVER = 32
"""Late answers and pushes that may come before the answer we wait for."""
MAX_TRANSFER = 16 * 1024 * 1024
"""Octets of one attribute, over all its blocks: ten times a year of 15-minute rows."""

REJECTED_TRANSIENT = 2
"""association-result of an AARE: not now."""

_GLO_INITIATE_RESPONSE = 0x28
_CONFIRMED_SERVICE_ERROR = 0x0E
_UNSOLICITED = frozenset({0x0F, 0xC2, 0xDB, 0xDC, 0xDD})
"""data-notification, event-notification and the general ciphers that pushes come in."""


LastReceived = Callable[[bytes], int]
"""The highest counter that the meter with this system title has ever used under the key; -1 if none."""


def never_heard(server_title: bytes) -> int:
    """For a meter never heard before under this key."""
    return -1


class State(enum.Enum):
    IDLE = "idle"
    ASSOCIATING = "associating"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    RELEASING = "releasing"


TRANSITIONS: dict[tuple[State, str], State] = {
    (State.IDLE, "aarq"): State.ASSOCIATING,
    (State.ASSOCIATING, "accepted"): State.OPEN,
    (State.ASSOCIATING, "accepted, HLS"): State.AUTHENTICATING,
    (State.ASSOCIATING, "rejected"): State.IDLE,
    (State.AUTHENTICATING, "meter proved itself"): State.OPEN,
    (State.OPEN, "request"): State.OPEN,
    (State.OPEN, "rlrq"): State.RELEASING,
    (State.RELEASING, "rlre"): State.IDLE,
}


class Association:
    """One association with one meter, from AARQ to release.

    `server_title` is the registered system title of the meter (empty: not known, learnt from the AARE).
    `last_received` on the association is the highest counter this meter has used under the encryption key.
    """

    def __init__(
        self,
        kind: AssociationType,
        credentials: Credentials,
        *,
        server_title: bytes = b"",
        last_received: LastReceived = never_heard,
    ) -> None:
        self.kind = kind
        self.credentials = credentials
        self.server_title = server_title
        self.last_received = -1
        self.state = State.IDLE
        self.conformance = Conformance(0)
        self.server_max_pdu = 0
        self.passed_over = 0
        self._registered_title = server_title
        self._last_received_of = last_received
        self._invoke_id = 0
        self._check_credentials()

    # -- services ---------------------------------------------------------------------------------------------

    def open(self) -> Service[None]:
        """Associate, and with HLS prove ourselves and have the meter prove itself.

        Raises AccessDenied (refused, with the diagnostic in words), MeterBusy, SecurityError, IdentityMismatch.
        """
        self._move("aarq")
        hls = self.kind.mechanism >= 2
        challenge = secrets.token_bytes(CHALLENGE_OCTETS)
        try:
            yield Send(
                acse.encode_aarq(
                    ciphered=self.kind.ciphered,
                    mechanism=self.kind.mechanism,
                    client_title=self.credentials.client_title or None,
                    authentication_value=challenge if hls else self.credentials.secret,
                    user_information=self._initiate_request(),
                )
            )
            aare = yield from self._aare()
            self._accept(aare)
            if hls:
                self._move("accepted, HLS")
                yield from self._authenticate(challenge, aare.challenge or b"")
                self._move("meter proved itself")
            else:
                self._move("accepted")
        except HeadEndError as error:
            self.reset()
            error.at(asked="associate")
            raise
        except BaseException:
            self.reset()
            raise

    def get(self, attribute: AttributeRef, selection: bytes | None = None) -> Service[bytes]:
        """GET one attribute, in as many blocks as the meter likes; returns its A-XDR octets.

        `selection` is from `apdu.range_selection` or `apdu.entry_selection`. Raises AccessDenied with the
        data-access-result, ProtocolError on a wrong block number or an oversized transfer.
        """
        self._move("request")
        if selection is not None and Conformance.SELECTIVE_ACCESS not in self.conformance:
            raise AccessDenied(
                "the meter agreed to no selective access in this association",
                asked=f"get {attribute}",
                remedy='set selective_access = "none" for this profile in the meter\'s type',
            )
        asked = f"get {attribute}"
        invoke_id = self._next_invoke_id()
        answer = yield from self._request(apdu.GetRequestNormal(invoke_id, attribute, selection).encode(), asked)
        blocks: list[bytes] = []
        size = 0
        while isinstance(answer, apdu.GetResponseBlock):
            _refuse_error(answer.error, asked)
            number = len(blocks) + 1
            if answer.block != number or answer.data is None:
                raise ProtocolError(f"block {answer.block} came where block {number} was due", asked=asked, retry=True)
            size += len(answer.data)
            if size > MAX_TRANSFER:
                raise ProtocolError(f"more than {MAX_TRANSFER} octets came", asked=asked, retry=False)
            blocks.append(answer.data)
            if answer.last:
                return b"".join(blocks)
            if not answer.data:
                raise ProtocolError(f"block {number} is empty and not the last", asked=asked, retry=True)
            answer = yield from self._request(apdu.GetRequestNext(invoke_id, number).encode(), asked)
        if not isinstance(answer, apdu.GetResponseNormal) or blocks:
            raise ProtocolError(f"{type(answer).__name__} came for a GET", asked=asked)
        _refuse_error(answer.error, asked)
        if answer.data is None:
            raise ProtocolError("the answer holds neither data nor a result", asked=asked)
        return answer.data

    def action(self, method: MethodRef, parameters: bytes | None = None) -> Service[bytes | None]:
        """ACTION-normal; returns the A-XDR octets of the return parameters, if any. Raises AccessDenied."""
        self._move("request")
        return (yield from self._action(method, parameters))

    def release(self) -> Service[None]:
        """RLRQ, then wait for RLRE. A meter that knows no RLRQ only lets the wait run out: LinkTimeout."""
        self._move("rlrq")
        try:
            protected = self._initiate_request() if self.kind.ciphered else None
            yield Send(acse.encode_rlrq(user_information=protected))
            while True:
                answer = yield from receive()
                if answer[:1] == b"\x63":
                    acse.decode_rlre(answer)
                    break
                self._pass_over("release")
            self._move("rlre")
        finally:
            self.reset()

    def reset(self) -> None:
        """Forget the association, from any state: the link is gone or about to be closed."""
        self.state = State.IDLE

    # -- association ------------------------------------------------------------------------------------------

    def _check_credentials(self) -> None:
        kind, credentials = self.kind, self.credentials
        if kind.needs_keys and (credentials.encryption_key is None or credentials.authentication_key is None):
            raise SecurityError(f"association {kind.name} needs an encryption and an authentication key")
        if kind.needs_keys and len(credentials.client_title) != 8:
            raise SecurityError(f"association {kind.name} needs a client system title of 8 octets")
        if kind.mechanism in (1, 2) and credentials.secret is None:
            raise SecurityError(f"association {kind.name} needs a {'password' if kind.mechanism == 1 else 'secret'}")
        if kind.mechanism not in (0, 1, 2, 5):
            raise SecurityError(f"authentication mechanism {kind.mechanism} is not supported")

    def _initiate_request(self) -> bytes:
        plain = apdu.InitiateRequest(conformance=PROPOSED_CONFORMANCE, max_pdu=self.kind.max_pdu).encode()
        return self._protect(plain) if self.kind.ciphered else plain

    def _aare(self) -> Service[acse.Aare]:
        """The AARE, or the error that came in its place."""
        while True:
            answer = yield from receive()
            if answer[:1] == b"\x61":
                return acse.decode_aare(answer)
            if answer[:1] in (b"\xd8", b"\x0e"):
                self._move("rejected")
                raise _clear_error(_decode_error(answer), "associate")
            self._pass_over("associate")

    def _accept(self, aare: acse.Aare) -> None:
        if aare.result != 0:
            self._move("rejected")
            raise _rejected(aare)
        if aare.ciphered != self.kind.ciphered:
            raise SecurityError("the meter answered with another application context", asked="associate")
        if aare.system_title:
            if self._registered_title and aare.system_title != self._registered_title:
                raise IdentityMismatch(
                    f"system title {aare.system_title.hex().upper()} answers, "
                    f"{self._registered_title.hex().upper()} is registered",
                    asked="associate",
                    remedy="another meter stands at this address: correct the registry, or the meter's address",
                )
            self.server_title = aare.system_title
        self.last_received = self._last_received_of(self.server_title)
        answer = apdu.decode(self._initiate_response(aare.user_information or b""))
        if isinstance(answer, apdu.ConfirmedServiceError):
            raise _clear_error(answer, "associate")
        if not isinstance(answer, apdu.InitiateResponse):
            raise ProtocolError(f"{type(answer).__name__} came for an initiate-request", asked="associate")
        self.conformance = Conformance(answer.conformance) & PROPOSED_CONFORMANCE
        self.server_max_pdu = answer.max_pdu

    def _initiate_response(self, user_information: bytes) -> bytes:
        if not self.kind.ciphered or user_information[:1] == b"\x0e":
            return user_information
        if user_information[:1] != bytes((_GLO_INITIATE_RESPONSE,)):
            raise SecurityError("the meter's initiate-response is not ciphered", asked="associate")
        return self._unprotect(user_information)

    def _authenticate(self, challenge: bytes, meter_challenge: bytes) -> Service[None]:
        """HLS passes 3 and 4 (Green Book, 9.2.7.4): our proof for the meter's challenge, then its proof for ours."""
        if not 8 <= len(meter_challenge) <= 64:
            raise ProtocolError(
                f"the meter's challenge has {len(meter_challenge)} octets, not 8 to 64", asked="associate"
            )
        if secrets.compare_digest(challenge, meter_challenge):
            raise SecurityError(
                "the meter's challenge is our own, sent back", asked="associate, HLS pass 2", retry=False
            )
        keys = self.credentials
        if self.kind.mechanism == 2:
            assert keys.secret is not None
            proof = security.hls2(keys.secret, meter_challenge)
        else:
            proof = security.gmac(
                security.AUTHENTICATION,
                *self._keys,
                keys.client_title,
                keys.counters.take(),
                meter_challenge,
            )
        try:
            answer = yield from self._action(REPLY_TO_HLS_AUTHENTICATION, axdr.octet_string(proof))
        except AccessDenied as error:
            raise AccessDenied(
                f"the meter did not accept our proof: {error.message}",
                asked="associate, HLS pass 3",
                remedy="the HLS secret or a key is not the meter's",
                retry=error.retry,
            ) from None
        returned = axdr.decode(answer) if answer is not None else None
        if not isinstance(returned, bytes):
            raise ProtocolError("the meter sent no proof of itself", asked="associate, HLS pass 4")
        try:
            self._check_proof(returned, challenge)
        except SecurityError as error:
            raise error.at(asked="associate, HLS pass 4") from None

    def _check_proof(self, proof: bytes, challenge: bytes) -> None:
        keys = self.credentials
        if self.kind.mechanism == 2:
            assert keys.secret is not None
            security.check_hls2(keys.secret, challenge, proof)
            return
        # Fresh by our challenge; its counter was drawn before the one of the APDU that carried it.
        security.check_gmac(*self._keys, self.server_title, challenge, proof, None)

    # -- requests ---------------------------------------------------------------------------------------------

    def _action(self, method: MethodRef, parameters: bytes | None) -> Service[bytes | None]:
        asked = f"action {method}"
        request = apdu.ActionRequestNormal(self._next_invoke_id(), method, parameters)
        answer = yield from self._request(request.encode(), asked)
        if not isinstance(answer, apdu.ActionResponseNormal):
            raise ProtocolError(f"{type(answer).__name__} came for an ACTION", asked=asked)
        if answer.result != 0:
            raise AccessDenied(
                f"the meter answered {results.action_text(answer.result)}",
                asked=asked,
                retry=results.is_worth_a_retry(answer.result),
            )
        _refuse_error(answer.error, asked)
        return answer.data

    def _request(self, plain: bytes, asked: str) -> Service[apdu.Apdu]:
        """Send a request and return the answer that carries its invoke-id; late and unasked APDUs are passed over."""
        if self.server_max_pdu and len(plain) > self.server_max_pdu:
            raise ProtocolError(f"the request has {len(plain)} octets, the meter takes {self.server_max_pdu}")
        invoke_id = plain[2]
        self.passed_over = 0
        try:
            yield Send(self._protect(plain) if self.kind.ciphered else plain)
            while True:
                received = yield Receive()
                assert received is not None
                if received[:1] and received[0] in _UNSOLICITED:
                    self._pass_over(asked)
                    continue
                answer = self._clear(received)
                if isinstance(answer, apdu.ExceptionResponse | apdu.ConfirmedServiceError):
                    raise _clear_error(answer, asked)
                if getattr(answer, "invoke_id", -1) & 0x0F != invoke_id & 0x0F:
                    self._pass_over(asked)
                    continue
                return answer
        except HeadEndError as error:
            if isinstance(error, LinkError | SecurityError):
                self.reset()
            raise error.at(asked=asked) from None

    def _clear(self, received: bytes) -> apdu.Apdu:
        """Decode what came, after the receive policy."""
        if not self.kind.ciphered or received[:1] in (b"\xd8", b"\x0e"):
            return apdu.decode(received)
        if not security.is_glo(received):
            tag = received[:1].hex().upper() or "nothing"
            raise SecurityError(f"a plaintext answer (tag {tag}) came in a ciphered association")
        return apdu.decode(self._unprotect(received))

    def _protect(self, plain: bytes) -> bytes:
        keys = self.credentials
        return security.glo_wrap(
            plain,
            security.protect(
                self.kind.security_control,
                *self._keys,
                keys.client_title,
                keys.counters.take(),
                plain,
            ),
        )

    def _unprotect(self, received: bytes) -> bytes:
        if len(self.server_title) != 8:
            raise SecurityError("the meter named no system title and none is registered", asked="associate")
        tag, protected = security.glo_unwrap(received)
        opened = security.unprotect(
            self.kind.security_control, *self._keys, self.server_title, protected, self.last_received
        )
        if opened.plain[:1] != bytes((tag,)):
            raise SecurityError("the ciphered APDU is not the one its tag names")
        self.last_received = opened.counter
        return opened.plain

    @property
    def _keys(self) -> tuple[Key, Key]:
        """Encryption and authentication key; that they are there was checked at the start."""
        keys = self.credentials
        assert keys.encryption_key is not None
        assert keys.authentication_key is not None
        return keys.encryption_key, keys.authentication_key

    def _next_invoke_id(self) -> int:
        """invoke-id-and-priority: confirmed, high priority, a fresh number of four bits."""
        self._invoke_id = (self._invoke_id + 1) & 0x0F
        return 0xC0 | self._invoke_id

    def _pass_over(self, asked: str) -> None:
        self.passed_over += 1
        if self.passed_over > MAX_PASSED_OVER:
            raise ProtocolError(f"{self.passed_over} APDUs came that answer nothing we asked", asked=asked)

    def _move(self, event: str) -> None:
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise ProtocolError(f"no {event} while the association is {self.state.value}", retry=False) from None


def _refuse_error(error: int | None, asked: str) -> None:
    if error is not None:
        raise AccessDenied(
            f"the meter answered {results.data_access_text(error)}", asked=asked, retry=results.is_worth_a_retry(error)
        )


def _decode_error(octets: bytes) -> apdu.ExceptionResponse | apdu.ConfirmedServiceError:
    answer = apdu.decode(octets)
    assert isinstance(answer, apdu.ExceptionResponse | apdu.ConfirmedServiceError), "the caller looked at the tag"
    return answer


def _clear_error(answer: apdu.ExceptionResponse | apdu.ConfirmedServiceError, asked: str) -> HeadEndError:
    """What an exception-response or a confirmed-service-error means. It may be forged: never more than an error."""
    if isinstance(answer, apdu.ExceptionResponse):
        if answer.invocation_counter is not None:
            return SecurityError(
                f"the meter refused our invocation counter and expects {answer.invocation_counter}",
                asked=asked,
                remedy="the counter is read again through the public client",
                retry=True,
            )
        return AccessDenied(f"the meter answered with an exception: {answer.text}", asked=asked, retry=True)
    return AccessDenied(f"the meter answered with a service error: {answer.text}", asked=asked)


def _rejected(aare: acse.Aare) -> HeadEndError:
    kind = MeterBusy if aare.result == REJECTED_TRANSIENT else AccessDenied
    text, _, remedy = acse.diagnostic_text(aare.diagnostic_source, aare.diagnostic).partition("; ")
    if aare.user_information and aare.user_information[0] == _CONFIRMED_SERVICE_ERROR:
        with contextlib.suppress(ProtocolError):
            error = apdu.decode(aare.user_information)
            text = f"{text}, {error.text}" if isinstance(error, apdu.ConfirmedServiceError) else text
    if kind is MeterBusy:
        remedy = ""  # nothing is wrong with what we asked: the usual one tells more
    return kind(f"the meter refused the association: {text}", asked="associate", remedy=remedy)
