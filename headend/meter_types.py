"""The meter types that this head-end knows, alone and with quirks.

The one rule: a type is loaded once; a meter's own maker and firmware, once read, choose its quirks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from profiles.errors import SettingsError
from profiles.loader import load_meter_type, meter_types
from profiles.meter_type import MeterType
from profiles.quirks import Quirk, matching_quirks


class MeterTypes(Mapping[str, MeterType]):
    """By name: those that come with the program, and `files`, which win. Raises SettingsError for a bad file."""

    def __init__(self, files: tuple[Path, ...] = ()) -> None:
        self._types = {name: load_meter_type(name) for name in meter_types()}
        self._sources = {name: name for name in self._types}
        for file in files:
            loaded = load_meter_type(file)
            self._types[loaded.name] = loaded
            self._sources[loaded.name] = str(file)

    def __getitem__(self, name: str) -> MeterType:
        """Also `name+quirk`. SettingsError for a quirk that is none of the type."""
        if name in self._types:
            return self._types[name]
        base, _, quirks = name.partition("+")
        if not quirks or base not in self._sources:
            raise KeyError(name)
        loaded = self._types[name] = load_meter_type(f"{self._sources[base]}+{quirks}")
        return loaded

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self[name] is not None
        except (KeyError, SettingsError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


def with_quirks(name: str, maker: str, firmware: str) -> str:
    """The name of a type with the quirks that a maker's meters with this firmware have; as it is where the maker is
    not known yet, or an operator chose its quirks."""
    if not maker or "+" in name:
        return name
    return "+".join((name, *(quirk.name for quirk in _matching(name, maker, firmware))))


@cache
def _matching(name: str, maker: str, firmware: str) -> list[Quirk]:
    return matching_quirks(name, maker, firmware)
