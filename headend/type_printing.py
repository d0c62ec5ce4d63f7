"""Meter types on a terminal or as JSON.

The one rule: the JSON holds everything that a type says, the terminal what a person looks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from headend.printing import print_whole
from profiles.errors import SettingsError
from profiles.loader import load_meter_type, meter_types
from profiles.meter_type import Association, BufferHabit, Column, MeterType, Profile, Push, SessionHabit
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, CaptureObject, Obis
from profiles.quirks import quirks_of
from profiles.units import unit_symbol

if TYPE_CHECKING:
    from rich.table import Table

_MECHANISMS = ("none", "LLS", "HLS", "HLS MD5", "HLS SHA-1", "HLS GMAC", "HLS SHA-256", "HLS ECDSA")
_CIPHERED = {0x00: "in clear", 0x10: "authenticated", 0x20: "encrypted", 0x30: "authenticated, encrypted"}


def print_types(*, as_json: bool) -> None:
    """The types that come with the program."""
    found = [load_meter_type(name) for name in meter_types()]
    if as_json:
        _print_json(
            [
                {
                    "name": one.name,
                    "title": one.title,
                    "profiles": list(one.profiles),
                    "pushes": list(one.pushes),
                    "quirks": [quirk.name for quirk in quirks_of(one.name)],
                    "doubts": len(one.doubts),
                }
                for one in found
            ]
        )
        return
    table = _table("", "type", "what it is", "profiles", "pushes", "quirks", "doubts")
    for one in found:
        numbers = (len(one.profiles), len(one.pushes), len(quirks_of(one.name)), len(one.doubts))
        table.add_row(one.name, escape(one.title), *map(str, numbers))
    print_whole(table)


def print_type(meter_type: MeterType, *, as_json: bool) -> None:
    """Everything about one type but the columns of its profiles and pushes, which the JSON has too."""
    name = meter_type.name.partition("+")[0]
    if as_json:
        known = [{"name": one.name, "title": one.title, "maker": list(one.maker)} for one in quirks_of(name)]
        _print_json(_plain(meter_type) | {"known_quirks": known})
        return
    typer.echo(f"{meter_type.name}: {meter_type.title}\n")
    print_whole(_associations(meter_type))
    print_whole(_profiles(meter_type))
    if meter_type.pushes:
        print_whole(_pushes(meter_type))
    if meter_type.controls:
        print_whole(_controls(meter_type))
    _print_habits(meter_type)
    _print_list("Doubts, to be settled on the first meters", meter_type.doubts)
    quirks = [f"{one.name}: {one.title}{_makers(one.maker)}" for one in quirks_of(name)]
    _print_list(f"Quirks, used as {name}+QUIRK", quirks)


def print_columns(meter_type: MeterType, name: str, *, as_json: bool) -> None:
    """The columns of a profile or push, in order. Raises SettingsError where the type has none of that name."""
    found: Profile | Push | None = meter_type.profiles.get(name) or meter_type.pushes.get(name)
    if found is None:
        known = ", ".join([*meter_type.profiles, *(one for one in meter_type.pushes if one not in meter_type.profiles)])
        raise SettingsError(f"meter type {meter_type.name} has no profile or push {name}", remedy=f"it has {known}")
    if as_json:
        _print_json(_plain(found))
        return
    if not found.columns:
        typer.echo(f"{name}: only the meter knows its columns")
        return
    table = _table(
        f"{meter_type.name} · {name} · {found.obis or 'no push setup'}", "", "object", "name", "scaler", "unit"
    )
    for place, column in enumerate(found.columns, 1):
        scaler = "" if column.scaler is None else str(column.scaler)
        table.add_row(str(place), str(column.captured), escape(_name(column)), scaler, _unit(column))
    print_whole(table)


def _associations(meter_type: MeterType) -> Table:
    table = _table("Associations", "name", "client", "mechanism", "protection", "counter", "")
    for one in meter_type.associations.values():
        used = "reads" if one.name == meter_type.reading_association else ""
        counter = str(one.invocation_counter or "")
        table.add_row(one.name, str(one.client_sap), _mechanism(one), _protection(one), counter, used)
    return table


def _mechanism(one: Association) -> str:
    return "pre-established" if one.pre_established else f"{one.mechanism} {_MECHANISMS[one.mechanism]}"


def _protection(one: Association) -> str:
    text = _CIPHERED[one.security_control & 0x30] + (", signed" if one.signed else "")
    return f"{text}, suite {one.suite}" if one.suite else text


def _profiles(meter_type: MeterType) -> Table:
    table = _table("Profiles", "name", "code", "scalers", "selection", "period", "depth", "columns")
    for one in meter_type.profiles.values():
        period = f"{one.capture_period_s} s" if one.capture_period_s else ""
        depth = f"{one.depth_days} d" if one.depth_days else f"{one.depth_rows} rows" if one.depth_rows else ""
        scalers = str(one.scaler_obis or "")
        columns = str(len(one.columns) or "the meter's")
        table.add_row(one.name, str(one.obis), scalers, one.selective_access, period, depth, columns)
    return table


def _pushes(meter_type: MeterType) -> Table:
    rules = meter_type.push_rules
    counter = "counter rises" if rules.counter_rises else "counter stays as it is"
    keys = f", keys of {rules.keys_of}" if rules.keys_of else ""
    table = _table(
        f"Pushes: {' or '.join(rules.covers)}, {counter}{keys}", "name", "push setup", "form", "columns", "rows of"
    )
    for one in meter_type.pushes.values():
        columns = str(len(one.columns) or "the meter's")
        table.add_row(one.name, str(one.obis or ""), one.form, columns, one.rows_of or "")
    return table


def _controls(meter_type: MeterType) -> Table:
    table = _table("Control objects", "name", "object", "association")
    for one in meter_type.controls.values():
        table.add_row(one.name, f"{one.class_id}/{one.obis}", one.association)
    return table


def _print_habits(meter_type: MeterType) -> None:
    clock = meter_type.clock_habit
    typer.echo(f"Clock: {meter_type.zone}; deviation written {clock.writes}, taken as {meter_type.deviation}")
    outage = meter_type.outage_habit
    logged = f"; logged after {outage.logged_after_s} s" if outage.logged_after_s else ""
    typer.echo(f"Outage: rows {outage.rows}{logged}")
    if meter_type.ratios is not None:
        ratios = meter_type.ratios
        typer.echo(f"Transformers: values are {ratios.values}; ratios {ratios.current} and {ratios.voltage}")
    for title, habit, usual in (
        ("Buffers", meter_type.buffer_habit, BufferHabit()),
        ("Sessions", meter_type.session_habit, SessionHabit()),
    ):
        special = {name: value for name, value in _plain(habit).items() if value != getattr(usual, name)}
        if special:
            typer.echo(f"{title}: " + ", ".join(f"{name} {str(value).lower()}" for name, value in special.items()))


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        typer.echo(f"\n{title}:")
        for line in lines:
            typer.echo(f"- {line}")


def _makers(patterns: Iterable[str]) -> str:
    text = ", ".join(patterns)
    return f" ({text})" if text else ""


def _name(column: Column) -> str:
    name = obis_name(column.captured.obis) or ""
    return f"{name}, when" if column.date_time and column.captured.class_id == 4 else name


def _unit(column: Column) -> str:
    if column.date_time:
        return "date-time"
    return "" if column.unit is None else unit_symbol(column.unit)


def _table(title: str, *headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _plain(value: Any) -> Any:
    """A value of a meter type in what JSON has: objects and attributes as text, units by symbol."""
    match value:
        case Column():
            return {
                "object": str(value.captured),
                "name": _name(value),
                "scaler": value.scaler,
                "unit": _unit(value) or None,
            }
        case Obis() | AttributeRef() | CaptureObject():
            return str(value)
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case tuple():
            return [_plain(one) for one in value]
    if is_dataclass(value):
        # The capture objects stand in the columns.
        names = [one.name for one in fields(value) if one.name != "capture_objects"]
        return {name: _plain(getattr(value, name)) for name in names}
    return value


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
