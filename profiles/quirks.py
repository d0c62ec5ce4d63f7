"""Quirks: what the meters of one maker, or one firmware, do otherwise than their type says.

The one rule: a quirk is a declaration in `profiles/makers/`, whose `changes` are laid over the type file and then
checked like it; no code asks who made a meter. Quirks are found by the maker and firmware that a meter's nameplate
gives; those whose maker is not known have no pattern, and are only chosen by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from profiles.errors import SettingsError
from profiles.toml_file import Source
from profiles.type_file import Keys

_MAKERS: Final = Path(__file__).with_name("makers")


@dataclass(frozen=True, slots=True, eq=False)
class Quirk:
    """One thing that some meters do otherwise."""

    name: str
    title: str
    types: tuple[str, ...]
    """Patterns of the names of the meter types that it may change, as in file names: `is15959-*`."""
    maker: tuple[str, ...]
    """Patterns of the maker's name on the nameplate, in any case; none: never found by nameplate."""
    firmware: tuple[str, ...]
    """Patterns of the firmware version; none: every version."""
    source: str
    """Where it was seen, as docs/meter-facts.md calls it."""
    changes: Source
    """What is laid over the type's own tables."""

    def fits(self, type_name: str) -> bool:
        """Whether it may change the type of this name."""
        return _any(self.types, type_name)

    def matches(self, type_name: str, maker: str, firmware: str) -> bool:
        """Whether a meter of this type, with this nameplate, has it."""
        return (
            self.fits(type_name)
            and _any(self.maker, maker.strip("\0 "))
            and (not self.firmware or _any(self.firmware, firmware.strip("\0 ")))
        )


def _any(patterns: tuple[str, ...], text: str) -> bool:
    return any(fnmatchcase(text.casefold(), pattern.casefold()) for pattern in patterns)


@cache
def quirks() -> Mapping[str, Quirk]:
    """All that come with the program, by name, in the order of their files. Raises SettingsError."""
    found: dict[str, Quirk] = {}
    for file in sorted(_MAKERS.glob("*.toml")):
        for quirk, keys in _read(Source.read(file, "a meter type")):
            if quirk.name in found:
                raise keys.wrong("name", message=f"{quirk.name} is the name of another quirk as well")
            found[quirk.name] = quirk
    return MappingProxyType(found)


def quirk_named(name: str) -> Quirk:
    """The quirk of this name. Raises SettingsError."""
    if name not in quirks():
        raise SettingsError(f"there is no quirk {name!r}", remedy=f"known: {', '.join(quirks())}")
    return quirks()[name]


def quirks_of(type_name: str) -> list[Quirk]:
    """All that may change the type of this name."""
    return [quirk for quirk in quirks().values() if quirk.fits(type_name)]


def matching_quirks(type_name: str, maker: str, firmware: str) -> list[Quirk]:
    """All that a meter of this type, with this nameplate, has."""
    return [quirk for quirk in quirks().values() if quirk.matches(type_name, maker, firmware)]


def _read(source: Source) -> Iterator[tuple[Quirk, Keys]]:
    whole = Keys([source], (), source.table)
    entries = whole.take("quirk")
    whole.close()
    if not isinstance(entries, list):
        raise whole.wrong("quirk", message="must be one or more tables [[quirk]]")
    for index, table in enumerate(entries):
        keys = Keys([source], ("quirk", index), table)
        keys.take("changes")
        keys.table("changes")
        quirk = Quirk(
            name=keys.text("name"),
            title=keys.text("title"),
            types=keys.texts("types"),
            maker=keys.texts("maker"),
            firmware=keys.texts("firmware"),
            source=keys.text("source"),
            changes=source.below("quirk", index, "changes"),
        )
        keys.close()
        yield quirk, keys
