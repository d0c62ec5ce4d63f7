"""A session file shown: what `headend open` does.

The one rule: it is shown by the way by which a reading is, and says first where the reading ended early.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from headend.reading.command import Outputs, check_outputs, give
from headend.reading.pieces import EVERYTHING
from headend.reading.telling import Telling
from headend.session_file.contents import SessionFile
from headend.words import words
from profiles.errors import SettingsError
from profiles.whole_file import written_whole


def show(kept: SessionFile, what: str, outputs: Outputs) -> None:
    """All of it or one table. SettingsError where there is no such table, or it can't be given so."""
    telling, readout, manifest = Telling(), kept.readout, kept.manifest
    check_outputs(what if len(readout.tables) > 1 else "", outputs)
    if manifest.broken is not None:
        by_hand = words("session_file.by_hand")
        telling.warn(words("session_file.ended_early", why=by_hand if manifest.broken == by_hand else manifest.broken))
    if what != EVERYTHING:
        table = readout.table(what)
        if table is None:
            has = ", ".join(one.what for one in readout.tables) or "none"
            raise SettingsError(f"there is no table {what} in it", remedy=f"it has {has}")
        readout = replace(readout, tables=(table,), missing=())
    give(readout, outputs, telling)


def write_trace(kept: SessionFile, place: Path) -> None:
    """Every frame, as `headend read --trace` writes it. SettingsError where it can't be written."""
    try:
        with written_whole(place, 0o600) as file:
            file.write(kept.transcript)
    except OSError as error:
        raise SettingsError(f"{place} can't be written: {error.strerror}") from None
    Telling().warn(words("reading.written", file=place))
