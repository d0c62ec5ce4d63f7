"""Meter types from their TOML files.

The one rule: a file either is a whole, checked `MeterType` or a SettingsError that names the file and the key;
keys are named like the fields of the dataclasses in `profiles.meter_type`, which say what they mean.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from profiles.errors import SettingsError
from profiles.meter_type import (
    Association,
    Ciphering,
    Deviation,
    KeyOrigin,
    MeterType,
    NullData,
    Profile,
    SelectiveAccess,
    Stamp,
)
from profiles.objects import AttributeRef, CaptureObject, Obis

_TYPES: Final = Path(__file__).with_name("types")
_MAX_FILE: Final = 256 * 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"(\d{1,5})/([^/]{1,30})/(-?\d{1,3})", re.ASCII)
_DAY_S: Final = 86_400
_MIN_PDU: Final = 64
"""Below this not even an association response fits."""

_DEVIATIONS: Final[tuple[Deviation, ...]] = ("ignore", "utc-minus-local", "local-minus-utc")
_NULL_DATA: Final[tuple[NullData, ...]] = ("missing", "repeat")
_SELECTIVE_ACCESS: Final[tuple[SelectiveAccess, ...]] = ("range", "entry", "none")
_STAMPS: Final[tuple[Stamp, ...]] = ("start", "end")
_MECHANISMS: Final = tuple(range(8))
_SECURITY_CONTROLS: Final = tuple(policy | suite for suite in range(3) for policy in (0x00, 0x10, 0x20, 0x30))
_CIPHERINGS: Final[tuple[Ciphering, ...]] = ("glo", "ded", "general-glo", "general-ded", "general-ciphering")
_KEY_ORIGINS: Final[tuple[KeyOrigin, ...]] = ("identified", "wrapped", "one-pass", "static-unified")

_T = TypeVar("_T")


def meter_types() -> list[str]:
    """Names of the meter types that come with the program, sorted."""
    return sorted(file.stem for file in _TYPES.glob("*.toml"))


def load_meter_type(name_or_path: str | Path) -> MeterType:
    """The meter type of a bundled name (`is15959-1ph`) or of a TOML file (a Path, or text that ends in `.toml`).

    The type's name is the file's name without its ending. Raises SettingsError, naming file and key.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _TYPES / f"{name_or_path}.toml"
        if str(name_or_path) not in meter_types():
            raise SettingsError(
                f"there is no meter type {str(name_or_path)!r}",
                remedy=f"known: {', '.join(meter_types())}; or give the path of a .toml file",
            )
    return _meter_type(path.stem, _Keys(path, "", _parse(path)))


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if len(octets) > _MAX_FILE:
        raise SettingsError(f"{path}: larger than {_MAX_FILE} octets, so not a meter type")
    try:
        return tomllib.loads(octets.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None


class _Keys:
    """One table of the file: hands out checked values by key and, at the end, refuses keys that nobody asked for."""

    def __init__(self, file: Path, place: str, table: dict[str, Any]) -> None:
        self._file = file
        self._place = place
        self._table = table
        self._left = dict.fromkeys(table)

    def wrong(self, key: str, message: str) -> SettingsError:
        return SettingsError(f"{self._file}: {self._place}{key}: {message}")

    def take(self, key: str, default: object = None) -> Any:
        """The value of `key` as TOML has it; without a default the key must be there."""
        self._left.pop(key, None)
        value = self._table.get(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "must be text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "must be a list of texts")
        return tuple(values)

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.take(key)
        if type(value) is not int or not low <= value <= high:
            raise self.wrong(key, f"must be a whole number from {low} to {high}")
        return value

    def choice(self, key: str, choices: tuple[_T, ...], default: _T | None = None) -> _T:
        value = self.take(key, default)
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise self.wrong(key, f"must be one of {', '.join(map(str, choices))}")

    def obis(self, key: str) -> Obis:
        try:
            return Obis.parse(self.text(key))
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def optional_obis(self, key: str) -> Obis | None:
        return self.obis(key) if key in self._table else None

    def attribute(self, key: str) -> AttributeRef:
        return self._attribute(key, self.text(key))

    def attributes(self, key: str) -> tuple[AttributeRef, ...]:
        found = tuple(self._attribute(key, text) for text in self.texts(key))
        if not found:
            raise self.wrong(key, "names no object")
        for one in found:
            if found.count(one) > 1:
                raise self.wrong(key, f"names {one} twice")
        return found

    def _attribute(self, key: str, text: str) -> AttributeRef:
        match = _ATTRIBUTE.fullmatch(text)
        try:
            if match is None or not 0 < int(match[1]) <= 0xFFFF or not -128 <= int(match[3]) <= 127:
                raise ValueError(f"{text!r} is not class/OBIS/attribute, such as 3/1.0.12.27.0.255/2")
            return AttributeRef(int(match[1]), Obis.parse(match[2]), int(match[3]))
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def tables(self, key: str) -> dict[str, _Keys]:
        """The named tables under `key`, at least one."""
        tables = self.take(key)
        if not isinstance(tables, dict) or not tables:
            raise self.wrong(key, f"must hold one or more tables [{key}.NAME]")
        for name, table in tables.items():
            if not isinstance(table, dict) or not _NAME.fullmatch(name):
                raise self.wrong(f"{key}.{name}", "must be a table, its name in small letters, digits and underscores")
        return {name: _Keys(self._file, f"{key}.{name}.", table) for name, table in tables.items()}

    def close(self) -> None:
        for key in self._left:
            raise self.wrong(key, "is not a key of a meter type")


def _meter_type(name: str, keys: _Keys) -> MeterType:
    associations = {key: _association(key, table) for key, table in keys.tables("associations").items()}
    meter_type = MeterType(
        name=name,
        title=keys.text("title"),
        server_sap=keys.integer("server_sap", 1, 0xFFFF),
        zone=keys.text("zone"),
        deviation=keys.choice("deviation", _DEVIATIONS),
        associations=MappingProxyType(associations),
        profiles=MappingProxyType({key: _profile(key, table) for key, table in keys.tables("profiles").items()}),
        clock=keys.attribute("clock"),
        serial=keys.attribute("serial"),
        nameplate=keys.optional_obis("nameplate"),
        reading_association=keys.choice("reading_association", tuple(associations)),
        drift_allowed_s=keys.integer("drift_allowed_s", 0, _DAY_S),
        doubts=keys.texts("doubts"),
    )
    try:
        ZoneInfo(meter_type.zone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise keys.wrong("zone", f"{meter_type.zone!r} is no time zone such as Asia/Kolkata") from None
    keys.close()
    return meter_type


def _association(name: str, keys: _Keys) -> Association:
    association = Association(
        name=name,
        client_sap=keys.integer("client_sap", 1, 0xFFFF),
        mechanism=keys.choice("mechanism", _MECHANISMS),
        security_control=keys.choice("security_control", _SECURITY_CONTROLS),
        logical_name=keys.obis("logical_name"),
        invocation_counter=keys.optional_obis("invocation_counter"),
        max_pdu=keys.integer("max_pdu", _MIN_PDU, 0xFFFF),
        ciphering=keys.choice("ciphering", _CIPHERINGS, "glo"),
        key_origin=keys.choice("key_origin", _KEY_ORIGINS, "identified"),
        signed=keys.choice("signed", (False, True), False),
        pre_established=keys.choice("pre_established", (False, True), False),
    )
    keys.close()
    return association


def _profile(name: str, keys: _Keys) -> Profile:
    profile = Profile(
        name=name,
        obis=keys.obis("obis"),
        scaler_obis=keys.optional_obis("scaler_obis"),
        selective_access=keys.choice("selective_access", _SELECTIVE_ACCESS),
        stamp=keys.choice("stamp", _STAMPS),
        capture_period_s=keys.integer("capture_period_s", 60, _DAY_S),
        depth_days=keys.integer("depth_days", 1, 3650),
        capture_objects=tuple(CaptureObject(*attribute) for attribute in keys.attributes("capture_objects")),
        null_data=keys.choice("null_data", _NULL_DATA, "missing"),
    )
    keys.close()
    return profile
