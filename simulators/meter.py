"""One simulated meter: identity, keys, clock, stored rows, and who is connected to it.

The one rule: what the meter answers is a method here, so that a test serves a meter that misbehaves by subclassing
and overriding one of them (`rows`, `capture_objects`, `scaler_row`, `clock_octets`, `in_clear`, `on_wire`). No I/O: a
connection is opened with `connect()` and given APDUs; what it may do is in `association.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from drivers.credentials import CounterRange, Credentials
from drivers.dlms.apdu import Conformance
from profiles.errors import SettingsError
from profiles.meter_type import Association, MeterType, Profile
from profiles.objects import CaptureObject, Obis
from profiles.quirks import quirk_named
from simulators import buffers, due, event_log
from simulators.association import Connection, offered
from simulators.conditions import Around, Conditions
from simulators.fleet import Fleet, Identity, Keys
from simulators.fleet_file import phases_of
from simulators.invocations import InvocationRecord, KeyUse, TransactionRecord
from simulators.model import object_model
from simulators.objects import PUBLIC, CosemObject
from simulators.refusals import Refused, Result
from simulators.registers import Columns, Register
from simulators.rows import encode_rows, scaler_row
from simulators.state import Destination, MeterState
from simulators.topology import divisions_of
from simulators.world import World, town

INACTIVITY_S = 120.0
"""An association that nothing was heard in for so long is over."""
BLOCK_LOAD: Final = "block_load"
_LARGEST_PERIOD_S = 1800
"""Whole periods of UTC are whole periods of local time up to here."""
_USUAL_PERIOD_S: Final = 900
_CURRENT_RATIO: Final = 20
"""Of the transformers before meters that have any."""
_LAST_BLOCK: Final = (27, 29)
"""OBIS group D of averages and energies of a block: registers hold those of the last one that has ended."""
_PROGRAMMING: Final = range(151, 201)
"""Events of settings."""


class SimulatedMeter:
    """A meter of `meter_type` that has measured and stored since it was commissioned, up to `clock()`.

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
        around: Around,
        clock: Callable[[], datetime],
        *,
        objects: Mapping[Obis, CosemObject] | None = None,
        columns: Columns | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`objects`, `columns`: of the type, where many meters share them."""
        self.meter_type: MeterType = meter_type
        self.identity: Identity = identity
        self.keys = keys
        self.objects = object_model(meter_type) if objects is None else objects
        self.columns = Columns(meter_type) if columns is None else columns
        self.key_use = KeyUse(InvocationRecord(), 0)
        self.transactions = TransactionRecord()
        self.client_title = b""
        """Of the client that was let in last: with whom pre-established associations are, and who gets pushes."""
        self.call_out: Callable[[str, Destination], None] = _nobody
        """Sends the push with this name; whoever serves the meter sets it."""
        self.holder: Connection | None = None
        self.monotonic = monotonic
        self.released_at = float("-inf")
        """When the public association was last over, by `monotonic`."""
        self.commissioned_at = int(identity.commissioned_at.timestamp())
        self.conditions: Conditions = Conditions.untouched(around, identity.index, meter_type)
        self._clock = clock
        self._last_sent = _first_counter()
        self._block = meter_type.profiles.get(BLOCK_LOAD)
        period_s = self._block.capture_period_s if self._block else _USUAL_PERIOD_S
        self.state: MeterState = MeterState(period_s)

    @property
    def maker_name(self) -> str:
        """On the nameplate; of a type with quirks of one maker, that maker's, as they are found by."""
        named = (pattern for name in self.meter_type.quirks for pattern in quirk_named(name).maker)
        return next(named, self.identity.maker.name).replace("*", "")

    @property
    def firmware(self) -> str:
        """On the nameplate: of the image that was activated, of the type's quirks, or of the maker."""
        if self.state.firmware:
            return self.state.firmware.decode("ascii", "replace")
        named = (pattern for name in self.meter_type.quirks for pattern in quirk_named(name).firmware)
        return next(named, self.identity.maker.firmware).replace("*", "")

    @property
    def period_s(self) -> int:
        """The capture period of the block load profile."""
        return self.state.period_s

    @property
    def depth(self) -> int:
        """How many rows the block load profile holds at most."""
        return buffers.depth(self._block, self.period_s) if self._block else 0

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
        return self.holder is not None and self.meter_type.session_habit.one_at_a_time

    def pauses(self, kind: Association) -> bool:
        """Whether the meter needs a pause yet between the public association and this one."""
        since = self.monotonic() - self.released_at
        return kind.name != PUBLIC and since < self.meter_type.session_habit.pause_s

    def advance(self) -> None:
        """Do what has become due by the meter's clock since it was last asked: by schedules, and by its limiter."""
        if self.state.passive_at is not None or self.state.image_at is not None or self.state.limits:
            due.advance(self)

    def holds(self, kind: Association) -> bool:
        """Whether the association is open, by an AARQ."""
        return self.holder is not None and self.holder.open is not None and self.holder.open.kind == kind

    def agreed(self, kind: Association) -> Conformance:
        """The conformance of an association that is open, or what is offered."""
        held = self.holder.open if self.holder is not None else None
        return held.conformance if held is not None and held.kind == kind else offered(kind, self.meter_type)

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
        self.note(event_log.CLOCK_SET)

    def note(self, code: int) -> None:
        """Make an event of what a client has done."""
        self.state.events.append((int(self.now()), code))
        self.conditions.programmings += code in _PROGRAMMING

    def set_period(self, period_s: int) -> None:
        """Another capture period, which erases the buffer. Refused unless it is one that divides half an hour."""
        if period_s < 60 or _LARGEST_PERIOD_S % period_s:
            raise Refused(Result.OTHER_REASON)
        self.state.period_s = period_s
        self.note(event_log.CAPTURE_PERIOD_SET)
        if self.meter_type.buffer_habit.erased_by_new_period and self._block is not None:
            self.erase_rows(self._block)

    def erase_rows(self, profile: Profile) -> None:
        """Forget all rows of a profile."""
        self.state.rows_from[profile.obis] = int(self.now())

    def stored_starts(self) -> range:
        """The starts (seconds since 1970 UTC) of the intervals in the block load buffer, oldest first; those that an
        outage has left out are among them."""
        if self._block is None:
            return range(0)
        period = self.period_s
        end = int(self.now()) // period * period
        oldest = max(self.commissioned_at, self.state.rows_from.get(self._block.obis, 0))
        first = -(-oldest // period) * period
        return range(max(first, end - self.depth * period), max(first, end), period)

    def reading(self, register: Register) -> bytes:
        """The A-XDR value that an object holds now, or at the end of the last block."""
        now, period_s = int(self.now()), 0
        if register.captured.obis.a == 1 and register.captured.obis.d in _LAST_BLOCK:
            period_s = self.period_s
            now = now // period_s * period_s
        rows = buffers.Captured(np.array([now], np.int64))
        (value,) = buffers.values([register], rows, self.conditions, period_s)
        column = self.conditions.stamps.write(value) if register.is_time else value
        return encode_rows([register], [column])[0][2:]

    # --- what the meter answers: to be overridden by meters that misbehave ------------------------------------

    def clock_octets(self) -> bytes:
        """The clock's time, 12 octets."""
        return self.conditions.stamps.write_one(self.now())

    def capture_objects(self) -> Sequence[CaptureObject]:
        """Attribute 3 of the block load profile."""
        return tuple(one.captured for one in self._block_columns())

    def scaler_row(self) -> bytes:
        """The row of the block load's scaler profile, in A-XDR."""
        return scaler_row(self._block_columns())

    def rows(self, bounds: tuple[int, int] | None) -> list[bytes]:
        """Block load rows in A-XDR, oldest first: all, or those whose stamp (seconds since 1970 UTC) lies within
        `bounds`, both inclusive."""
        return [] if self._block is None else self.rows_of(self._block, bounds)

    def rows_of(self, profile: Profile, bounds: tuple[int, int] | None) -> list[bytes]:
        """Rows of any profile, as `rows` gives those of the block load."""
        shift = 0 if profile.stamp == "end" else buffers.period_of(self, profile)
        return buffers.encoded(self, profile, buffers.captured(self, profile).within(bounds, shift))

    def _block_columns(self) -> tuple[Register, ...]:
        return self.columns.of(self._block, self.identity.maker) if self._block else ()

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
    *,
    world: World | None = None,
) -> dict[str, SimulatedMeter]:
    """The meters of a fleet by their host address. `make`: the class of meters, where not the well-behaved one.
    `world`: what they live in, where it is not a town without outages and tampers."""
    objects, columns, suite = object_model(meter_type), Columns(meter_type), suite_of(meter_type)
    around = Around(world or town_of(fleet, meter_type))
    return {
        identity.host: make(
            meter_type, identity, fleet.keys(identity.index, suite), around, clock, objects=objects, columns=columns
        )
        for identity in fleet
    }


def town_of(fleet: Fleet, meter_type: MeterType) -> World:
    """The world of a fleet of one meter type where nothing is declared."""
    return town(
        fleet.seed,
        divisions_of(fleet.divisions),
        int(fleet.commissioned_at.timestamp()),
        phases=phases_of(meter_type),
        current_ratio=1 if meter_type.ratios is None else _CURRENT_RATIO,
    )


def _first_counter() -> int:
    """Where the meter's own counter starts: above all that it said before this process started, at eight APDUs a
    second, since a client refuses a counter that falls. It lasts until 2040."""
    return int(8 * (time.time() - datetime(2024, 1, 1, tzinfo=UTC).timestamp()))
