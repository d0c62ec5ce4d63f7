"""Reading one meter without a database: what `headend read` does.

The one rule: nothing half is written; that the meter is released is the business of `headend.one_meter`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from headend.cli.meter_options import MeterOptions
from headend.one_meter import one_meter
from headend.reading.line import told_of_line
from headend.reading.pieces import EVERYTHING, Asked, read_pieces
from headend.reading.span import Span
from headend.reading.tables import Readout
from headend.reading.telling import Telling


@dataclass(frozen=True, slots=True)
class SingleRead:
    """One reading as the command line asked for it."""

    options: MeterOptions
    what: str
    span: Span
    log: str | None = None


def read_meter(wanted: SingleRead, telling: Telling) -> Readout:
    """Read the meter. Raises HeadEndError, which names it."""
    wanted.span.check(datetime.now(UTC))
    return asyncio.run(_read(wanted, telling))


async def _read(wanted: SingleRead, telling: Telling) -> Readout:
    async with one_meter(wanted.options, telling, who=wanted.what == EVERYTHING) as meter:
        now = datetime.now(UTC)
        asked = Asked(meter.session, meter.reader, wanted.span, now, telling, wanted.options.language, wanted.log)
        tables, missing = await read_pieces(asked, wanted.what)
        readout = Readout(
            str(meter.target.address),
            meter.session.association.server_title,
            "" if meter.identity is None else meter.identity.serial,
            meter.meter_type.name,
            meter.meter_type.zone,
            now,
            tuple(tables),
            tuple(missing),
        )
    telling.say("all is read; the meter is released")
    line = meter.line_time.use
    if line is not None:
        telling.say(told_of_line(line))
    return replace(readout, line=line)
