"""The client's side of one application association, without I/O (Green Book, 9.3 and 9.4): open, exchange, release.

All its states and what moves it from one to the next stand in `TRANSITIONS`; anything else is refused before a
single octet is sent. Services are generators (`drivers.service`): they yield what to send and when to wait. What is
asked for in an exchange is the business of `drivers.dlms.client`.

The receive policy has no exceptions: in a protected association an APDU counts as data only if it carries the
protection the meter type demands, a right tag or signature, the meter's own title, and a counter above every earlier
one (where each APDU has a key of its own: the transaction-id of our request). The one APDU that may come in clear is
exception-response (and confirmed-service-error), and it is only ever an error.
"""

from __future__ import annotations

import contextlib
import enum
import secrets
from collections.abc import Callable
from typing import Protocol

from drivers.credentials import Credentials
from drivers.dlms import acse, apdu, axdr, results, security
from drivers.dlms.apdu import Conformance, tags
from drivers.dlms.block_transfer import BlockTransfer
from drivers.dlms.ciphering import (
    hls_keys_of,
    initiate_protection_of,
    overhead_of,
    protection_of,
    symmetric_keys,
)
from drivers.dlms.security import Challenge, Key, Protection
from drivers.dlms.security.protection import new_transaction_id
from drivers.dlms.security.suites import SUITES
from drivers.service import Send, Service, receive
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    MeterBusy,
    ProtocolError,
    SecurityError,
)
from profiles.meter_type import Association as AssociationType
from profiles.objects import MethodRef, Obis

CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)
REPLY_TO_HLS_AUTHENTICATION = MethodRef(15, CURRENT_ASSOCIATION, 1)

PROPOSED_CONFORMANCE = (
    Conformance.GET
    | Conformance.SET
    | Conformance.ACTION
    | Conformance.ACCESS
    | Conformance.SELECTIVE_ACCESS
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.GENERAL_BLOCK_TRANSFER
    | Conformance.PRIORITY_MANAGEMENT
    | Conformance.EVENT_NOTIFICATION
    | Conformance.DATA_NOTIFICATION
)
CHALLENGE_OCTETS = 16
ECDSA_CHALLENGE_OCTETS = 32
MAX_PASSED_OVER = 32
"""Late answers and pushes that may come before the answer we wait for."""

REJECTED_TRANSIENT = 2
"""association-result of an AARE: not now."""

_CONFIRMED_SERVICE_ERROR = 0x0E
_CLEAR_ERRORS = (tags.EXCEPTION_RESPONSE, _CONFIRMED_SERVICE_ERROR)
_NOTIFICATIONS = frozenset({tags.DATA_NOTIFICATION, 0xC2})
_EVENTS_CIPHERED = frozenset({tags.GLO[0xC2], tags.DED[0xC2]})
_GENERAL = frozenset(
    {
        tags.GENERAL_GLO_CIPHERING,
        tags.GENERAL_DED_CIPHERING,
        tags.GENERAL_CIPHERING,
        tags.GENERAL_SIGNING,
    }
)


LastReceived = Callable[[bytes], int]
"""The highest counter that the meter with this system title has ever used under the key; -1 if none."""


def never_heard(server_title: bytes) -> int:
    """For a meter never heard before under this key."""
    return -1


Unasked = Callable[[bytes], None]
"""Takes an APDU that the meter sent without being asked, as it came: a push in the middle of our request."""


def ignore(received: bytes) -> None:
    """For callers with no use for pushes."""


class Request(Protocol):
    """A request APDU; `invoke_id` is its invoke-id-and-priority, 8 bits, or 32 in ACCESS."""

    @property
    def invoke_id(self) -> int: ...

    def encode(self) -> bytes: ...


class State(enum.Enum):
    IDLE = "idle"
    ASSOCIATING = "associating"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    RELEASING = "releasing"


TRANSITIONS: dict[tuple[State, str], State] = {
    (State.IDLE, "aarq"): State.ASSOCIATING,
    (State.IDLE, "pre-established"): State.OPEN,
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
    `capacity` is how many octets a plain request may have to arrive in one piece: the meter's PDU less our protection.
    """

    def __init__(
        self,
        kind: AssociationType,
        credentials: Credentials,
        *,
        server_title: bytes = b"",
        last_received: LastReceived = never_heard,
        unasked: Unasked = ignore,
    ) -> None:
        self.kind = kind
        self.credentials = credentials
        self.server_title = server_title
        self.last_received = -1
        self.state = State.IDLE
        self.conformance = Conformance(0)
        self.server_max_pdu = 0
        self.capacity = 0xFFFF
        self.passed_over = 0
        self._registered_title = server_title
        self._last_received_of = last_received
        self._unasked = unasked
        self._invoke_id = 0
        self._dedicated_key: Key | None = None
        self._last_dedicated = -1
        self._initiate: Protection | None = None
        self._protection: Protection | None = None
        self._transfer: BlockTransfer | None = None
        self._check_credentials()

    # -- services ---------------------------------------------------------------------------------------------

    def open(self) -> Service[None]:
        """Associate, and with HLS prove ourselves and have the meter prove itself.

        Raises AccessDenied (refused, with the diagnostic in words), MeterBusy, SecurityError, IdentityMismatch.
        """
        if self.kind.pre_established:
            self._move("pre-established")
            self._agree(PROPOSED_CONFORMANCE, self.kind.max_pdu)
            return
        self._move("aarq")
        try:
            yield from self._associate()
        except HeadEndError as error:
            self.reset()
            error.at(asked="associate")
            raise
        except BaseException:
            self.reset()
            raise

    def exchange(self, request: Request, asked: str) -> Service[apdu.Apdu]:
        """Send a request and return the answer that carries its invoke-id; late and unasked APDUs are passed over.

        Raises what the receive policy refuses, ProtocolError for a request longer than the meter takes, and the error
        that an exception-response stands for.
        """
        self._move("request")
        return (yield from self._exchange(request, asked))

    def release(self) -> Service[None]:
        """RLRQ, then wait for RLRE. A meter that knows no RLRQ only lets the wait run out: LinkTimeout.

        AccessDenied where the meter refuses; the association is over for us all the same.
        """
        if self.kind.pre_established:
            self.reset()
            return
        self._move("rlrq")
        self.passed_over = 0
        try:
            yield Send(acse.encode_rlrq(user_information=self._initiate_request() if self.kind.ciphered else None))
            while True:
                answer = yield from receive()
                if answer[:1] == b"\x63":
                    _refuse_release(acse.decode_rlre(answer))
                    break
                if answer[:1] and answer[0] in _CLEAR_ERRORS:
                    raise _clear_error(_decode_error(answer), "release")
                self._pass_over(answer, "release")
            self._move("rlre")
        finally:
            self.reset()

    def reset(self) -> None:
        """Forget the association, from any state: the link is gone or about to be closed."""
        self.state = State.IDLE
        self._initiate = self._protection = None
        self._transfer = None
        self._dedicated_key = None

    def next_invoke_id(self) -> int:
        """invoke-id-and-priority: confirmed, high priority, a fresh number of four bits."""
        self._invoke_id = (self._invoke_id + 1) & 0x0F
        return 0xC0 | self._invoke_id

    # -- association ------------------------------------------------------------------------------------------

    def _check_credentials(self) -> None:
        kind, credentials = self.kind, self.credentials
        if kind.needs_keys:
            symmetric_keys(kind, credentials)
        if (kind.needs_keys or kind.protected or kind.mechanism in (6, 7)) and len(credentials.client_title) != 8:
            raise SecurityError(f"association {kind.name} needs a client system title of 8 octets")
        if kind.mechanism in (1, 2, 3, 4, 6) and credentials.secret is None:
            raise SecurityError(f"association {kind.name} needs a {'password' if kind.mechanism == 1 else 'secret'}")
        if kind.mechanism == 7 and (credentials.signing_key is None or credentials.peer_signing_key is None):
            raise SecurityError(f"association {kind.name} needs our private and the meter's public signing key")
        if kind.mechanism > 7:
            raise SecurityError(f"authentication mechanism {kind.mechanism} is not supported")
        if kind.pre_established and kind.protected and len(self.server_title) != 8:
            raise SecurityError(f"association {kind.name} needs the meter's system title, which no AARE will tell")
        self._check_titles_differ()

    def _check_titles_differ(self) -> None:
        """By one title on both sides two APDUs would have one nonce, and our own proof would pass for the meter's."""
        if self.server_title and self.server_title == self.credentials.client_title:
            raise SecurityError(
                f"the meter's system title, {self.server_title.hex().upper()}, is our own",
                remedy="if it is not sent back by somebody in between, give this client another title",
            )

    def _associate(self) -> Service[None]:
        kind = self.kind
        hls = kind.mechanism >= 2
        challenge = secrets.token_bytes(ECDSA_CHALLENGE_OCTETS if kind.mechanism == 7 else CHALLENGE_OCTETS)
        if kind.ciphering in ("ded", "general-ded") and kind.ciphered:
            self._dedicated_key = Key.generate(SUITES[kind.suite].key_octets)
            self._last_dedicated = -1
        self._initiate = initiate_protection_of(
            kind, self.credentials, self.server_title, self.credentials.counters.take
        )
        yield Send(
            acse.encode_aarq(
                ciphered=kind.protected,
                mechanism=kind.mechanism,
                client_title=self.credentials.client_title or None,
                authentication_value=challenge if hls else self.credentials.secret if kind.mechanism else None,
                user_information=self._initiate_request(),
            )
        )
        self.passed_over = 0
        aare = yield from self._aare()
        self._accept(aare)
        if hls:
            self._move("accepted, HLS")
            yield from self._authenticate(challenge, aare.challenge or b"")
            self._move("meter proved itself")
        else:
            self._move("accepted")

    def _initiate_request(self) -> bytes:
        kind = self.kind
        general = kind.ciphering not in ("glo", "ded") or kind.signed
        conformance = PROPOSED_CONFORMANCE | (Conformance.GENERAL_PROTECTION if general else Conformance(0))
        key = self._dedicated_key
        plain = apdu.InitiateRequest(conformance, kind.max_pdu, None if key is None else key.octets).encode()
        return plain if self._initiate is None else self._initiate.protect(plain)

    def _new_transaction(self) -> bytes:
        """A transaction-id for a request, where APDUs carry one."""
        return new_transaction_id() if self.kind.signed or self.kind.ciphering == "general-ciphering" else b""

    def _aare(self) -> Service[acse.Aare]:
        """The AARE, or the error that came in its place."""
        while True:
            answer = yield from receive()
            if answer[:1] == b"\x61":
                return acse.decode_aare(answer)
            if answer[:1] and answer[0] in _CLEAR_ERRORS:
                self._move("rejected")
                raise _clear_error(_decode_error(answer), "associate")
            self._pass_over(answer, "associate")

    def _accept(self, aare: acse.Aare) -> None:
        if aare.result != 0:
            self._move("rejected")
            raise _rejected(aare)
        if aare.ciphered != self.kind.protected:
            raise SecurityError("the meter answered with another application context", asked="associate")
        if aare.system_title:
            if self._registered_title and aare.system_title != self._registered_title:
                raise IdentityMismatch(
                    f"system title {aare.system_title.hex().upper()} answers, "
                    f"{self._registered_title.hex().upper()} is registered",
                    asked="associate",
                    remedy="another meter stands at this address: correct the registry, or the meter's address",
                )
            if aare.system_title != self.server_title:
                self.server_title = aare.system_title
                self._initiate = initiate_protection_of(
                    self.kind, self.credentials, self.server_title, self.credentials.counters.take
                )
            self._check_titles_differ()
        self.last_received = max(self.last_received, self._last_received_of(self.server_title))
        answer = apdu.decode(self._initiate_response(aare.user_information or b""))
        if isinstance(answer, apdu.ConfirmedServiceError):
            raise _clear_error(answer, "associate")
        if not isinstance(answer, apdu.InitiateResponse):
            raise ProtocolError(f"{type(answer).__name__} came for an initiate-request", asked="associate")
        self._agree(Conformance(answer.conformance) & PROPOSED_CONFORMANCE, answer.max_pdu)

    def _agree(self, conformance: Conformance, max_pdu: int) -> None:
        """What both sides can do, and how APDUs are protected from here on."""
        self.conformance = conformance
        self.server_max_pdu = max_pdu
        self.capacity = max_pdu - overhead_of(self.kind) if max_pdu else 0xFFFF
        if self.kind.pre_established:
            self.last_received = max(self.last_received, self._last_received_of(self.server_title))
        take, dedicated = self.credentials.counters.take, self._dedicated_key
        self._protection = protection_of(self.kind, self.credentials, self.server_title, take, dedicated)
        if Conformance.GENERAL_BLOCK_TRANSFER in conformance:
            self._transfer = BlockTransfer(max_pdu or 0xFFFF)

    def _initiate_response(self, user_information: bytes) -> bytes:
        protection = self._initiate
        tag = user_information[0] if user_information else 0
        if protection is None or tag == _CONFIRMED_SERVICE_ERROR:
            return user_information
        if tag not in tags.CIPHERED and tag not in _GENERAL:
            raise SecurityError("the meter's initiate-response is not ciphered", asked="associate")
        if len(self.server_title) != 8:
            raise SecurityError("the meter named no system title and none is registered", asked="associate")
        opened = protection.unprotect(user_information, self.last_received)
        if opened.counter is not None:
            self.last_received = opened.counter
        return opened.plain

    def _authenticate(self, challenge: bytes, meter_challenge: bytes) -> Service[None]:
        """HLS passes 3 and 4 (Green Book, 9.2.7.4): our proof for the meter's challenge, then its proof for ours."""
        mechanism, keys = self.kind.mechanism, hls_keys_of(self.kind, self.credentials)
        least = ECDSA_CHALLENGE_OCTETS if mechanism == 7 else 8
        if not least <= len(meter_challenge) <= 64:
            raise ProtocolError(
                f"the meter's challenge has {len(meter_challenge)} octets, not {least} to 64", asked="associate"
            )
        if secrets.compare_digest(challenge, meter_challenge):
            raise SecurityError(
                "the meter's challenge is our own, sent back", asked="associate, HLS pass 2", retry=False
            )
        ours, its = self.credentials.client_title, self.server_title
        proof = security.answer_challenge(
            mechanism, keys, Challenge(meter_challenge, challenge, ours, its), self.credentials.counters.take
        )
        asked = "associate, HLS pass 3"
        request = apdu.ActionRequestNormal(self.next_invoke_id(), REPLY_TO_HLS_AUTHENTICATION, axdr.octet_string(proof))
        answer = yield from self._exchange(request, asked)
        if not isinstance(answer, apdu.ActionResponseNormal):
            raise ProtocolError(f"{type(answer).__name__} came for an ACTION", asked=asked)
        if answer.result != 0 or answer.error is not None:
            raise AccessDenied(
                f"the meter did not accept our proof: it answered {results.action_text(answer.result)}",
                asked=asked,
                remedy="the HLS secret or a key is not the meter's",
                retry=results.is_worth_a_retry(answer.result),
            )
        returned = axdr.decode(answer.data) if answer.data is not None else None
        if not isinstance(returned, bytes):
            raise ProtocolError("the meter sent no proof of itself", asked="associate, HLS pass 4")
        try:
            # Fresh by our challenge; GMAC's counter was drawn before the one of the APDU that carried it.
            security.check_answer(mechanism, keys, Challenge(challenge, meter_challenge, its, ours), returned)
        except SecurityError as error:
            raise error.at(asked="associate, HLS pass 4") from None

    # -- exchange ---------------------------------------------------------------------------------------------

    def _exchange(self, request: Request, asked: str) -> Service[apdu.Apdu]:
        self.passed_over = 0
        plain = request.encode()
        try:
            if len(plain) > self.capacity and self._transfer is None:
                raise ProtocolError(
                    f"the request has {len(plain)} octets, more than the {self.capacity} that the meter takes",
                    retry=False,
                )
            transaction_id = self._new_transaction()
            yield from self._send(
                plain if self._protection is None else self._protection.protect(plain, transaction_id)
            )
            while True:
                answer = self._understand((yield from self._receive(asked)), transaction_id, asked)
                if answer is None:
                    continue
                if isinstance(answer, apdu.ExceptionResponse | apdu.ConfirmedServiceError):
                    raise _clear_error(answer, asked)
                if _answers(answer, request):
                    return answer
                self._count_passed_over(asked)
        except HeadEndError as error:
            if isinstance(error, LinkError | SecurityError):
                self.reset()
            raise error.at(asked=asked) from None

    def _send(self, whole: bytes) -> Service[None]:
        """In one piece, or by general block transfer where it is too long for that."""
        if self._transfer is not None and len(whole) > self.server_max_pdu > 0:
            for block in self._transfer.start(whole):
                yield Send(block)
        else:
            if self._transfer is not None:
                self._transfer.expect()
            yield Send(whole)

    def _receive(self, asked: str) -> Service[bytes]:
        """The next whole APDU; blocks of a general block transfer are joined, and asked for again where lost."""
        while True:
            try:
                received = yield from receive()
            except LinkTimeout:
                repeats = [] if self._transfer is None else self._transfer.idle()
                if not repeats:
                    raise
                for block in repeats:
                    yield Send(block)
                continue
            if self._transfer is None or received[:1] != bytes([tags.GENERAL_BLOCK_TRANSFER]):
                return received
            for block in self._transfer.handle(received):
                yield Send(block)
            unasked = self._transfer.take_unasked()
            if unasked is not None:
                self._pass_over(unasked, asked)
            whole = self._transfer.take()
            if whole is not None:
                return whole

    def _understand(self, received: bytes, transaction_id: bytes, asked: str) -> apdu.Apdu | None:
        """What came, after the receive policy; None for what the meter sent unasked."""
        protection, tag = self._protection, received[0] if received else 0
        if tag in _NOTIFICATIONS or tag in _EVENTS_CIPHERED or (tag in _GENERAL and not self._takes_general):
            self._pass_over(received, asked)
            return None
        if protection is None or tag in _CLEAR_ERRORS:
            return apdu.decode(received)
        if tag not in tags.CIPHERED and tag not in _GENERAL:
            named = received[:1].hex().upper() or "nothing"
            raise SecurityError(f"a plaintext answer (tag {named}) came in a ciphered association")
        opened = protection.unprotect(received, self._last_counter)
        if opened.counter is not None:
            self._keep_counter(opened.counter)
        if opened.plain[:1] and opened.plain[0] in _NOTIFICATIONS:
            self._pass_over(received, asked)
            return None
        if opened.transaction_id and opened.transaction_id != transaction_id:
            raise SecurityError("an answer of another transaction came: replay refused")
        return apdu.decode(opened.plain)

    @property
    def _takes_general(self) -> bool:
        """Whether answers come in general APDUs; where they do not, only pushes can."""
        return self.kind.signed or (self.kind.ciphered and self.kind.ciphering not in ("glo", "ded"))

    @property
    def _last_counter(self) -> int:
        return self.last_received if self._dedicated_key is None else self._last_dedicated

    def _keep_counter(self, counter: int) -> None:
        """The dedicated key is of this association alone, and so are the counters under it."""
        if self._dedicated_key is None:
            self.last_received = counter
        else:
            self._last_dedicated = counter

    def _pass_over(self, received: bytes, asked: str) -> None:
        self._count_passed_over(asked)
        self._unasked(received)

    def _count_passed_over(self, asked: str) -> None:
        self.passed_over += 1
        if self.passed_over > MAX_PASSED_OVER:
            raise ProtocolError(f"{self.passed_over} APDUs came that answer nothing we asked", asked=asked)

    def _move(self, event: str) -> None:
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise ProtocolError(f"no {event} while the association is {self.state.value}", retry=False) from None


def _answers(answer: apdu.Apdu, request: Request) -> bool:
    """Whether it carries the request's invoke-id: a number of 4 bits, in ACCESS of 24."""
    if isinstance(answer, apdu.AccessResponse) != isinstance(request, apdu.AccessRequest):
        return False
    mask = 0xFFFFFF if isinstance(answer, apdu.AccessResponse) else 0x0F
    return bool(getattr(answer, "invoke_id", -1) & mask == request.invoke_id & mask)


def _refuse_release(release: acse.Release) -> None:
    if release.reason not in (None, 0):
        raise AccessDenied(f"the meter refused the release, reason {release.reason}", asked="release")


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
            if isinstance(error, apdu.ConfirmedServiceError):
                text = f"{text}, {error.text}"
                if "deciphering" in error.text:
                    remedy = "the encryption key or the authentication key is not the meter's"
    if kind is MeterBusy:
        remedy = ""  # nothing is wrong with what we asked: the usual one tells more
    return kind(f"the meter refused the association: {text}", asked="associate", remedy=remedy)
