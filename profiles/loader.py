"""Meter types from their TOML files.

The one rule: a file, with what it extends and the quirks laid over it, either is a whole, checked `MeterType` or a
SettingsError that names file, line and key. Tables of the later file are merged into those of the earlier one; every
other value replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from profiles import type_tables as tables
from profiles.errors import SettingsError
from profiles.events import makers
from profiles.meter_type import Deviation, MeterType
from profiles.quirks import matching_quirks, quirk_named
from profiles.toml_file import Source
from profiles.type_checks import check
from profiles.type_file import Keys

_TYPES: Final = Path(__file__).with_name("types")
_DEVIATIONS: Final[tuple[Deviation, ...]] = get_args(Deviation)
_MOST_ANCESTORS: Final = 5
_WITH_QUIRK: Final = "+"
_KEPT_NAMEPLATES: Final = 4096
_KEPT_TYPES: Final = 256


def meter_types() -> list[str]:
    """Names of the meter types that come with the program, sorted."""
    return sorted(file.stem for file in _TYPES.glob("*.toml"))


def load_meter_type(name_or_path: str | Path) -> MeterType:
    """The meter type of a bundled name (`is15959-1ph`) or of a TOML file (a Path, or text that ends in `.toml`).

    `is15959-ltct+lt-deviation` is that type with a quirk, and there may be several. The type's name is the file's name
    without its ending. Raises SettingsError, naming file, line and key.
    """
    name, *quirks = str(name_or_path).split(_WITH_QUIRK)
    return _with_quirks(name, quirks)


@lru_cache(maxsize=_KEPT_NAMEPLATES)
def load_for_nameplate(name: str, maker: str, firmware: str) -> MeterType:
    """The meter type `name`, with the quirks that it names and every one that is known of this maker's meters with this
    firmware. Raises SettingsError.

    To be asked for each meter of a fleet: what was loaded is kept, and one for all that are alike. A file that has
    changed since is not read again.
    """
    base, *chosen = name.split(_WITH_QUIRK)
    found = matching_quirks(Path(base).stem if base.endswith(".toml") else base, maker, firmware)
    return _kept(base, tuple(dict.fromkeys((*chosen, *(quirk.name for quirk in found)))))


@lru_cache(maxsize=_KEPT_TYPES)
def _kept(name: str, quirks: tuple[str, ...]) -> MeterType:
    return _with_quirks(name, quirks)


def _with_quirks(name: str, names: Sequence[str]) -> MeterType:
    quirks = [quirk_named(quirk) for quirk in dict.fromkeys(names)]
    path = Path(name)
    if path.suffix != ".toml":
        path = _TYPES / f"{name}.toml"
        if name not in meter_types():
            raise SettingsError(
                f"there is no meter type {name!r}",
                remedy=f"known: {', '.join(meter_types())}; or give the path of a .toml file",
            )
    sources = _lineage(path)
    table = _merged(sources)
    for quirk in quirks:
        if not quirk.fits(path.stem):
            raise SettingsError(
                f"quirk {quirk.name} is none of meter type {path.stem}", remedy=f"it is of {', '.join(quirk.types)}"
            )
        sources.append(quirk.changes)
        _remove(table, quirk.changes)
        _merge(table, quirk.changes.table)
    return _meter_type(path.stem, Keys(sources, (), table), tuple(quirk.name for quirk in quirks))


def _lineage(path: Path) -> list[Source]:
    """The file and all that it extends, the eldest first."""
    sources = [Source.read(path, "a meter type")]
    while "extends" in sources[0].table:
        keys = Keys(sources[:1], (), sources[0].table)
        parent = keys.text("extends")
        file = sources[0].path.with_name(parent) if parent.endswith(".toml") else _TYPES / f"{parent}.toml"
        if not parent.endswith(".toml") and parent not in meter_types():
            raise keys.wrong("extends", message=f"there is no meter type {parent!r}")
        if len(sources) == _MOST_ANCESTORS or file in [source.path for source in sources]:
            raise keys.wrong("extends", message="goes round in a circle, or through too many files")
        sources.insert(0, Source.read(file, "a meter type"))
    return sources


def _merged(sources: list[Source]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for source in sources:
        _remove(table, source)
        _merge(table, source.table)
    return table


def _remove(table: dict[str, Any], source: Source) -> None:
    """Take out what `without` of a later source names: `controls.utility_setting.disconnect`."""
    keys = Keys([source], (), source.table)
    for dotted in keys.texts("without"):
        *above, last = dotted.split(".")
        inner: Any = table
        for name in above:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise keys.wrong("without", message=f"there is no {dotted} to be without", element=dotted)
        del inner[last]


def _merge(table: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if key in ("extends", "without"):
            continue
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = deepcopy(value)


def _meter_type(name: str, keys: Keys, quirks: tuple[str, ...]) -> MeterType:
    associations = {key: tables.association(key, table) for key, table in keys.tables("associations").items()}
    if not associations:
        raise keys.wrong("associations", message="must hold one or more tables [associations.NAME]")
    profiles = {key: tables.profile(key, table) for key, table in keys.tables("profiles").items()}
    meter_type = MeterType(
        name=_WITH_QUIRK.join((name, *quirks)),
        title=keys.text("title"),
        server_sap=keys.integer("server_sap", 1, 0xFFFF),
        zone=keys.text("zone"),
        deviation=keys.choice("deviation", _DEVIATIONS),
        associations=MappingProxyType(associations),
        profiles=MappingProxyType(profiles),
        clock=keys.attribute("clock"),
        serial=keys.attribute("serial"),
        nameplate=next((one.obis for one in profiles.values() if one.kind == "nameplate"), None),
        reading_association=keys.choice("reading_association", tuple(associations)),
        drift_allowed_s=keys.integer("drift_allowed_s", 0, tables.DAY_S),
        doubts=_doubts(keys.table("doubts")),
        device_id=keys.optional_attribute("device_id"),
        maker=keys.optional_attribute("maker"),
        firmware=keys.optional_attribute("firmware"),
        event_maker=keys.choice("event_maker", tuple(makers())) if "event_maker" in keys else None,
        status_word=tables.status_word(keys.table("status_word")) if "status_word" in keys else None,
        pushes=MappingProxyType({key: tables.push(key, table) for key, table in keys.tables("pushes").items()}),
        push_rules=tables.push_rules(keys.table("push_rules")),
        controls=tables.controls(keys),
        ratios=tables.ratios(keys.table("ratios")) if "ratios" in keys else None,
        clock_habit=tables.clock_habit(keys.table("clock_habit")),
        outage_habit=tables.outage_habit(keys.table("outage_habit")),
        buffer_habit=tables.buffer_habit(keys.table("buffer_habit")),
        session_habit=tables.session_habit(keys.table("session_habit")),
        quirks=quirks,
    )
    try:
        ZoneInfo(meter_type.zone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise keys.wrong("zone", message=f"{meter_type.zone!r} is no time zone such as Asia/Kolkata") from None
    keys.close()
    check(meter_type, keys)
    return meter_type


def _doubts(keys: Keys) -> tuple[str, ...]:
    """`topic = "what is not known"`: a type that extends another may say otherwise on the same topic."""
    return tuple(keys.text(topic) for topic, _ in keys.items())
