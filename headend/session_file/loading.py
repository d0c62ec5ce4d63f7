"""A session file into the store: what `headend import` does.

The one rule: what a file brings is stored as what a file brings (source 5): it proves nothing absent, moves no mark of
an event log, sets no keys, layouts or clock, and says nothing of the way to the meter. Twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headend.meter_types import with_quirks
from headend.session_file.contents import SessionFile
from headend.session_file.rows import Whose, finished_of
from headend.session_file.whose import RegisteredMeter, registered_meter
from headend.store.batch import Store
from headend.store.database import borrow, edition, open_pool
from headend.store.writer import Written
from profiles.errors import SettingsError
from profiles.meter_type import MeterType


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an import changed, or would. `problems`: what of the file can't be read, a sentence each."""

    meter: str
    meter_type: str
    written: Written
    problems: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        written = self.written
        return {
            "meter": self.meter,
            "meter_type": self.meter_type,
            "intervals": {
                "inserted": written.inserted,
                "updated": written.updated,
                "unchanged": written.unchanged,
            },
            "profile_rows": written.profiles,
            "events": written.events,
            "revisions": written.revisions,
            "suspects": written.suspects,
            "problems": list(self.problems),
        }


async def load(
    dsn: str, kept: SessionFile, types: Mapping[str, MeterType], *, now: datetime, dry_run: bool = False
) -> Loaded:
    """Find the meter and store what the file brings of it. SettingsError, IdentityMismatch, StoreError."""
    pool = await open_pool(dsn, connections=1)
    try:
        async with borrow(pool) as connection:
            store = Store(pool, await edition(connection))
            meter = await registered_meter(connection, kept.manifest.meter)
        meter_type = _type_of(meter, kept, types)
        whose = Whose(
            meter.id, meter_type, meter.commissioned_at, kept.manifest.authenticated, _is_off(kept, meter_type), now
        )
        finished, problems = await finished_of(kept.answers, whose)
        written = await store.write([finished], now, dry_run=dry_run)
    finally:
        await pool.close()
    return Loaded(meter.name, meter_type.name, written, tuple(problems))


def _type_of(meter: RegisteredMeter, kept: SessionFile, types: Mapping[str, MeterType]) -> MeterType:
    """As it is registered, with the quirks of the maker and the firmware that answered."""
    said = kept.manifest.meter
    name = with_quirks(meter.meter_type, said.maker or meter.maker, said.firmware or meter.firmware)
    try:
        return types[name]
    except KeyError:
        raise SettingsError(
            f"its meter type {meter.meter_type} is not known", meter=meter.name, remedy="see `headend types`"
        ) from None


def _is_off(kept: SessionFile, meter_type: MeterType) -> bool:
    """Whether the meter's clock was further off than its type allows, as far as the file tells."""
    clock = kept.readout.table("clock")
    drifts = clock.values("drift") if clock is not None else []
    return any(isinstance(one, int | float) and abs(one) > meter_type.drift_allowed_s > 0 for one in drifts)
