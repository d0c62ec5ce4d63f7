"""The answer key as Parquet: what every meter must have said in blocks, daily values, bills and event logs.

The one rule: a file is a profile of the type files, by its name; event logs are one. A column of values is called as
the captured object is written, `3/1.0.1.29.0.255/2`, and holds what `expect.Said` does; it is null where a meter has no
such column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from profiles.errors import SettingsError
from profiles.meter_type import Profile
from simulators.expect import AnswerKey, Said
from simulators.fleet import Identity
from simulators.registers import MAKERS

EVENTS: Final = "events"
_KINDS: Final = frozenset({"block_load", "daily_load", "billing", "event_log"})
_METERS_AT_ONCE: Final = 64
_INSTANT: Final = pa.timestamp("s", tz="UTC")
_FIRST: Final = (("serial", pa.string()), ("profile", pa.string()), ("at", _INSTANT))
"""Serial number of the meter, profile, and when the row was captured: the end of its interval."""


def write_tables(folder: Path, keys: Sequence[AnswerKey], start: datetime, end: datetime) -> dict[str, int]:
    """Write a file for each profile of any of the fleet's types, and one for their event logs, into `folder`; returns
    the rows of each. `keys`: one for each meter type of the fleet. [start, end) as in `AnswerKey.said`.

    SettingsError where a file can't be written.
    """
    schemas = _schemas(keys)
    rows = dict.fromkeys(schemas, 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            writers = {
                name: files.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd"))
                for name, schema in schemas.items()
            }
            for name, columns in _batches(keys, schemas, start, end):
                table = pa.table(columns, schema=schemas[name])
                writers[name].write_table(table)
                rows[name] += table.num_rows
    except OSError as error:
        raise SettingsError(f"can't write the answer key into {folder}: {error.strerror}") from None
    return rows


def _schemas(keys: Iterable[AnswerKey]) -> dict[str, pa.Schema]:
    """By file: whatever any maker's meters of any type capture."""
    found: dict[str, dict[str, pa.DataType]] = {}
    for key in keys:
        for profile in _profiles(key):
            fields = found.setdefault(_file(profile), dict(_FIRST))
            for maker in MAKERS:
                for register in key.columns.of(profile, maker):
                    fields.setdefault(str(register.captured), _INSTANT if register.is_time else pa.int64())
    return {name: pa.schema(list(fields.items())) for name, fields in found.items()}


def _batches(
    keys: Iterable[AnswerKey], schemas: dict[str, pa.Schema], start: datetime, end: datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Columns of some meters at once, by file."""
    for key in keys:
        for first in range(0, len(key.meters), _METERS_AT_ONCE):
            meters = [key.fleet.identity(index) for index in key.meters[first : first + _METERS_AT_ONCE]]
            for profile in _profiles(key):
                parts = [_part(meter, profile, key.said(meter, profile, start, end)) for meter in meters]
                yield _file(profile), _joined(parts, schemas[_file(profile)].names)


def _joined(parts: Sequence[tuple[dict[str, list[Any]], int]], names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of several meters under each other; nulls for those that a meter does not have."""
    return {name: [value for part, count in parts for value in part.get(name) or [None] * count] for name in names}


def _part(meter: Identity, profile: Profile, said: Said) -> tuple[dict[str, list[Any]], int]:
    count = len(said.at)
    part: dict[str, list[Any]] = {"serial": [meter.serial] * count, "profile": [profile.name] * count}
    part["at"] = said.at.tolist()
    return part | {str(register.captured): column.tolist() for register, column in said.columns}, count


def _profiles(key: AnswerKey) -> list[Profile]:
    return [profile for profile in key.meter_type.profiles.values() if profile.kind in _KINDS]


def _file(profile: Profile) -> str:
    return EVENTS if profile.event_log is not None else profile.name
