"""Meter types: what a family of meters (maker + model + firmware family) offers, as data.

A type is a TOML file in `profiles/types/`, what single makers do otherwise in `profiles/makers/`. What the meter itself
says (capture objects, scalers, capture period) always wins over the type; the type says what cannot be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from profiles.objects import AttributeRef, CaptureObject, Obis

REGISTER_CLASSES: Final = frozenset({3, 4, 5})
"""Register, extended register, demand register: the classes whose values a scaler_unit scales."""
VALUE: Final = 2

Deviation = Literal["ignore", "utc-minus-local", "local-minus-utc"]
"""What the deviation of a date-time means on this type: ignored (wall time of the type's zone), DLMS's own sense
(India: -330), or India's (+330); docs/meter-facts.md, "Time". The value 0x8000 (not specified) always means the
type's zone."""

SelectiveAccess = Literal["range", "entry", "none"]
"""How a part of the buffer can be asked for: by range of the clock (selector 1), by entry (2), not at all."""

Stamp = Literal["start", "end"]
"""Which end of its interval a row's date-time names."""

NullData = Literal["missing", "repeat"]
"""What null-data means in a column of values: nothing was recorded, or the same as in the row before (compressed
profiles). In the date-time column it always means one capture period after the row before."""

ProfileKind = Literal["instantaneous", "block_load", "daily_load", "billing", "nameplate", "event_log"]
"""What the rows of a profile are: the values of this moment (one row), of each block, of each day, of each billing
period, who the meter is (one row), or events."""

LOAD_KINDS: Final[frozenset[ProfileKind]] = frozenset({"block_load", "daily_load"})
"""The kinds that have a capture period."""

PushForm = Literal["columns", "pairs", "objects"]
"""How the body of a push is built: a structure of the columns in order; a structure in which OBIS codes stand before
their values; an array of structures of OBIS code, value and, where it is scaled, scaler_unit."""

Cover = Literal["clear", "authentication", "encryption", "authentication-and-encryption"]
"""How a push is protected (security control without the suite: 0x00, 0x10, 0x20, 0x30)."""

WrittenDeviation = Literal["unset", "zero", "utc-minus-local", "local-minus-utc"]
"""What a meter writes into the deviation of its date-times: 0x8000, 0, DLMS's sense (India: -330), or the opposite."""

OutageRows = Literal["zero-filled", "missing"]
"""What stands in a load profile for the intervals of an outage."""

Side = Literal["primary", "secondary"]
"""On which side of the instrument transformers a value counts."""

Ciphering = Literal["glo", "ded", "general-glo", "general-ded", "general-ciphering"]
"""The APDUs that carry what is ciphered (Green Book, clause 9.2.7.2): the service's own under the global or the
dedicated key, or a general one for all services. The initiate-request of a ded or general association is a glo one."""

KeyOrigin = Literal["identified", "wrapped", "one-pass", "static-unified"]
"""Where the key of a general-ciphering APDU comes from (Green Book, clause 9.2.3.4.6)."""


@dataclass(frozen=True, slots=True)
class Association:
    """One application association of a meter type."""

    name: str
    client_sap: int
    mechanism: int
    """0 none, 1 LLS, 2 HLS (AES-128-ECB of the challenge), 3 MD5, 4 SHA-1, 5 GMAC, 6 SHA-256, 7 ECDSA."""
    security_control: int
    """0x00 no ciphering, 0x10 authentication, 0x20 encryption, 0x30 both; low nibble: suite."""
    logical_name: Obis
    invocation_counter: Obis | None
    max_pdu: int
    ciphering: Ciphering = "glo"
    key_origin: KeyOrigin = "identified"
    """For general-ciphering."""
    signed: bool = False
    """Every APDU is in a general-signing one, ciphered first where it is ciphered at all."""
    pre_established: bool = False
    """Always open: neither AARQ nor release."""

    @property
    def suite(self) -> int:
        """The security suite."""
        return self.security_control & 0x0F

    @property
    def ciphered(self) -> bool:
        """Whether APDUs are authenticated, encrypted, or both."""
        return self.security_control & 0x30 != 0

    @property
    def protected(self) -> bool:
        """Whether the application context is the one with ciphering."""
        return self.ciphered or self.signed

    @property
    def needs_keys(self) -> bool:
        """Whether it takes symmetric keys and invocation counters: ciphering does, and so does HLS-GMAC."""
        return self.ciphered or self.mechanism == 5


@dataclass(frozen=True, slots=True)
class Column:
    """A captured object as documented, with what is known of its scaler and unit."""

    captured: CaptureObject
    scaler: int | None = None
    unit: int | None = None
    """By its number in the Blue Book's table of units; None where it is not documented."""
    date_time: bool = False
    """A date-time, whatever the class: billing dates are registers on some meters."""

    @property
    def scaled(self) -> bool:
        """Whether a scaler is owed for it. Some meters give one for a time too."""
        number = not self.date_time or self.scaler is not None
        return self.captured.class_id in REGISTER_CLASSES and self.captured.attribute == VALUE and number


@dataclass(frozen=True, slots=True)
class EventLog:
    """What makes a profile an event log."""

    group: str
    """`voltage`, `current`, `power` … as `profiles.events` groups event codes; other names for other logs."""
    code: AttributeRef
    """The column with the event code."""
    sequence: AttributeRef | None = None
    """The column that counts the log's entries, the best key to tell rows apart by."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile generic object (class 7) of a meter type."""

    name: str
    obis: Obis
    scaler_obis: Obis | None
    """The scaler profile that scales this profile and no other; None: each object's own attribute 3 does."""
    selective_access: SelectiveAccess
    stamp: Stamp
    capture_period_s: int
    """0 where rows are not captured by the clock."""
    depth_days: int
    """0 where the depth is counted in rows."""
    capture_objects: tuple[CaptureObject, ...]
    """As documented; none where only the meter knows them. The meter's own attribute 3 wins."""
    null_data: NullData = "missing"
    kind: ProfileKind = "block_load"
    depth_rows: int = 0
    """0 where it is counted in days, or not known."""
    columns: tuple[Column, ...] = ()
    """The capture objects again, with their units."""
    scaler_attribute: int = 3
    """What the columns of the scaler profile point at."""
    corrections: Mapping[AttributeRef, int] = field(default_factory=dict)
    """Powers of ten to add to scalers that the meter is known to state wrongly."""
    event_log: EventLog | None = None
    running_row: bool = False
    """Whether the newest row is not closed yet: the present billing period's."""

    @property
    def scaler_objects(self) -> tuple[CaptureObject, ...]:
        """The columns of the scaler profile as documented: each object that is scaled, once, in order."""
        scaled = (column.captured for column in self.columns if column.scaled)
        return tuple(dict.fromkeys(CaptureObject(one.class_id, one.obis, self.scaler_attribute) for one in scaled))


@dataclass(frozen=True, slots=True)
class Push:
    """One list that a meter of the type pushes."""

    name: str
    obis: Obis | None
    """The push setup, whose logical name tells lists apart; None where bodies do not carry it."""
    form: PushForm
    columns: tuple[Column, ...]
    rows_of: str | None = None
    """After the columns, one more element: rows of the profile with this name."""
    scalers_of: str | None = None
    """The profile whose scalers hold for the columns that have none of their own."""
    corrections: Mapping[AttributeRef, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushRules:
    """How pushes of a meter type may be covered, and what their counters are worth."""

    covers: tuple[Cover, ...] = ("authentication-and-encryption",)
    signed: bool = False
    counter_rises: bool = True
    """False: the sender leaves its invocation counter as it is, so that it tells no replays."""
    confirmed: bool = False
    """Whether a confirmed data-notification gets its confirmation; push setup version 0 knows none."""
    keys_of: str | None = None
    """The association under whose keys pushes are."""


@dataclass(frozen=True, slots=True)
class Control:
    """An object by which the meter is controlled or configured, and the association that may."""

    name: str
    class_id: int
    obis: Obis
    association: str


@dataclass(frozen=True, slots=True)
class ClockHabit:
    """How the meter writes its date-times."""

    writes: WrittenDeviation = "unset"
    seconds: bool = True
    """False: the second of load profile rows is FF, not specified."""
    status: bool = True
    """False: the clock status is FF."""
    lost_before: int = 2019
    """A year before this one means that the clock was lost."""
    selector: WrittenDeviation = "unset"
    """The deviation in the bounds of a selection by range: some meters refuse a set one, others an unset one."""


@dataclass(frozen=True, slots=True)
class OutageHabit:
    """What an outage leaves behind."""

    rows: OutageRows = "missing"
    logged_after_s: int = 0
    """Shorter outages are not in the event log."""


@dataclass(frozen=True, slots=True)
class BufferHabit:
    """How profiles are kept and given."""

    newest_last: bool = True
    erased_by_new_period: bool = False
    """Changing the capture period clears the profile."""
    first_excluded: bool = False
    """A selection by range gives the rows after its first bound, not from it on."""
    bounds_on_period: bool = False
    """The bounds of a range must lie on the capture period."""
    entry_to_last: bool = True
    """A selection by entry up to 0 means up to the newest."""


@dataclass(frozen=True, slots=True)
class SessionHabit:
    """How the meter keeps company."""

    release: bool = True
    """False: it does not know RLRQ; the link is closed instead."""
    one_at_a_time: bool = True
    pause_s: float = 0.0
    """What it needs between the public association and the next: a minute at most."""
    fresh_after_error: bool = False
    """After an error a long read fails until the association is opened anew: its block number is not reset."""
    image_resume: bool = True
    """False: the first block of an image that was not transferred cannot be asked for, so a transfer starts over."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Instrument transformers: what the values count, and where the ratios stand; they change with the transformers."""

    values: Side
    current: AttributeRef
    voltage: AttributeRef


@dataclass(frozen=True, slots=True)
class StatusWord:
    """The event status word and its filter of the same shape."""

    word: AttributeRef
    filter: AttributeRef


@dataclass(frozen=True, slots=True)
class MeterType:
    """One meter type, as its file says."""

    name: str
    """With the quirks that apply: `is15959-ltct+lt-deviation`."""
    title: str
    server_sap: int
    zone: str
    deviation: Deviation
    associations: Mapping[str, Association]
    profiles: Mapping[str, Profile]
    clock: AttributeRef
    serial: AttributeRef
    nameplate: Obis | None
    reading_association: str
    """The association that collects: 'meter_reader' on Indian meters."""
    drift_allowed_s: int
    """How far ahead of ours the meter's clock may run before its rows are no longer believed."""
    doubts: tuple[str, ...]
    """What is not known for sure about this type, to be settled on the first meters on site."""
    device_id: AttributeRef | None = None
    """The name by which pushes call the meter, which is not its serial number."""
    maker: AttributeRef | None = None
    firmware: AttributeRef | None = None
    """With `maker`, what quirks are found by."""
    event_maker: str | None = None
    """Whose event codes and status bits `profiles.events` is to take; None: those that are agreed."""
    status_word: StatusWord | None = None
    pushes: Mapping[str, Push] = field(default_factory=dict)
    push_rules: PushRules = PushRules()
    controls: Mapping[str, Control] = field(default_factory=dict)
    ratios: Ratios | None = None
    """None: no instrument transformers."""
    clock_habit: ClockHabit = ClockHabit()
    outage_habit: OutageHabit = OutageHabit()
    buffer_habit: BufferHabit = BufferHabit()
    session_habit: SessionHabit = SessionHabit()
    quirks: tuple[str, ...] = ()
    """Names of the quirks that apply, in the order in which they changed the type."""

    def of_kind(self, kind: ProfileKind) -> tuple[Profile, ...]:
        """The profiles of one kind, in the file's order."""
        return tuple(profile for profile in self.profiles.values() if profile.kind == kind)
