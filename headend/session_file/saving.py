"""What a reading leaves for its session file while it goes on.

The one rule: what was read is kept: a reading that breaks off, or is stopped, leaves a file that says so. A meter that
let nobody in leaves none. What is there already is never overwritten.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from drivers.dlms.security.suites import AUTHENTICATION
from drivers.reading import Identity
from headend.reading.tables import Readout, visible
from headend.session_file.contents import FORMAT, NOTE, Answer, Manifest, SaidIdentity, SessionFile
from headend.session_file.texts import fit_to_keep
from headend.times import utc_now
from headend.words import words
from profiles.errors import HeadEndError, SettingsError
from profiles.meter_type import Association
from profiles.objects import AttributeRef
from profiles.whole_file import written_whole


@dataclass(slots=True)
class Saving:
    """A reading that goes on. `manifest` is None until the meter has let us in."""

    clock: Callable[[], datetime] = utc_now
    manifest: Manifest | None = None
    answers: list[Answer] = field(default_factory=list)

    def heard(self, attribute: AttributeRef, selection: bytes | None, octets: bytes) -> None:
        """An answer came."""
        obis = str(attribute.obis)
        self.answers.append(Answer(self.clock(), attribute.class_id, obis, attribute.attribute, selection, octets))

    def let_in(self, readout: Readout, identity: Identity | None, kind: Association, wanted: str) -> None:
        """The meter has let us in by this association, and has said who it is; nothing else is read yet."""
        self.manifest = Manifest(
            FORMAT,
            NOTE,
            f"headend {version('headend')}",
            _said(readout, identity),
            readout.meter_type,
            readout.address,
            kind.name,
            kind.signed or bool(kind.security_control & AUTHENTICATION),
            wanted,
            readout.read_at,
            None,
            (),
        )

    def file(self, readout: Readout, transcript: bytes, ended: BaseException | None) -> SessionFile:
        """All that is kept; `ended`: what ended the reading before its end."""
        assert self.manifest is not None, "the meter has let us in"
        by_hand = words("session_file.by_hand")
        why = None if ended is None else str(ended) if isinstance(ended, HeadEndError) else by_hand
        manifest = replace(self.manifest, broken=None if why is None else visible(why))
        return SessionFile(manifest, fit_to_keep(readout), tuple(self.answers), transcript)


def _said(readout: Readout, identity: Identity | None) -> SaidIdentity:
    title = readout.system_title.hex().upper()
    if identity is None:
        return SaidIdentity("", "", "", title, "", "")
    return SaidIdentity(
        visible(identity.serial),
        visible(identity.device_id),
        visible(identity.logical_device_name),
        title,
        visible(identity.maker),
        visible(identity.firmware),
    )


@contextlib.contextmanager
def kept_transcript(trace: Path | None) -> Iterator[Path]:
    """Where the transcript is written: as asked for, else where it stays for as long as this lasts.

    SettingsError where the place asked for can't be read again.
    """
    if trace is not None:
        if trace.exists() and not trace.is_file():
            raise SettingsError(f"{trace} is not a file", remedy="with --save, --trace writes to a file")
        yield trace
        return
    with tempfile.TemporaryDirectory(prefix="headend-") as folder:
        yield Path(folder) / "transcript.txt"


@contextlib.contextmanager
def new_file(place: Path) -> Iterator[IO[bytes]]:
    """A file that its owner alone may read, in its place once the block has ended without an error.

    SettingsError where it can't be written, before the block begins, or something is there.
    """
    if os.path.lexists(place):
        raise SettingsError(f"{place} is there already", remedy="give --save another name, or move that file away")
    try:
        with written_whole(place, 0o600) as file:
            yield file
    except OSError as error:
        raise SettingsError(f"{place} can't be written: {error.strerror}") from None
