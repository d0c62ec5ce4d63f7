"""What must hold between the tables of a meter type.

The one rule: these are checks alone; whatever they refuse names the table in which the second of two things stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from profiles.events import GROUPS
from profiles.meter_type import MeterType, Profile, Push
from profiles.objects import AttributeRef
from profiles.type_file import Keys
from profiles.units import unit_symbol


def check(meter_type: MeterType, keys: Keys) -> None:
    """Raise SettingsError for the first contradiction."""
    _one_client_each(meter_type, keys)
    _one_code_each(meter_type, keys)
    _event_logs(meter_type.profiles.values(), keys)
    for push in meter_type.pushes.values():
        _push(push, meter_type, keys)
    _lists_told_apart(meter_type.pushes.values(), keys)
    _names_of_associations(meter_type, keys)
    _one_unit_each(meter_type, keys)


def _one_client_each(meter_type: MeterType, keys: Keys) -> None:
    for first, second in combinations(meter_type.associations.values(), 2):
        if first.client_sap == second.client_sap:
            message = f"{second.client_sap} is the client of {first.name} as well"
            raise keys.wrong("associations", second.name, "client_sap", message=message)


def _one_code_each(meter_type: MeterType, keys: Keys) -> None:
    """Profiles and push setups have an OBIS code each; several profiles may share a scaler profile."""
    codes = {profile.obis: f"profile {profile.name}" for profile in reversed(list(meter_type.profiles.values()))}
    for profile in meter_type.profiles.values():
        if codes[profile.obis] != f"profile {profile.name}":
            message = f"{profile.obis} is that of {codes[profile.obis]} as well"
            raise keys.wrong("profiles", profile.name, "obis", message=message)
        if profile.scaler_obis in codes:
            message = f"{profile.scaler_obis} is that of {codes[profile.scaler_obis]}"
            raise keys.wrong("profiles", profile.name, "scaler_obis", message=message)
    for first, second in combinations(meter_type.pushes.values(), 2):
        if first.obis == second.obis is not None:
            message = f"{second.obis} is that of push {first.name} as well"
            raise keys.wrong("pushes", second.name, "obis", message=message)


def _event_logs(profiles: Iterable[Profile], keys: Keys) -> None:
    logs = [(profile, profile.event_log) for profile in profiles if profile.event_log is not None]
    for (first, one), (second, other) in combinations(logs, 2):
        if one.group == other.group:
            message = f"{_codes(other.group)} are in {first.name} already"
            raise keys.wrong("profiles", second.name, "event_log", "group", message=message)
    for profile, log in logs:
        captured = {AttributeRef(*one[:3]) for one in profile.capture_objects}
        for key, attribute in (("code", log.code), ("sequence", log.sequence)):
            if captured and attribute is not None and attribute not in captured:
                message = f"{attribute} is none of the log's capture objects"
                raise keys.wrong("profiles", profile.name, "event_log", key, message=message)


def _codes(group: str) -> str:
    ids = GROUPS[group].ids if group in GROUPS else None
    return f"event codes {ids[0]} to {ids[-1]}" if ids else f"the {group} events"


def _push(push: Push, meter_type: MeterType, keys: Keys) -> None:
    for key, name in (("rows_of", push.rows_of), ("scalers_of", push.scalers_of)):
        if name is not None and name not in meter_type.profiles:
            raise keys.wrong("pushes", push.name, key, message=f"there is no profile {name}")
    for column in push.columns:
        if column.scaled and column.scaler is None and push.scalers_of is None:
            message = f"{column.captured} has no scaler: give it one, or name a profile in scalers_of"
            raise keys.wrong("pushes", push.name, "columns", message=message, element=str(column.captured))


def _lists_told_apart(pushes: Iterable[Push], keys: Keys) -> None:
    """Lists in fixed columns that carry no logical name are told apart by how many elements they have."""
    lengths: dict[int, str] = {}
    for push in pushes:
        if push.obis is None and push.form == "columns":
            other = lengths.setdefault(len(push.columns), push.name)
            if other != push.name:
                message = f"as many as in {other}, and neither has a push setup to be told apart by"
                raise keys.wrong("pushes", push.name, "columns", message=message)


def _names_of_associations(meter_type: MeterType, keys: Keys) -> None:
    known = ", ".join(meter_type.associations)
    for control in meter_type.controls.values():
        if control.association not in meter_type.associations:
            raise keys.wrong("controls", control.association, message=f"is no association; there are {known}")
    owner = meter_type.push_rules.keys_of
    if owner is not None and owner not in meter_type.associations:
        raise keys.wrong("push_rules", "keys_of", message=f"{owner} is no association; there are {known}")


def _one_unit_each(meter_type: MeterType, keys: Keys) -> None:
    """One object has one unit, wherever it is captured; only its scaler may differ."""
    places = [("profiles", one.name, "capture_objects", one.columns) for one in meter_type.profiles.values()]
    places += [("pushes", one.name, "columns", one.columns) for one in meter_type.pushes.values()]
    units: dict[AttributeRef, tuple[int, str]] = {}
    for table, name, key, columns in places:
        for column in columns:
            if column.unit is None:
                continue
            unit, where = units.setdefault(AttributeRef(*column.captured[:3]), (column.unit, name))
            if unit != column.unit:
                message = (
                    f"{column.captured} counts {unit_symbol(column.unit) or 'a number'} here and "
                    f"{unit_symbol(unit) or 'a number'} in {where}"
                )
                raise keys.wrong(table, name, key, message=message, element=str(column.captured))
