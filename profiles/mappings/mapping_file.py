"""Mappings from their TOML files.

The one rule: a file either is a whole, checked `MdmMapping` or a SettingsError that names file and line. The MDM must
not be the first to notice what is wrong in it: codes are parsed, units are compared with the columns' own, and two
lines never share a code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast, get_args

from profiles.channels import COLUMNS, NO_UNIT
from profiles.errors import SettingsError
from profiles.events import ESW_BITS
from profiles.intervals import Quality
from profiles.mappings.codes import COS_THETA, UNITS, EndDeviceCode, ReadingQuality, ReadingType
from profiles.mappings.mapping import (
    CONTROLS,
    GOOD,
    MISSING,
    Grade,
    Mapped,
    MdmMapping,
    ProfileKind,
    ReadingTypeTemplate,
    Unmapped,
)
from profiles.objects import Obis
from profiles.toml_file import Source

_BUNDLED: Final = Path(__file__).parent
_MAX_RANGE: Final = 256
_KINDS: Final[tuple[ProfileKind, ...]] = get_args(ProfileKind)
_GRADES: Final[tuple[Grade, ...]] = get_args(Grade)
_OTHER_SECTIONS: Final = ("qualities", "events", "status_bits", "controls")
_QUALITIES: Final = frozenset({GOOD, MISSING, *(str(mark.name).lower() for mark in Quality)})
_OPEN: Final = re.compile(r"\{(\w*)\}")
_FIELDS: Final = {"period": 2, "block": 53, "commodity": 1, "rate": 1}
"""What may be open in a reading type, each with a value to try it with."""
_RANGE: Final = re.compile(r"(.*?)(\d{1,5})-(\d{1,5})", re.ASCII)

KeyT = TypeVar("KeyT", bound=Hashable)
CodeT = TypeVar("CodeT")


def mappings() -> list[str]:
    """Names of the mappings that come with the program, sorted."""
    return sorted(file.stem for file in _BUNDLED.glob("*.toml"))


def load_mapping(name_or_path: str | Path = "default") -> MdmMapping:
    """The mapping of a bundled name (`default`) or of a TOML file (a Path, or text that ends in `.toml`).

    A file that begins `extends = "default"` holds only what differs. Raises SettingsError, naming file and line.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _bundled(str(name_or_path), f"there is no mapping {str(name_or_path)!r}")
    sources = [Source.read(path, "a mapping")]
    while (base := sources[-1].table.get("extends")) is not None:
        line = _line(sources[-1], "", "extends")
        path = _bundled(base, f"{sources[-1].path}:{line}: extends: there is no mapping {base!r}")
        if any(path == source.path for source in sources):
            raise SettingsError(f"{sources[-1].path}:{line}: extends: {base!r} builds on itself")
        sources.append(Source.read(path, "a mapping"))
    return _mapping(sources)


def _bundled(name: object, message: str) -> Path:
    if name not in mappings():
        known = ", ".join(mappings())
        raise SettingsError(message, remedy=f"known: {known}; or give the path of a .toml file")
    return _BUNDLED / f"{name}.toml"


def _line(source: Source, section: str, key: str) -> int:
    """Counted from 1; that of the section, or 1, where the file is written in an unusual way."""
    place = tuple(section.split(".")) if section else ()
    return source.line((*place, key)) or source.line(place) or 1


def _wrong(source: Source, section: str, key: str, message: str) -> SettingsError:
    return SettingsError(f"{source.path}:{_line(source, section, key)}: {key}: {message}")


def _section(source: Source, name: str) -> Iterator[_Line]:
    """The lines of `[name]`, which may have dots in it; none if the file has no such section."""
    table: Any = source.table
    for part in name.split("."):
        table = table.get(part, {})
        if not isinstance(table, dict):
            raise _wrong(source, "", part, "must be a table")
    for key, cells in table.items():
        if not isinstance(cells, dict):
            raise _wrong(source, name, key, 'must be { code = "…" } or { unmapped = "…" }')
        yield _Line(source, name, key, cells)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a section: what it is of, and what it says of it."""

    source: Source
    section: str
    key: str
    cells: dict[str, Any]

    @property
    def number(self) -> int:
        return _line(self.source, self.section, self.key)

    def wrong(self, message: str) -> SettingsError:
        return _wrong(self.source, self.section, self.key, message)

    def things(self, parse: Callable[[str], KeyT]) -> Iterator[KeyT]:
        """What the line is of: names, numbers or OBIS codes with commas between, the last number may be a range."""
        for text in self.key.split(","):
            for one in self._range(text.strip()):
                try:
                    yield parse(one)
                except ValueError as error:
                    raise self.wrong(str(error)) from None

    def _range(self, text: str) -> Iterator[str]:
        found = _RANGE.fullmatch(text)
        if found is None:
            yield text
            return
        low, high = int(found[2]), int(found[3])
        if not low <= high < low + _MAX_RANGE:
            raise self.wrong(f"{text!r} is no range of up to {_MAX_RANGE}")
        yield from (f"{found[1]}{number}" for number in range(low, high + 1))

    def says(self, parse: Callable[[str], CodeT]) -> Mapped[CodeT] | Unmapped:
        """The code, or the reason why there is none."""
        for key, value in self.cells.items():
            if key not in ("code", "grade", "note", "unmapped"):
                raise self.wrong(f"{key} is not a key of a line")
            if not isinstance(value, str) or not value.strip():
                raise self.wrong(f"{key} must be text")
        if "unmapped" in self.cells:
            if len(self.cells) > 1:
                raise self.wrong("unmapped stands alone")
            return Unmapped(self.cells["unmapped"])
        if "code" not in self.cells:
            raise self.wrong("neither code nor unmapped")
        grade = self.cells.get("grade", "own")
        if grade not in _GRADES:
            raise self.wrong(f"grade: {grade!r} is none of {', '.join(_GRADES)}")
        try:
            return Mapped(parse(self.cells["code"]), cast("Grade", grade), self.cells.get("note", ""))
        except ValueError as error:
            raise self.wrong(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Said(Generic[CodeT]):
    """What a line says of one of the things that it is of."""

    line: _Line
    says: Mapped[CodeT] | Unmapped


def _mapping(sources: list[Source]) -> MdmMapping:
    """From the file itself and, after it, those that it builds on."""
    for source in sources:
        _check_sections(source)
    read = partial(_said, sources)
    readings: dict[tuple[ProfileKind, str | Obis], Mapped[ReadingTypeTemplate] | Unmapped] = {}
    for kind in _KINDS:
        thing: Callable[[str], str | Obis] = _column if kind == "block_load" else Obis.parse
        found = read(f"readings.{kind}", thing, partial(_template, kind))
        _check_shared(sources[0], found)
        readings |= {(kind, thing): says for thing, says in _plain(found).items()}
    _check_units(sources[0], read("readings.block_load", _column, partial(_template, "block_load")))
    qualities = read("qualities", partial(_word, _QUALITIES), ReadingQuality.parse)
    events = read("events", partial(_number, 0xFFFF), EndDeviceCode.parse)
    status_bits = read("status_bits", partial(_number, ESW_BITS - 1), EndDeviceCode.parse)
    controls = read("controls", partial(_word, CONTROLS), EndDeviceCode.parse)
    _check_shared(sources[0], qualities)
    _check_shared(sources[0], events, status_bits)
    _check_shared(sources[0], controls)
    return MdmMapping(
        name=sources[0].path.stem,
        title=sources[0].table["title"],
        readings=MappingProxyType(readings),
        qualities=_plain(qualities),
        events=_plain(events),
        status_bits=_plain(status_bits),
        controls=_plain(controls),
    )


def _check_sections(source: Source) -> None:
    title = source.table.get("title")
    if not isinstance(title, str) or not title.strip():
        raise _wrong(source, "", "title", "must be text")
    for key in source.table:
        if key not in ("title", "extends", "readings", *_OTHER_SECTIONS):
            raise _wrong(source, key if source.line((key,)) else "", key, "is not a part of a mapping")
    readings = source.table.get("readings", {})
    if not isinstance(readings, dict):
        raise _wrong(source, "", "readings", "must be a table")
    for kind in readings:
        if kind not in _KINDS:
            raise _wrong(source, f"readings.{kind}", kind, f"is none of the profiles {', '.join(_KINDS)}")


def _said(
    sources: list[Source], section: str, thing: Callable[[str], KeyT], code: Callable[[str], CodeT]
) -> dict[KeyT, _Said[CodeT]]:
    """What the files together say under `[section]`, by what it is of; a file's own word counts before its base's."""
    found: dict[KeyT, _Said[CodeT]] = {}
    for source in reversed(sources):
        own: dict[KeyT, _Said[CodeT]] = {}
        for line in _section(source, section):
            says = line.says(code)
            for key in line.things(thing):
                before = own.setdefault(key, _Said(line, says)).line
                if before is not line:
                    raise line.wrong(f"{key} stands in line {before.number} already")
        found |= own
    return found


def _check_shared(source: Source, *found: Mapping[Any, _Said[Any]]) -> None:
    """No two lines give the same code; of two that do, one in `source` is at fault."""
    said = [one for part in found for one in part.values()]
    used: dict[object, _Line] = {}
    for one in sorted(said, key=lambda one: one.line.source is source):
        if isinstance(one.says, Mapped):
            other = used.setdefault(one.says.code, one.line)
            if other is not one.line:
                where = f"{other.source.path}:{other.number}"
                raise one.line.wrong(f"{where} gives the same code to {other.key}; what shares a code shares a line")


def _check_units(source: Source, found: Mapping[str, _Said[ReadingTypeTemplate]]) -> None:
    for column, one in found.items():
        if isinstance(one.says, Unmapped):
            continue
        unit, sample = COLUMNS[column].unit, _sample(one.says.code.text)
        right = COS_THETA if unit == NO_UNIT and COLUMNS[column].exponent else UNITS.get(unit)
        if right is not None and sample.unit != right:
            raise one.line.wrong(f"the unit of {column} is {right} in a reading type, not {sample.unit}")


def _plain(found: Mapping[KeyT, _Said[CodeT]]) -> Mapping[KeyT, Mapped[CodeT] | Unmapped]:
    return MappingProxyType({key: one.says for key, one in found.items()})


def _column(text: str) -> str:
    return _word(COLUMNS, text)


def _word(words: Container[str], text: str) -> str:
    if text not in words:
        raise ValueError(f"{text!r} is not known here")
    return text


def _number(high: int, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(high)) and int(text) <= high):
        raise ValueError(f"{text!r} is not a whole number from 0 to {high}")
    return int(text)


def _template(kind: ProfileKind, text: str) -> ReadingTypeTemplate:
    allowed = ("period", "commodity") if kind == "block_load" else ("block", "commodity", "rate")
    for name in _OPEN.findall(text):
        if name not in allowed:
            raise ValueError(f"{{{name}}} cannot be open here; {', '.join(allowed)} can")
    _sample(text)
    return ReadingTypeTemplate(text)


def _sample(text: str) -> ReadingType:
    return ReadingType.parse(_OPEN.sub(lambda found: str(_FIELDS[found[1]]), text))
