"""One simulated single-phase smart meter: identity, keys, clock, stored rows, and who is connected to it.

The one rule: what the meter answers is a method here, so that a test serves a meter that misbehaves by subclassing
and overriding one of them (`rows`, `capture_objects`, `scaler_row`, `clock_octets`, `on_wire`). No I/O: a connection
is opened with `connect()` and given APDUs; what it may do is in `association.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import numpy as np

from profiles.errors import SettingsError
from profiles.meter_type import MeterType
from profiles.objects import CaptureObject, Obis
from simulators import block_load
from simulators.association import Connection
from simulators.fleet import Fleet, Identity, Keys
from simulators.invocations import InvocationRecord
from simulators.load import load
from simulators.objects import CosemObject, object_model

ZONE = "Asia/Kolkata"
INACTIVITY_S = 120.0
"""An association that nothing was heard in for so long is over."""


class SimulatedMeter:
    """A meter of `meter_type` that has stored its load since it was commissioned, up to `clock()`.

    `clock` gives the present time (aware); `monotonic` measures idle time, in seconds. `last_received` is the highest
    invocation counter that a client has shown under this meter's key; `record` holds all of them.
    """

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
        self.record = InvocationRecord()
        self.last_received = 0
        self.holder: Connection | None = None
        self.monotonic = monotonic
        self._seed = seed
        self._clock = clock
        self._last_sent = _first_counter()
        self._block = meter_type.profiles["block_load"]

    @property
    def period_s(self) -> int:
        """The capture period of the block load profile."""
        return self._block.capture_period_s

    @property
    def depth(self) -> int:
        """How many rows the block load profile holds at most."""
        return self._block.depth_days * 86_400 // self.period_s

    def connect(self) -> Connection:
        """A new connection to the meter; several may be open, one at a time holds an association."""
        return Connection(self)

    def next_counter(self) -> int:
        """The meter's own invocation counter for the next APDU that it protects: strictly rising."""
        self._last_sent += 1
        return self._last_sent

    def received(self, counter: int) -> None:
        """A client proved to hold the key with this counter."""
        self.last_received = max(self.last_received, counter)

    def busy(self) -> bool:
        """Whether an association is open; one that has been idle for too long is over."""
        if self.holder is not None and self.monotonic() - self.holder.heard_at > INACTIVITY_S:
            self.holder.close()
        return self.holder is not None

    def stored_starts(self) -> range:
        """The starts (seconds since 1970 UTC) of the intervals in the block load buffer, oldest first.

        Whole periods of UTC are whole periods of Indian time, for periods of up to half an hour.
        """
        period = self.period_s
        end = int(self._clock().timestamp()) // period * period
        commissioned = -(-int(self.identity.commissioned_at.timestamp()) // period) * period
        return range(max(commissioned, end - self.depth * period), max(commissioned, end), period)

    # --- what the meter answers: to be overridden by meters that misbehave ------------------------------------

    def clock_octets(self) -> bytes:
        """The clock's time, 12 octets."""
        now = np.array([int(self._clock().timestamp())], np.int64)
        return block_load.clock_octets(now).tobytes()

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

    def on_wire(self, apdu: bytes) -> bytes | None:
        """The last word on each answer, protected as it is: b"" says nothing, None closes the connection."""
        return apdu


def simulated_meters(
    fleet: Fleet,
    meter_type: MeterType,
    clock: Callable[[], datetime],
    make: Callable[..., SimulatedMeter] = SimulatedMeter,
) -> dict[str, SimulatedMeter]:
    """The meters of a fleet by their host address. `make`: the class of meters, where not the well-behaved one."""
    objects = object_model(meter_type)
    return {
        identity.host: make(meter_type, identity, fleet.keys(identity.index), fleet.seed, clock, objects=objects)
        for identity in fleet
    }


def _first_counter() -> int:
    """Where the meter's own counter starts: above all that it said before this process started, at eight APDUs a
    second, since a client refuses a counter that falls. It lasts until 2040."""
    return int(8 * (time.time() - datetime(2024, 1, 1, tzinfo=UTC).timestamp()))
