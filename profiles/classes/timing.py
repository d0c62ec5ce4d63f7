"""Interface classes for time- and event-bound control (Blue Book 4.5): clock, schedules, tariffs, switch, limiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from profiles.classes.shapes import (
    SCRIPT_REFERENCE,
    VALUE_REFERENCE,
    Array,
    Flags,
    Record,
    Scalar,
    ScriptReference,
    cosem_class,
    numbered,
)
from profiles.moments import CLOCK_STATUS, Date, DateTime, Time
from profiles.objects import Obis


@dataclass(frozen=True, slots=True)
class ExecutionTime:
    """When a single action runs; wildcards make it run again."""

    time: Time | None
    date: Date | None


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day on which another day profile applies."""

    index: int
    specialday_date: Date | None
    day_id: int


@dataclass(frozen=True, slots=True)
class Season:
    """From when on which week applies."""

    season_profile_name: str | bytes
    season_start: DateTime | None
    week_name: str | bytes


@dataclass(frozen=True, slots=True)
class Week:
    """The day profile (day_id) of each day of a week."""

    week_profile_name: str | bytes
    monday: int
    tuesday: int
    wednesday: int
    thursday: int
    friday: int
    saturday: int
    sunday: int


@dataclass(frozen=True, slots=True)
class DayAction:
    """What runs at which time of a day."""

    start_time: Time | None
    script_logical_name: Obis
    script_selector: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day profile."""

    day_id: int
    day_schedule: tuple[DayAction, ...]


@dataclass(frozen=True, slots=True)
class EmergencyProfile:
    """The emergency of a limiter: from when, and for how many seconds."""

    emergency_profile_id: int
    emergency_activation_time: DateTime | None
    emergency_duration: int


@dataclass(frozen=True, slots=True)
class LimiterActions:
    """What runs when the limit is exceeded for too long, and when the value has fallen again."""

    action_over_threshold: ScriptReference
    action_under_threshold: ScriptReference


_SCRIPT = Record(
    {
        "script_identifier": Scalar.INTEGER,
        "actions": Array(
            Record(
                {
                    "service_id": numbered("write attribute", "execute method", start=1),
                    "class_id": Scalar.INTEGER,
                    "logical_name": Scalar.LOGICAL_NAME,
                    "index": Scalar.INTEGER,
                    "parameter": Scalar.ANY,
                }
            )
        ),
    }
)
_SCHEDULE_ENTRY = Record(
    {
        "index": Scalar.INTEGER,
        "enable": Scalar.BOOLEAN,
        "script_logical_name": Scalar.LOGICAL_NAME,
        "script_selector": Scalar.INTEGER,
        "switch_time": Scalar.TIME,
        "validity_window": Scalar.INTEGER,
        "exec_weekdays": Scalar.BITS,
        "exec_specdays": Scalar.BITS,
        "begin_date": Scalar.DATE,
        "end_date": Scalar.DATE,
    }
)
_SPECIAL_DAY = Record({"index": Scalar.INTEGER, "specialday_date": Scalar.DATE, "day_id": Scalar.INTEGER}, SpecialDay)
_SEASONS = Array(
    Record({"season_profile_name": Scalar.TEXT, "season_start": Scalar.DATE_TIME, "week_name": Scalar.TEXT}, Season)
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKS = Array(Record({"week_profile_name": Scalar.TEXT, **dict.fromkeys(_WEEKDAYS, Scalar.INTEGER)}, Week))
_DAY_ACTION = Record(
    {
        "start_time": Scalar.TIME,
        "script_logical_name": Scalar.LOGICAL_NAME,
        "script_selector": Scalar.INTEGER,
    },
    DayAction,
)
_DAYS = Array(Record({"day_id": Scalar.INTEGER, "day_schedule": Array(_DAY_ACTION)}, Day))
_EMERGENCY = Record(
    {
        "emergency_profile_id": Scalar.INTEGER,
        "emergency_activation_time": Scalar.DATE_TIME,
        "emergency_duration": Scalar.INTEGER,
    },
    EmergencyProfile,
)
_LIMITER_ACTIONS = Record(
    {"action_over_threshold": SCRIPT_REFERENCE, "action_under_threshold": SCRIPT_REFERENCE}, LimiterActions
)
_EXECUTION_TIME = Record({"time": Scalar.TIME, "date": Scalar.DATE}, ExecutionTime)


def _calendar(state: str) -> dict[str, Any]:
    return {
        f"calendar_name_{state}": Scalar.TEXT,
        f"season_profile_{state}": _SEASONS,
        f"week_profile_table_{state}": _WEEKS,
        f"day_profile_table_{state}": _DAYS,
    }


CLASSES = [
    *cosem_class(
        8,
        0,
        "Clock",
        {
            "time": Scalar.DATE_TIME,
            "time_zone": Scalar.INTEGER,
            "status": Flags(CLOCK_STATUS),
            "daylight_savings_begin": Scalar.DATE_TIME,
            "daylight_savings_end": Scalar.DATE_TIME,
            "daylight_savings_deviation": Scalar.INTEGER,
            "daylight_savings_enabled": Scalar.BOOLEAN,
            "clock_base": numbered(
                "not defined", "internal crystal", "mains frequency 50 Hz", "mains frequency 60 Hz", "GPS", "radio"
            ),
        },
        "adjust_to_quarter adjust_to_measuring_period adjust_to_minute adjust_to_preset_time preset_adjusting_time "
        "shift_time",
    ),
    *cosem_class(9, 0, "Script table", {"scripts": Array(_SCRIPT)}, "execute"),
    *cosem_class(10, 0, "Schedule", {"entries": Array(_SCHEDULE_ENTRY)}, "enable_disable insert delete"),
    *cosem_class(11, 0, "Special days table", {"entries": Array(_SPECIAL_DAY)}, "insert delete"),
    *cosem_class(
        20,
        0,
        "Activity calendar",
        {
            **_calendar("active"),
            **_calendar("passive"),
            "activate_passive_calendar_time": Scalar.DATE_TIME,
        },
        "activate_passive_calendar",
    ),
    *cosem_class(
        22,
        0,
        "Single action schedule",
        {
            "executed_script": SCRIPT_REFERENCE,
            "type": numbered(
                "one time, date with wildcards",
                "times alike, dates without wildcards",
                "times alike, dates with wildcards",
                "times differ, dates without wildcards",
                "times differ, dates with wildcards",
                start=1,
            ),
            "execution_time": Array(_EXECUTION_TIME),
        },
    ),
    *cosem_class(
        70,
        0,
        "Disconnect control",
        {
            "output_state": Scalar.BOOLEAN,
            "control_state": numbered("disconnected", "connected", "ready for reconnection"),
            "control_mode": numbered(
                "always connected",
                "disconnect remote, manual, local; reconnect remote then manual",
                "disconnect remote, manual, local; reconnect remote, manual",
                "disconnect remote, local; reconnect remote then manual",
                "disconnect remote, local; reconnect remote, manual",
                "disconnect remote, manual, local; reconnect remote then manual, local",
                "disconnect remote, local; reconnect remote then manual, local",
            ),
        },
        "remote_disconnect remote_reconnect",
    ),
    *cosem_class(
        71,
        0,
        "Limiter",
        {
            "monitored_value": VALUE_REFERENCE,
            "threshold_active": Scalar.ANY,
            "threshold_normal": Scalar.ANY,
            "threshold_emergency": Scalar.ANY,
            "min_over_threshold_duration": Scalar.INTEGER,
            "min_under_threshold_duration": Scalar.INTEGER,
            "emergency_profile": _EMERGENCY,
            "emergency_profile_group_id_list": Array(Scalar.INTEGER),
            "emergency_profile_active": Scalar.BOOLEAN,
            "actions": _LIMITER_ACTIONS,
        },
    ),
]
