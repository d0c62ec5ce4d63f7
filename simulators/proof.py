"""HLS from the meter's side: its challenge, the check of the client's proof, its own (Green Book, clause 9.2.7.4)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from drivers.dlms.ciphering import hls_keys_of
from drivers.dlms.security import Challenge, answer_challenge, check_answer
from profiles.errors import SecurityError
from profiles.meter_type import Association

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

GMAC: Final = 5
_CHALLENGE_OCTETS: Final = 16
_ECDSA_CHALLENGE_OCTETS: Final = 32


class Proof:
    """What client and meter owe each other between passes 2 and 4. `challenge` is the meter's."""

    def __init__(self, meter: SimulatedMeter, kind: Association, client_title: bytes, client_challenge: bytes) -> None:
        self.challenge = secrets.token_bytes(_ECDSA_CHALLENGE_OCTETS if kind.mechanism == 7 else _CHALLENGE_OCTETS)
        self._meter = meter
        self._mechanism = kind.mechanism
        self._keys = hls_keys_of(kind, meter.credentials(kind))
        self._client_title = client_title
        self._client_challenge = client_challenge
        self._counter_at_start = meter.last_received

    def exchange(self, parameters: bytes | None) -> bytes:
        """Given the parameter of reply_to_HLS_authentication (pass 3), its return value (pass 4).

        SecurityError where the proof is wrong, ProtocolError where it is no A-XDR.
        """
        given = axdr.decode(parameters) if parameters is not None else None
        if not isinstance(given, bytes):
            raise SecurityError("the proof is not an octet-string")
        own_title = self._meter.identity.system_title
        if self._mechanism == GMAC and len(given) >= 5:
            self._meter.record.note(self._client_title, int.from_bytes(given[1:5], "big"))
        theirs = Challenge(self.challenge, self._client_challenge, self._client_title, own_title)
        counter = check_answer(self._mechanism, self._keys, theirs, given)
        if counter is not None:
            # Clients take this counter before or after that of the APDU around it: it has to be new to the association.
            if counter <= self._counter_at_start:
                raise SecurityError("the proof's counter does not rise")
            self._meter.key_use.took(counter)
        ours = Challenge(self._client_challenge, self.challenge, own_title, self._client_title)
        return axdr.octet_string(answer_challenge(self._mechanism, self._keys, ours, self._meter.next_counter))
