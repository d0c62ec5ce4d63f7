"""One simulated single-phase smart meter: identity, keys, clock, stored rows, and who is connected to it.

The one rule: what the meter answers is a method here, so that a test serves a meter that misbehaves by subclassing
and overriding one of them (`rows`, `capture_objects`, `scaler_row`, `clock_octets`, `in_clear`, `on_wire`). No I/O: a
connection is opened with `connect()` and given APDUs; what it may do is in `association.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import numpy as np

from drivers.credentials import CounterRange, Credentials
from drivers.dlms.apdu import Conformance
from profiles.errors import SettingsError
from profiles.meter_type import Association, MeterType
from profiles.objects import CaptureObject, Obis
from simulators import block_load
from simulators.association import Connection, offered
from simulators.fleet import Fleet, Identity, Keys
from simulators.invocations import InvocationRecord, KeyUse, TransactionRecord
from simulators.load import load
from simulators.model import object_model
from simulators.objects import CosemObject
from simulators.refusals import Refused, Result
from simulators.state import Destination, MeterState

ZONE = "Asia/Kolkata"
INACTIVITY_S = 120.0
"""An association that nothing was heard in for so long is over."""
_LARGEST_PERIOD_S = 1800
"""Whole periods of UTC are whole periods of Indian time up to here."""


class SimulatedMeter:
    """A meter of `meter_type` that has stored its load since it was commissioned, up to `clock()`.

    `clock` gives the present time (aware); `monotonic` measures idle time, in seconds. `last_received` is the highest
    invocation counter that a client has shown under this meter's encryption key; `record` holds all of them.
    """

    tells_counters = False
    """Whether a replayed counter is answered with the expected one, rather than by hanging up."""

    def __init__(
        self,
        meter_type: MeterType,
        identity: Identity,
        keys: Keys,
        seed: int,
        clock: Callable[[], datetime],
        *,
        objects: Mapping[Obis, CosemObject] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`objects`: the model of the type, where many meters share one. SettingsError for a type of elsewhere."""
        if meter_type.zone != ZONE:
            raise SettingsError(f"simulated meters live in {ZONE}, meter type {meter_type.name} in {meter_type.zone}")
        self.meter_type = meter_type
        self.identity: Identity = identity
        self.keys = keys
        self.objects = object_model(meter_type) if objects is None else objects
        self.key_use = KeyUse(InvocationRecord(), 0)
        self.transactions = TransactionRecord()
        self.client_title = b""
        """Of the client that was let in last: with whom pre-established associations are, and who gets pushes."""
        self.call_out: Callable[[str, Destination], None] = _nobody
        """Sends the push with this name; whoever serves the meter sets it."""
        self.holder: Connection | None = None
        self.monotonic = monotonic
        self._seed = seed
        self._clock = clock
        self._last_sent = _first_counter()
        self._block = meter_type.profiles["block_load"]
        self.state: MeterState = MeterState(self._block.capture_period_s)

    @property
    def period_s(self) -> int:
        """The capture period of the block load profile."""
        return self.state.period_s

    @property
    def depth(self) -> int:
        """How many rows the block load profile holds at most."""
        return self._block.depth_days * 86_400 // self.period_s

    @property
    def last_received(self) -> int:
        return self.key_use.last

    @property
    def record(self) -> InvocationRecord:
        return self.key_use.record

    def connect(self, *, streams: bool = False) -> Connection:
        """A new connection to the meter; several may be open, one at a time holds an association."""
        return Connection(self, streams=streams)

    def next_counter(self) -> int:
        """The meter's own invocation counter for the next APDU that it protects: strictly rising."""
        self._last_sent += 1
        return self._last_sent

    def next_push(self) -> int:
        """The number of the next push: the 24 bits of its long-invoke-id."""
        self.state.pushes = (self.state.pushes + 1) & 0xFF_FFFF
        return self.state.pushes

    def busy(self) -> bool:
        """Whether an association is open; one that has been idle for too long is over."""
        if self.holder is not None and self.monotonic() - self.holder.heard_at > INACTIVITY_S:
            self.holder.close()
        return self.holder is not None

    def holds(self, kind: Association) -> bool:
        """Whether the association is open, by an AARQ."""
        return self.holder is not None and self.holder.open is not None and self.holder.open.kind == kind

    def agreed(self, kind: Association) -> Conformance:
        """The conformance of an association that is open, or what is offered."""
        held = self.holder.open if self.holder is not None else None
        return held.conformance if held is not None and held.kind == kind else offered(kind)

    def max_pdu(self, kind: Association) -> int:
        """The largest APDU that the meter takes and makes in an association."""
        return min(kind.max_pdu, self.identity.maker.max_pdu)

    # --- keys -------------------------------------------------------------------------------------------------

    def credentials(self, kind: Association) -> Credentials:
        """The meter's own side of an association."""
        keys, pairs = self.keys, self.keys.pairs
        return Credentials(
            self.identity.system_title,
            keys.encryption,
            keys.authentication,
            keys.lls if kind.mechanism == 1 else keys.hls,
            signing_key=pairs.signing if pairs else None,
            agreement_key=pairs.agreement if pairs else None,
            peer_signing_key=pairs.client_signing.public if pairs else None,
            peer_agreement_key=pairs.client_agreement.public if pairs else None,
            master_key=keys.master,
        )

    def client_credentials(self, kind: Association, client_title: bytes, counters: CounterRange) -> Credentials:
        """The other side: what a head-end needs to be let in."""
        keys, pairs = self.keys, self.keys.pairs
        return Credentials(
            client_title,
            keys.encryption,
            keys.authentication,
            keys.lls if kind.mechanism == 1 else keys.hls,
            counters,
            signing_key=pairs.client_signing if pairs else None,
            agreement_key=pairs.client_agreement if pairs else None,
            peer_signing_key=pairs.signing.public if pairs else None,
            peer_agreement_key=pairs.agreement.public if pairs else None,
            master_key=keys.master,
        )

    def replace_keys(self, keys: Keys) -> None:
        """New keys, which count from the next association on; under a new encryption key all counters are new."""
        if keys.encryption != self.keys.encryption:
            self.key_use = KeyUse(self.record.of_another_key(), 0)
        self.keys = keys

    # --- clock and buffer -------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970 UTC by the meter's own clock."""
        return self._clock().timestamp() + self.state.clock_offset_s

    def set_clock(self, utc: float) -> None:
        """Set the meter's own clock. Rows are stamped by it: it moves the end of the buffer too."""
        self.state.clock_offset_s = utc - self._clock().timestamp()

    def set_period(self, period_s: int) -> None:
        """Another capture period, which erases the buffer. Refused unless it is one that divides half an hour."""
        if period_s < 60 or _LARGEST_PERIOD_S % period_s:
            raise Refused(Result.OTHER_REASON)
        self.state.period_s = period_s
        self.erase_rows()

    def erase_rows(self) -> None:
        """Forget all rows of the block load profile."""
        self.state.rows_from = int(self.now())

    def stored_starts(self) -> range:
        """The starts (seconds since 1970 UTC) of the intervals in the block load buffer, oldest first."""
        period = self.period_s
        end = int(self.now()) // period * period
        oldest = max(int(self.identity.commissioned_at.timestamp()), self.state.rows_from)
        first = -(-oldest // period) * period
        return range(max(first, end - self.depth * period), max(first, end), period)

    # --- what the meter answers: to be overridden by meters that misbehave ------------------------------------

    def clock_octets(self) -> bytes:
        """The clock's time, 12 octets."""
        return block_load.clock_octets(np.array([int(self.now())], np.int64)).tobytes()

    def capture_objects(self) -> Iterable[CaptureObject]:
        """Attribute 3 of the block load profile."""
        return block_load.capture_objects(self.identity.maker)

    def scaler_row(self) -> bytes:
        """The row of the block load's scaler profile, in A-XDR."""
        return block_load.scaler_row(self.identity.maker)

    def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
        """Block load rows in A-XDR, oldest first: all, or those whose stamp (the interval's end, as seconds since
        1970 UTC) lies within `bounds`, both inclusive."""
        stored, period = self.stored_starts(), self.period_s
        if bounds is not None:
            first = max(stored.start, -(-bounds[0] // period) * period - period)
            stored = range(first, min(stored.stop, bounds[1] - period + 1), period)
        starts = np.array(stored, np.int64)
        flow = load(self._seed, [self.identity.index], starts, period)
        return block_load.encode_rows(self.identity.maker, starts, period, flow)

    def in_clear(self, answer: bytes) -> bytes:
        """The last word on each answer of an open association before it is protected."""
        return answer

    def on_wire(self, apdu: bytes) -> bytes | None:
        """The last word on each answer, protected as it is: b"" says nothing, None closes the connection."""
        return apdu


def _nobody(name: str, to: Destination) -> None:
    """A meter that nobody serves calls nobody."""


def suite_of(meter_type: MeterType) -> int:
    """The one security suite of a meter of this type; SettingsError where its associations name several."""
    suites = {kind.suite for kind in meter_type.associations.values() if kind.protected or kind.mechanism in (5, 7)}
    if len(suites) > 1:
        raise SettingsError(f"meter type {meter_type.name} has several security suites, a simulated meter has one")
    return suites.pop() if suites else 0


def simulated_meters(
    fleet: Fleet,
    meter_type: MeterType,
    clock: Callable[[], datetime],
    make: Callable[..., SimulatedMeter] = SimulatedMeter,
) -> dict[str, SimulatedMeter]:
    """The meters of a fleet by their host address. `make`: the class of meters, where not the well-behaved one."""
    objects, suite = object_model(meter_type), suite_of(meter_type)
    return {
        identity.host: make(meter_type, identity, fleet.keys(identity.index, suite), fleet.seed, clock, objects=objects)
        for identity in fleet
    }


def _first_counter() -> int:
    """Where the meter's own counter starts: above all that it said before this process started, at eight APDUs a
    second, since a client refuses a counter that falls. It lasts until 2040."""
    return int(8 * (time.time() - datetime(2024, 1, 1, tzinfo=UTC).timestamp()))
