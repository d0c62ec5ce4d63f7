"""Our client against a meter that says what a script has it say, in clear or properly protected with the meter's keys.

The script: which association, which service, then what the meter does each time that the client waits for an answer.
When the script is over nothing comes any more. Every service then has to end by itself, in a result or in one of our
errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from script import Script

from drivers.credentials import CounterRange, Credentials
from drivers.dlms import acse, apdu, axdr, security
from drivers.dlms.apdu import AccessAction, AccessGet, AccessSet, SelectedAttribute
from drivers.dlms.ciphering import hls_keys_of, initiate_protection_of, protection_of
from drivers.dlms.client import Client
from drivers.dlms.security import Challenge, Key, Protection, Secret
from drivers.service import Send, Service
from profiles.errors import HeadEndError, LinkTimeout
from profiles.meter_type import Association
from profiles.objects import AttributeRef, MethodRef, Obis

MAX_STEPS = 5_000
"""Far more than any service takes: beyond, it does not end."""
MAX_SILENCES = 40
"""How often a service may be told that nothing comes before it has to give up."""

CLIENT_TITLE, METER_TITLE = b"HES\x00\x00\x00\x00\x01", b"MTR\x00\x00\x00\x00\x02"
ENCRYPTION_KEY, AUTHENTICATION_KEY = Key(bytes(range(16))), Key(bytes(range(0xD0, 0xE0)))
CLOCK = AttributeRef(8, Obis(0, 0, 1, 0, 0), 2)
SCRIPT = MethodRef(9, Obis(0, 0, 10, 0, 100), 1)
VALUE = axdr.octet_string(bytes(300))

PLAIN = Association("plain", 16, 0, 0x00, Obis(0, 0, 40, 0, 1), None, 256)
KINDS = (
    PLAIN,
    replace(PLAIN, name="lls", mechanism=1),
    replace(PLAIN, name="hls2", mechanism=2),
    replace(PLAIN, name="gmac-glo", mechanism=5, security_control=0x30),
    replace(PLAIN, name="sha256-general-glo", mechanism=6, security_control=0x30, ciphering="general-glo"),
    replace(PLAIN, name="gmac-ded", mechanism=5, security_control=0x10, ciphering="ded"),
    replace(PLAIN, name="open", pre_established=True),
    replace(PLAIN, name="open-glo", security_control=0x30, pre_established=True),
    replace(PLAIN, name="open-encrypted", security_control=0x20, pre_established=True),
    replace(PLAIN, name="open-general", security_control=0x30, ciphering="general-ciphering", pre_established=True),
)
SERVICES: tuple[Callable[[Client], Service[object]], ...] = (
    lambda client: client.get(CLOCK),
    lambda client: client.get_list((SelectedAttribute(CLOCK), SelectedAttribute(CLOCK))),
    lambda client: client.set(CLOCK, VALUE),
    lambda client: client.set_list((SelectedAttribute(CLOCK),) * 2, (VALUE, VALUE)),
    lambda client: client.action(SCRIPT, VALUE),
    lambda client: client.action_list((SCRIPT, SCRIPT), (VALUE, VALUE)),
    lambda client: client.access((AccessGet(CLOCK), AccessSet(CLOCK), AccessAction(SCRIPT)), (b"\x00", VALUE, VALUE)),
)
GET, GET_LIST, SET, _SET_LIST, ACTION, _ACTION_LIST, ACCESS = range(len(SERVICES))
RAW, PROTECTED, ANSWERS, NOTHING, ACCEPTS, PROVES = TURNS = range(6)
"""What a meter can do: say a piece as it is, or protected, or that with the request's invoke-id; nothing; accept the
association; prove itself."""


def hold_session(octets: bytes) -> None:
    """Open, use and release an association as the script has it."""
    script = Script(octets)
    kind = KINDS[script.choose(len(KINDS))]
    service = SERVICES[script.choose(len(SERVICES))]
    meter = Meter(kind, script)
    credentials = Credentials(
        CLIENT_TITLE, ENCRYPTION_KEY, AUTHENTICATION_KEY, Secret(b"secret"), CounterRange(1, 1 << 20)
    )
    client = Client(kind, credentials, server_title=METER_TITLE)
    try:
        meter.serve(client.open())
        meter.serve(service(client))
        meter.serve(client.release())
    except HeadEndError:
        # What was refused must not be what breaks the next association.
        client.reset()
        meter.silent = True
        try:
            meter.serve(client.open())
        except HeadEndError:
            return


class Meter:
    """Says what the script has it say. `silent`: nothing more, whatever stands in the script."""

    def __init__(self, kind: Association, script: Script) -> None:
        self.silent = False
        self._kind = kind
        self._script = script
        self._counter = 0
        self._invoke_id = 0
        self._transaction_id = b""
        self._client_challenge = b""
        self._dedicated_key: Key | None = None
        self._credentials = Credentials(METER_TITLE, ENCRYPTION_KEY, AUTHENTICATION_KEY, Secret(b"secret"))

    def serve(self, service: Service[object]) -> None:
        """Drive a service to its end."""
        answer: bytes | None = None
        silences = 0
        try:
            step = next(service)
            for _ in range(MAX_STEPS):
                if isinstance(step, Send):
                    self._hear(step.apdu)
                    answer = None
                else:
                    answer = self._say()
                    if answer is None:
                        silences += 1
                        assert silences <= MAX_SILENCES, "the service does not give up"
                        step = service.throw(LinkTimeout("no answer"))
                        continue
                step = service.send(answer)
        except StopIteration:
            return
        raise AssertionError("the service does not end")

    def _hear(self, octets: bytes) -> None:
        if octets[:1] == b"\x60":
            asked = acse.decode_aarq(octets)
            self._client_challenge = asked.authentication_value or b""
            request = asked.user_information
            protection = initiate_protection_of(self._kind, self._credentials, CLIENT_TITLE, self._take_counter)
            if protection is not None:
                request = protection.unprotect(request).plain
            initiate = apdu.decode(request)
            assert isinstance(initiate, apdu.InitiateRequest), "what the client encoded"
            self._dedicated_key = None if initiate.dedicated_key is None else Key(initiate.dedicated_key)
        elif octets[:1] != b"\x62":
            protection = self._protection()
            if protection is not None:
                opened = protection.unprotect(octets)
                octets, self._transaction_id = opened.plain, opened.transaction_id
            self._invoke_id = octets[2]

    def _say(self) -> bytes | None:
        """What comes next; None where nothing comes in time."""
        if self.silent or self._script.over:
            return None
        turn = self._script.choose(len(TURNS))
        if turn == NOTHING:
            return None
        if turn == PROVES:
            return self._proving()
        says = {RAW: bytes, PROTECTED: self._protected, ANSWERS: self._answering, ACCEPTS: self._accepting}[turn]
        return says(self._script.piece())

    def _protected(self, plain: bytes) -> bytes:
        return self._by(self._protection(), plain)

    def _answering(self, plain: bytes) -> bytes:
        return self._protected(plain[:2] + bytes([self._invoke_id]) + plain[3:])

    def _protection(self) -> Protection | None:
        key = self._dedicated_key or ENCRYPTION_KEY
        return protection_of(self._kind, self._credentials, CLIENT_TITLE, self._take_counter, key)

    def _by(self, protection: Protection | None, plain: bytes) -> bytes:
        try:
            return plain if protection is None else protection.protect(plain, self._transaction_id)
        except HeadEndError:  # nothing that a glo- or ded- APDU can carry
            return plain

    def _accepting(self, challenge: bytes) -> bytes:
        """An AARE that accepts, with this challenge; PDUs are short, so that requests go in blocks."""
        agreed = apdu.InitiateResponse(0x7F_FFFF, 96).encode()
        protection = initiate_protection_of(self._kind, self._credentials, CLIENT_TITLE, self._take_counter)
        hls = self._kind.mechanism > 1
        return acse.encode_aare(
            result=0,
            diagnostic=14 if hls else 0,
            ciphered=self._kind.protected,
            system_title=METER_TITLE,
            mechanism=self._kind.mechanism,
            challenge=challenge if hls else None,
            user_information=self._by(protection, agreed),
        )

    def _proving(self) -> bytes:
        """The right answer to the client's challenge."""
        keys, ours = hls_keys_of(self._kind, self._credentials), bytes(16)
        challenge = Challenge(self._client_challenge, ours, METER_TITLE, CLIENT_TITLE)
        try:
            proof: Any = security.answer_challenge(self._kind.mechanism, keys, challenge, self._take_counter)
        except HeadEndError:  # no HLS
            proof = b""
        return self._answering(apdu.ActionResponseNormal(0, 0, axdr.octet_string(proof)).encode())

    def _take_counter(self) -> int:
        self._counter += 1
        return self._counter
