"""The tables of a meter type file, each as its dataclass.

The one rule: keys are named like the fields of the dataclasses in `profiles.meter_type`, which say what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

from profiles.meter_type import (
    LOAD_KINDS,
    Association,
    BufferHabit,
    Ciphering,
    ClockHabit,
    Control,
    Cover,
    EventLog,
    KeyOrigin,
    NullData,
    OutageHabit,
    OutageRows,
    Profile,
    ProfileKind,
    Push,
    PushForm,
    PushRules,
    Ratios,
    SelectiveAccess,
    SessionHabit,
    Side,
    Stamp,
    StatusWord,
    WrittenDeviation,
)
from profiles.objects import AttributeRef, Obis
from profiles.type_file import Keys

DAY_S: Final = 86_400
_MIN_PDU: Final = 64
"""Below this not even an association response fits."""
_MOST_ROWS: Final = 0xFFFF_FFFF

_NULL_DATA: Final[tuple[NullData, ...]] = get_args(NullData)
_SELECTIVE_ACCESS: Final[tuple[SelectiveAccess, ...]] = get_args(SelectiveAccess)
_STAMPS: Final[tuple[Stamp, ...]] = get_args(Stamp)
_KINDS: Final[tuple[ProfileKind, ...]] = get_args(ProfileKind)
_FORMS: Final[tuple[PushForm, ...]] = get_args(PushForm)
_COVERS: Final[tuple[Cover, ...]] = get_args(Cover)
_WRITTEN: Final[tuple[WrittenDeviation, ...]] = get_args(WrittenDeviation)
_OUTAGE_ROWS: Final[tuple[OutageRows, ...]] = get_args(OutageRows)
_SIDES: Final[tuple[Side, ...]] = get_args(Side)
_MECHANISMS: Final = tuple(range(8))
_SECURITY_CONTROLS: Final = tuple(policy | suite for suite in range(3) for policy in (0x00, 0x10, 0x20, 0x30))
_CIPHERINGS: Final[tuple[Ciphering, ...]] = get_args(Ciphering)
_KEY_ORIGINS: Final[tuple[KeyOrigin, ...]] = get_args(KeyOrigin)
_CONTROL: Final = re.compile(r"(\d{1,5})/(.+)", re.ASCII)


def association(name: str, keys: Keys) -> Association:
    made = Association(
        name=name,
        client_sap=keys.integer("client_sap", 1, 0xFFFF),
        mechanism=keys.choice("mechanism", _MECHANISMS),
        security_control=keys.choice("security_control", _SECURITY_CONTROLS),
        logical_name=keys.obis("logical_name"),
        invocation_counter=keys.optional_obis("invocation_counter"),
        max_pdu=keys.integer("max_pdu", _MIN_PDU, 0xFFFF),
        ciphering=keys.choice("ciphering", _CIPHERINGS, "glo"),
        key_origin=keys.choice("key_origin", _KEY_ORIGINS, "identified"),
        signed=keys.flag("signed", False),
        pre_established=keys.flag("pre_established", False),
    )
    keys.close()
    return made


def profile(name: str, keys: Keys) -> Profile:
    """A profile; what only load profiles have must be there in them, and what only event logs have, in those."""
    kind = keys.choice("kind", _KINDS, "block_load")
    load = kind in LOAD_KINDS
    columns = keys.columns("capture_objects")
    made = Profile(
        name=name,
        obis=keys.obis("obis"),
        scaler_obis=keys.optional_obis("scaler_obis"),
        selective_access=keys.choice("selective_access", _SELECTIVE_ACCESS),
        stamp=keys.choice("stamp", _STAMPS, None if load else "end"),
        capture_period_s=keys.integer("capture_period_s", 60, DAY_S) if load else 0,
        depth_days=keys.integer("depth_days", 1, 3650) if load else 0,
        capture_objects=tuple(column.captured for column in columns),
        null_data=keys.choice("null_data", _NULL_DATA, "missing"),
        kind=kind,
        depth_rows=keys.integer("depth_rows", 0, _MOST_ROWS, 0),
        columns=columns,
        scaler_attribute=keys.integer("scaler_attribute", -128, 127, 3),
        corrections=_corrections(keys),
        event_log=_event_log(keys.table("event_log")) if kind == "event_log" else None,
        running_row=keys.flag("running_row", False),
    )
    keys.close()
    return made


def _event_log(keys: Keys) -> EventLog:
    made = EventLog(keys.text("group"), keys.attribute("code"), keys.optional_attribute("sequence"))
    keys.close()
    return made


def _corrections(keys: Keys) -> Mapping[AttributeRef, int]:
    """`"3/1.0.1.8.0.255/2" = -1` and the like."""
    table = keys.table("corrections")
    made = {}
    for text, _ in table.items():
        power = table.integer(text, -9, 9)
        made[table.reference(text)] = power
    return MappingProxyType(made)


def push(name: str, keys: Keys) -> Push:
    made = Push(
        name=name,
        obis=keys.optional_obis("obis"),
        form=keys.choice("form", _FORMS, "columns"),
        columns=keys.columns("columns"),
        rows_of=keys.text("rows_of") if "rows_of" in keys else None,
        scalers_of=keys.text("scalers_of") if "scalers_of" in keys else None,
        corrections=_corrections(keys),
    )
    keys.close()
    return made


def push_rules(keys: Keys) -> PushRules:
    usual = PushRules()
    covers = keys.texts("covers") or usual.covers
    for cover in covers:
        if cover not in _COVERS:
            raise keys.wrong("covers", message=f"{cover!r} is none of {', '.join(_COVERS)}", element=cover)
    made = PushRules(
        covers=tuple(cover for cover in _COVERS if cover in covers),
        signed=keys.flag("signed", usual.signed),
        counter_rises=keys.flag("counter_rises", usual.counter_rises),
        confirmed=keys.flag("confirmed", usual.confirmed),
        keys_of=keys.text("keys_of") if "keys_of" in keys else None,
    )
    keys.close()
    return made


def controls(keys: Keys) -> Mapping[str, Control]:
    """`[controls.ASSOCIATION]` tables of `name = "CLASS/OBIS"`."""
    made: dict[str, Control] = {}
    for name_of_association, table in keys.tables("controls").items():
        for name, _ in table.items():
            if name in made:
                raise table.wrong(name, message=f"is a control of {made[name].association} already")
            text = table.text(name)
            match = _CONTROL.fullmatch(text)
            try:
                if match is None or not 0 < int(match[1]) <= 0xFFFF:
                    raise ValueError(f"{text!r} is not class/OBIS, such as 70/0.0.96.3.10.255")
                made[name] = Control(name, int(match[1]), Obis.parse(match[2]), name_of_association)
            except ValueError as error:
                raise table.wrong(name, message=str(error)) from None
    return MappingProxyType(made)


def ratios(keys: Keys) -> Ratios:
    made = Ratios(keys.choice("values", _SIDES), keys.attribute("current"), keys.attribute("voltage"))
    keys.close()
    return made


def status_word(keys: Keys) -> StatusWord:
    made = StatusWord(keys.attribute("word"), keys.attribute("filter"))
    keys.close()
    return made


def clock_habit(keys: Keys) -> ClockHabit:
    usual = ClockHabit()
    made = ClockHabit(
        writes=keys.choice("writes", _WRITTEN, usual.writes),
        seconds=keys.flag("seconds", usual.seconds),
        status=keys.flag("status", usual.status),
        lost_before=keys.integer("lost_before", 1990, 2100, usual.lost_before),
        selector=keys.choice("selector", _WRITTEN, usual.selector),
    )
    keys.close()
    return made


def outage_habit(keys: Keys) -> OutageHabit:
    usual = OutageHabit()
    made = OutageHabit(
        rows=keys.choice("rows", _OUTAGE_ROWS, usual.rows),
        logged_after_s=keys.integer("logged_after_s", 0, DAY_S, usual.logged_after_s),
    )
    keys.close()
    return made


def buffer_habit(keys: Keys) -> BufferHabit:
    usual = BufferHabit()
    made = BufferHabit(
        newest_last=keys.flag("newest_last", usual.newest_last),
        erased_by_new_period=keys.flag("erased_by_new_period", usual.erased_by_new_period),
        first_excluded=keys.flag("first_excluded", usual.first_excluded),
        bounds_on_period=keys.flag("bounds_on_period", usual.bounds_on_period),
        entry_to_last=keys.flag("entry_to_last", usual.entry_to_last),
    )
    keys.close()
    return made


def session_habit(keys: Keys) -> SessionHabit:
    usual = SessionHabit()
    made = SessionHabit(
        release=keys.flag("release", usual.release),
        one_at_a_time=keys.flag("one_at_a_time", usual.one_at_a_time),
        pause_s=keys.number("pause_s", 0, 60, usual.pause_s),
        fresh_after_error=keys.flag("fresh_after_error", usual.fresh_after_error),
        image_resume=keys.flag("image_resume", usual.image_resume),
    )
    keys.close()
    return made
