"""A meter that misbehaves as its faults say: in what it answers, in its clock, in its rows, in whom it lets in.

The one rule: the faults of the link are not here; whoever serves the meter asks `faults` for them (`faulty_link.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from drivers.dlms import acse, apdu
from drivers.dlms.apdu import ExceptionResponse, GetResponseBlock, tags
from drivers.dlms.security import Key
from profiles.meter_type import LOAD_KINDS, MeterType, Profile
from simulators.association import Connection
from simulators.buffers import period_of
from simulators.conditions import Around
from simulators.faults import MeterFaults
from simulators.faulty_rows import OF_ROWS, Buffer, faulty_rows
from simulators.fleet import Identity, Keys
from simulators.invocations import InvocationRecord, KeyUse
from simulators.meter import SimulatedMeter
from simulators.refusals import Diagnostic

_DAY_S: Final = 86_400
_GET_RESPONSE: Final = 0xC4
_WITH_BLOCK: Final = 2
_OPERATION_NOT_POSSIBLE: Final = (2, 1)
"""State error (service unknown) and service error of an exception-response."""


class FaultyMeter(SimulatedMeter):
    """A simulated meter with `faults`."""

    def __init__(
        self,
        faults: MeterFaults,
        meter_type: MeterType,
        identity: Identity,
        keys: Keys,
        around: Around,
        clock: Callable[[], datetime],
        **more: Any,
    ) -> None:
        """Else as a meter without; `more` goes to it."""
        self.faults = faults
        self._lingers_until = 0.0
        self._holder: Connection | None = None
        self._drifts_since = identity.commissioned_at.timestamp()
        self._set_at = 0.0
        self.in_block = False
        """Whether the answer that is on its way is a block of a longer one."""
        super().__init__(meter_type, identity, _wrong(keys) if "wrong_key" in faults else keys, around, clock, **more)
        if "counter_mismatch" in faults:
            self.key_use = KeyUse(InvocationRecord(), int(faults.figure("counter_mismatch", "ahead")))

    # --- associations -----------------------------------------------------------------------------------------

    @property
    def holder(self) -> Connection | None:
        """Who holds the association that is open. One that was not released lingers, where the meter is so."""
        return self._holder

    @holder.setter
    def holder(self, connection: Connection | None) -> None:
        if connection is None and self._holder is not None and "one_association" in self.faults:
            self._lingers_until = self.monotonic() + self.faults.figure("one_association", "lingers_s")
        self._holder = connection

    def busy(self) -> bool:
        if super().busy():
            return True
        lingers = self.monotonic() < self._lingers_until
        if lingers:
            self.faults.note("one_association")
        return lingers

    # --- answers ----------------------------------------------------------------------------------------------

    def in_clear(self, answer: bytes) -> bytes:
        self.in_block = answer[0] == _GET_RESPONSE and answer[1] == _WITH_BLOCK
        if self.in_block and self.faults.strikes("wrong_block_number"):
            block = apdu.decode(answer)
            assert isinstance(block, GetResponseBlock), "its tags say so"
            return replace(block, block=block.block + 1).encode()
        return answer

    def on_wire(self, answer: bytes) -> bytes | None:
        if answer[0] == acse.AARE:
            return self._refused(answer) if self.faults.strikes("refuse_association") else answer
        if answer[0] == acse.RLRE:
            self._lingers_until = 0.0
            return answer
        if answer[0] == tags.GENERAL_BLOCK_TRANSFER:
            self.in_block = True
        if answer[0] != tags.EXCEPTION_RESPONSE and self.faults.strikes("exception_response"):
            return ExceptionResponse(*_OPERATION_NOT_POSSIBLE).encode()
        return answer

    def _refused(self, answer: bytes) -> bytes:
        """An AARE that refuses, in place of this one; what it opened is over."""
        if self._holder is not None:
            self._holder.open, self._holder = None, None
        ciphered = acse.decode_aare(answer).ciphered
        return acse.encode_aare(result=acse.REJECTED_TRANSIENT, diagnostic=Diagnostic.NO_REASON, ciphered=ciphered)

    # --- clock and rows ---------------------------------------------------------------------------------------

    def now(self) -> float:
        return super().now() + self._astray()

    def set_clock(self, utc: float) -> None:
        self._set_at = self._drifts_since = self._clock().timestamp()
        super().set_clock(utc)

    def rows_of(self, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
        if profile.kind not in LOAD_KINDS or OF_ROWS.isdisjoint(self.faults):
            return super().rows_of(profile, bounds)
        buffer = Buffer(
            partial(super().rows_of, profile),
            self.conditions.stamps.read,
            period_of(self, profile),
            self.now(),
            profile.null_data == "repeat",
        )
        return faulty_rows(self.faults, buffer, bounds)

    def _astray(self) -> float:
        """How far the clock has gone astray since it was set last, in seconds."""
        true, seconds = self._clock().timestamp(), 0.0
        if "clock_drift" in self.faults:
            seconds += self.faults.figure("clock_drift", "s_per_day") * (true - self._drifts_since) / _DAY_S
        if "clock_jump" in self.faults and self._set_at < self.faults.figure("clock_jump", "at") <= true:
            seconds += self.faults.figure("clock_jump", "seconds")
        return seconds


def maker_of_meters(
    faults: Mapping[int, MeterFaults], make: Callable[..., SimulatedMeter] = SimulatedMeter
) -> Callable[..., SimulatedMeter]:
    """Makes meters as `make` does, but faulty ones of those whose index has faults."""

    def made(meter_type: MeterType, identity: Identity, *others: Any, **more: Any) -> SimulatedMeter:
        of_meter = faults.get(identity.index)
        if of_meter is None:
            return make(meter_type, identity, *others, **more)
        return FaultyMeter(of_meter, meter_type, identity, *others, **more)

    return made


def _wrong(keys: Keys) -> Keys:
    """Keys that the head-end does not know: as if the meter had been given others."""
    encryption = Key(bytes(octet ^ 0x5A for octet in keys.encryption.octets))
    authentication = Key(bytes(octet ^ 0x5A for octet in keys.authentication.octets))
    return replace(keys, encryption=encryption, authentication=authentication)
