"""Reading one meter without a database: what `headend read` does.

The one rule: nothing half is written, and what is to be kept is kept even where the reading ends early; that the meter
is released is the business of `headend.one_meter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headend.cli.meter_options import MeterOptions
from headend.interrupting import run_with_meter
from headend.one_meter import OneMeter, one_meter
from headend.reading.line import told_of_line
from headend.reading.pieces import EVERYTHING, Asked, Found, read_pieces
from headend.reading.span import Span
from headend.reading.tables import Readout
from headend.reading.telling import Telling
from headend.words import words
from profiles.errors import HeadEndError

if TYPE_CHECKING:
    from headend.session_file.saving import Saving


@dataclass(frozen=True, slots=True)
class SingleRead:
    """One reading as the command line asked for it. `save`: where its session file goes."""

    options: MeterOptions
    what: str
    span: Span
    log: str | None = None
    save: Path | None = None


def read_meter(wanted: SingleRead, telling: Telling) -> Readout:
    """Read the meter. Raises HeadEndError, which names it."""
    wanted.span.check(datetime.now(UTC))
    if wanted.save is None:
        reading = Reading(wanted, telling)
        run_with_meter(reading.read())
        return reading.readout
    return _read_and_save(wanted, wanted.save, telling)


def _read_and_save(wanted: SingleRead, place: Path, telling: Telling) -> Readout:
    # Most readings save nothing, and start sooner without these.
    from headend.session_file.saving import Saving, kept_transcript, new_file
    from headend.session_file.zipped import write_session_file

    ended: HeadEndError | KeyboardInterrupt | None = None
    with new_file(place) as file, kept_transcript(wanted.options.trace) as transcript:
        saving = Saving()
        reading = Reading(replace(wanted, options=replace(wanted.options, trace=transcript)), telling, saving)
        try:
            run_with_meter(reading.read())
        except (HeadEndError, KeyboardInterrupt) as error:
            if saving.manifest is None:
                raise
            ended = error
        write_session_file(file, saving.file(reading.readout, transcript.read_bytes(), ended))
    telling.warn(words("session_file.kept" if ended is None else "session_file.kept_so_far", file=place))
    if ended is not None:
        raise ended
    return reading.readout


class Reading:
    """One reading; `readout` is what there is so far, once the meter has let us in."""

    def __init__(self, wanted: SingleRead, telling: Telling, saving: Saving | None = None) -> None:
        self._wanted = wanted
        self._telling = telling
        self._saving = saving
        self._found = Found()
        self._who: Readout | None = None

    @property
    def readout(self) -> Readout:
        assert self._who is not None, "the meter has let us in"
        return replace(self._who, tables=tuple(self._found.tables), missing=tuple(self._found.missing))

    async def read(self) -> None:
        wanted, telling, saving = self._wanted, self._telling, self._saving
        who = wanted.what == EVERYTHING or saving is not None
        heard = None if saving is None else saving.heard
        async with one_meter(wanted.options, telling, who=who, heard=heard) as meter:
            now = datetime.now(UTC)
            self._who = _who(meter, now)
            if saving is not None:
                saving.let_in(self._who, meter.identity, meter.session.association.kind, wanted.what)
            asked = Asked(meter.session, meter.reader, wanted.span, now, telling, wanted.log)
            await read_pieces(asked, wanted.what, self._found)
        telling.say(words("reading.all_read"))
        line = meter.line_time.use
        if line is not None:
            telling.say(told_of_line(line))
        self._who = replace(self._who, line=line)


def _who(meter: OneMeter, now: datetime) -> Readout:
    return Readout(
        str(meter.target.address),
        meter.session.association.server_title,
        "" if meter.identity is None else meter.identity.serial,
        meter.meter_type.name,
        meter.meter_type.zone,
        now,
        (),
    )
