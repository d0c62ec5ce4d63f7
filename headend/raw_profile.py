"""`headend profile`: rows of any profile generic object, asked for by time, by entry, or all of them.

The one rule: the meter's own capture objects say what a column is; a row that does not fit them is shown as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from drivers.cosem.rendering import datum_to_json
from drivers.dlms import apdu, axdr
from drivers.dlms.axdr import Datum
from drivers.dlms.profile_buffer import decode_capture_objects, decode_scalers
from drivers.session import Session
from headend.cli.access_options import Access
from headend.raw_access import Way, meter_of
from headend.raw_names import parse_obis
from headend.raw_printing import print_csv, print_json, print_table, warn
from headend.raw_progress import progress
from headend.raw_read import SCALED_BY, json_number, read_scaler_unit, scaled
from headend.times import parse_span, parse_time, zone_named
from profiles.classes import attribute_name
from profiles.datetimes import encode_local
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.meter_type import Deviation
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, CaptureObject, Obis, ScalerUnit
from profiles.units import unit_symbol

PROFILE_GENERIC, CLOCK = 7, 8
BUFFER, CAPTURE_OBJECTS, ENTRIES_IN_USE = 2, 3, 7
_ENTRIES: Final = re.compile(r"(-?\d{1,9})?:(\d{1,9})?", re.ASCII)
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a profile, as the command line says it."""

    obis: str
    start: str | None = None
    end: str | None = None
    last: str | None = None
    entries: str | None = None
    columns: str | None = None
    scalers: str | None = None
    zone: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is shown."""

    captured: CaptureObject
    scaler_unit: ScalerUnit | None

    @property
    def name(self) -> str:
        """The OBIS code's name; of another attribute than the value, that attribute's too."""
        name = obis_name(self.captured.obis) or f"object {self.captured.obis}"
        beside = attribute_name(self.captured.class_id, self.captured.attribute)
        return name if self.captured.attribute in (0, 2) else f"{name} {beside}"

    @property
    def reference(self) -> str:
        return str(self.captured)

    @property
    def unit(self) -> str:
        return unit_symbol(self.scaler_unit.unit) if self.scaler_unit is not None else ""

    def to_json(self) -> dict[str, Any]:
        class_id, obis, attribute, data_index = self.captured
        return {
            "class_id": class_id,
            "obis": str(obis),
            "obis_name": obis_name(obis),
            "attribute": attribute,
            "data_index": data_index,
            "unit": self.unit or None,
            "scaler": self.scaler_unit.scaler if self.scaler_unit is not None else None,
        }


Columns = Sequence[Column]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one answer; `odd` those that have another number of columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Datum, ...], ...]
    odd: tuple[Datum, ...]


def profile_and_print(access: Access, wanted: Wanted, *, as_csv: bool) -> None:
    """Read rows of a profile and print them. Raises HeadEndError."""
    obis = parse_obis(wanted.obis)
    _check(wanted)
    if wanted.scalers is not None:
        parse_obis(wanted.scalers)
    with meter_of(access) as meter:
        found = meter.run(lambda session: read_rows(session, meter.way, obis, wanted))
        deviation = meter.way.meter_type.deviation
    cells = [
        [cell(datum, column, deviation) for datum, column in zip(row, found.columns, strict=True)] for row in found.rows
    ]
    if access.as_json:
        print_json(
            {
                "address": access.address,
                "obis": str(obis),
                "obis_name": obis_name(obis),
                "columns": [column.to_json() for column in found.columns],
                "rows": [[json_number(one) if isinstance(one, Decimal) else one for one in row] for row in cells],
                "odd_rows": [datum_to_json(row) for row in found.odd],
            }
        )
        return
    if as_csv:
        print_csv(found.columns, cells)
    else:
        print_table(found.columns, cells, f"{obis} {obis_name(obis) or ''} · {len(cells)} rows")
    if found.odd:
        warn(f"{len(found.odd)} rows have another number of columns than the profile; --json shows them")


def cell(datum: Datum, column: Column, deviation: Deviation) -> Any:
    """A value as text, number or None; a scaled one as a Decimal with the decimals of its scaler."""
    if column.scaler_unit is not None and (value := scaled(datum, column.scaler_unit)) is not None:
        return value
    if datum.type in ("float32", "floating-point") and isinstance(datum.value, float):
        return float(f"{datum.value:.7g}")
    shown = datum_to_json(datum, deviation)
    for form in ("datetime", "text"):
        if form in shown:
            return shown[form]
    value = shown.get("value", shown.get("octets"))
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value


async def read_rows(session: Session, way: Way, obis: Obis, wanted: Wanted) -> Rows:
    """The rows that are wanted, and what their columns are. Errors as GET, SettingsError for what the profile lacks."""
    captured = decode_capture_objects(await session.get(AttributeRef(PROFILE_GENERIC, obis, CAPTURE_OBJECTS)))
    if not captured:
        raise ProtocolError("this profile captures nothing", asked=f"get {obis}", retry=False)
    chosen = chosen_columns(wanted.columns, captured)
    buffer = AttributeRef(PROFILE_GENERIC, obis, BUFFER)
    with progress(session, f"{obis}"):
        try:
            data = await session.get(buffer, await _selection(session, way, obis, wanted, captured, chosen))
        except AccessDenied:
            if len(chosen) == len(captured):
                raise
            # Some meters know no selection of columns: all of them, then.
            every = list(range(len(captured)))
            data = await session.get(buffer, await _selection(session, way, obis, wanted, captured, every))
    found = axdr.decode_typed(data)
    if found.type not in ("array", "compact-array") or not isinstance(found.value, tuple):
        raise ProtocolError(f"the buffer is no array but {found.type}", asked=f"get {buffer}", retry=False)
    rows, odd = _rows(found.value, len(captured), chosen)
    shown = [captured[column] for column in chosen]
    scalers = {} if wanted.raw else await _scalers(session, shown, _scaler_profile(way, obis, wanted))
    unscaled = [
        str(column)
        for column in shown
        if (column.class_id, column.attribute) in SCALED_BY and column[:3] not in scalers
    ]
    if unscaled and not wanted.raw:
        warn(f"no scaler was found for {', '.join(unscaled)}: name the profile that holds them with --scalers")
    return Rows(tuple(Column(one, scalers.get(one[:3])) for one in shown), tuple(rows), tuple(odd))


def chosen_columns(text: str | None, captured: Sequence[CaptureObject]) -> list[int]:
    """Places of the columns that `--columns` names by number (from 1) or OBIS, in the profile's order; None: all."""
    if text is None:
        return list(range(len(captured)))
    chosen: set[int] = set()
    for part in text.split(","):
        if part.strip().isdecimal():
            found = [int(part) - 1] if 1 <= int(part) <= len(captured) else []
        else:
            obis = parse_obis(part.strip())
            found = [place for place, column in enumerate(captured) if column.obis == obis]
        if not found:
            listed = ", ".join(f"{number} {column}" for number, column in enumerate(captured, 1))
            raise SettingsError(f"--columns: the profile has no column {part.strip()}", remedy=f"it has {listed}")
        chosen.update(found)
    return sorted(chosen)


def _check(wanted: Wanted) -> None:
    """What can't be wanted together."""
    if wanted.entries is not None and (wanted.start or wanted.end or wanted.last):
        raise SettingsError("--entries chooses by number, --from, --to and --last by time: take one of them")
    if wanted.last is not None and (wanted.start or wanted.end):
        raise SettingsError("--last counts back from now: take it, or --from and --to")
    if wanted.entries is not None:
        _entries(wanted.entries)


def _entries(text: str) -> tuple[int, int]:
    """First and last entry; a negative first one counts from the end, 0 as the last is the end."""
    found = _ENTRIES.fullmatch(text)
    first, last = (int(found[1] or 1), int(found[2] or 0)) if found else (0, 0)
    if first == 0 or (first > 0 and 0 < last < first) or (first < 0 and last):
        raise SettingsError(f"--entries {text} names no entries", remedy="write 1:96, 97:, :96, or -96: for the last")
    return first, last


async def _selection(
    session: Session,
    way: Way,
    obis: Obis,
    wanted: Wanted,
    captured: Sequence[CaptureObject],
    chosen: Sequence[int],
) -> bytes | None:
    """The selective access that asks for it; None for the whole buffer."""
    every = len(chosen) == len(captured)
    if wanted.entries is not None:
        first, last = _entries(wanted.entries)
        if first < 0:
            in_use = axdr.decode(await session.get(AttributeRef(PROFILE_GENERIC, obis, ENTRIES_IN_USE)))
            if isinstance(in_use, bool) or not isinstance(in_use, int):
                raise ProtocolError("entries_in_use is no number of rows", asked=f"get {obis}")
            first = max(1, in_use + first + 1)
        columns = (1, 0) if every else (chosen[0] + 1, chosen[-1] + 1)
        return apdu.entry_selection(first, last, *columns)
    if not (wanted.start or wanted.end or wanted.last):
        return None
    clock = next((column for column in captured if column.class_id == CLOCK), None)
    if clock is None:
        raise SettingsError("no column of this profile is a clock", remedy="choose by number, with --entries")
    zone = zone_named(wanted.zone or way.meter_type.zone)
    now = datetime.now(UTC)
    end = parse_time(wanted.end or "now", zone, now)
    start = parse_time(wanted.start, zone, now) if wanted.start else _BEGINNING
    if wanted.last is not None:
        start = end - parse_span(wanted.last)
    if start > end:
        raise SettingsError(f"--from {wanted.start} is not before --to {wanted.end or 'now'}")
    first_octets, last_octets = (
        encode_local(moment.replace(microsecond=0), str(zone), way.range_deviation) for moment in (start, end)
    )
    return apdu.range_selection(
        clock, first_octets, last_octets, () if every else [captured[column] for column in chosen]
    )


def _rows(found: Sequence[Datum], width: int, chosen: Sequence[int]) -> tuple[list[tuple[Datum, ...]], list[Datum]]:
    """Rows with the chosen columns, whether the meter sent just these, those between them, or all; and odd rows."""
    between = range(chosen[0], chosen[-1] + 1)
    rows: list[tuple[Datum, ...]] = []
    odd: list[Datum] = []
    for row in found:
        cells = row.value
        if row.type != "structure" or not isinstance(cells, tuple):
            odd.append(row)
        elif len(cells) == width:
            rows.append(tuple(cells[column] for column in chosen))
        elif len(cells) == len(chosen):
            rows.append(cells)
        elif len(cells) == len(between):
            rows.append(tuple(cells[column - between.start] for column in chosen))
        else:
            odd.append(row)
    return rows, odd


def _scaler_profile(way: Way, obis: Obis, wanted: Wanted) -> Obis | None:
    """The profile that holds the scalers of this one: as named, or as the type says."""
    if wanted.scalers is not None:
        return parse_obis(wanted.scalers)
    return next((one.scaler_obis for one in way.meter_type.profiles.values() if one.obis == obis), None)


async def _scalers(
    session: Session, columns: Sequence[CaptureObject], profile: Obis | None
) -> dict[tuple[int, Obis, int], ScalerUnit]:
    """By class, OBIS and attribute: from a scaler profile, or from each register, where the meter gives it."""
    if profile is not None:
        captured = decode_capture_objects(await session.get(AttributeRef(PROFILE_GENERIC, profile, CAPTURE_OBJECTS)))
        return decode_scalers(captured, await session.get(AttributeRef(PROFILE_GENERIC, profile, BUFFER)))
    found: dict[tuple[int, Obis, int], ScalerUnit] = {}
    for column in columns:
        attribute = SCALED_BY.get((column.class_id, column.attribute))
        if attribute is None or column[:3] in found:
            continue
        scaler_unit = await read_scaler_unit(session, AttributeRef(column.class_id, column.obis, attribute))
        if scaler_unit is not None:
            found[column[:3]] = scaler_unit
    return found
