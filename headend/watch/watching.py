"""Asks one meter for the values of this moment every so often, in one association, until it is enough.

The one rule: the association stays open from one asking to the next; where it breaks, or the meter has closed it
meanwhile, it is opened again by `lasting_session`, and what was on its way is asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from headend.cli.meter_options import MeterOptions
from headend.one_meter import one_meter
from headend.reading.from_meter import rows_table
from headend.reading.telling import Telling
from headend.watch.samples import Sample, sample_of
from headend.words import words


@dataclass(frozen=True, slots=True)
class Watching:
    """How often, and until when: after `count` samples, or `for_s` seconds; None: until somebody ends it."""

    every_s: float
    values: Sequence[str] = ()
    count: int | None = None
    for_s: float | None = None


async def watch(
    options: MeterOptions,
    wanted: Watching,
    telling: Telling,
    begun: Callable[[str], None],
    show: Callable[[Sample], None],
) -> None:
    """`begun` is told who is watched, `show` each sample. Raises HeadEndError once the link is given up."""
    async with one_meter(options, telling, who=False) as meter:
        title = meter.session.association.server_title
        serial = "" if meter.identity is None else meter.identity.serial
        begun(" ".join(filter(None, (str(meter.target.address), serial, title.hex().upper()))))
        zone = ZoneInfo(meter.meter_type.zone)
        began = time.monotonic()
        taken = 0
        while True:
            rows = await meter.reader.instantaneous()
            table = rows_table("now", words("reading.now"), [rows], zone, record=True)
            show(sample_of(table, datetime.now(UTC), wanted.values))
            taken += 1
            due = began + taken * wanted.every_s
            if taken == wanted.count or (wanted.for_s is not None and due > began + wanted.for_s):
                return
            late = time.monotonic() - due
            if late > 0:  # a slow meter: what was missed is not made up for
                began += late
            else:
                await asyncio.sleep(-late)
