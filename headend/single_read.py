"""Reading one meter without a database: what `headend read` does.

The one rule: whatever happens on the way, the meter is released, and nothing half is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import Identity, Reader, association_of, identify
from drivers.session import Session
from headend.keys import KeySources, key_texts
from headend.reading.lasting import LastingSession, lasting_session
from headend.reading.pieces import EVERYTHING, Asked, read_pieces
from headend.reading.span import Span
from headend.reading.tables import Readout
from headend.reading.target import Target, target_of
from headend.reading.telling import Telling
from headend.single_session import Counting, open_single_session
from profiles.errors import AccessDenied, HeadEndError, ProtocolError, SecurityError, SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import Association, MeterType

PRESUMED_TYPE: Final = "is15959-1ph"
"""Whose association is opened to ask an unknown meter who it is: all meters of IS 15959 have the same ones."""
GUESSED: Final = "its type was guessed: --type names another, `headend types` lists them"


@dataclass(frozen=True, slots=True)
class SingleRead:
    """One reading as the command line asked for it."""

    address: str
    what: str
    span: Span
    log: str | None = None
    meter_type: str | None = None
    """None: as the meter list says, or else found from what the meter says of itself."""
    key_file: Path | None = None
    given_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    ask: bool = False
    system_title: str | None = None
    counter_file: Path | None = None
    accept_counter: bool = False
    trace: Path | None = None
    language: str = "en"


def read_meter(wanted: SingleRead, telling: Telling) -> Readout:
    """Read the meter. Raises HeadEndError, which names it."""
    target = target_of(wanted.address)
    try:
        wanted.span.check(datetime.now(UTC))
        with write_transcript(wanted.trace) as transcript:
            return asyncio.run(_read(wanted, target, telling, transcript))
    except HeadEndError as error:
        raise error.at(meter=str(target.address)) from None


async def _read(wanted: SingleRead, target: Target, telling: Telling, transcript: Transcript | None) -> Readout:
    sources = KeySources(wanted.key_file, {**target.keys, **wanted.given_keys}, wanted.ask)
    type_name = wanted.meter_type or target.meter_type or sources.meter_type(target.address)
    try:
        return await _read_as(wanted, target, sources, type_name, telling, transcript)
    except (SettingsError, AccessDenied, ProtocolError, SecurityError) as error:
        if type_name is None:
            error.remedy = "; ".join(filter(None, (error.remedy, GUESSED)))
        raise


async def _read_as(
    wanted: SingleRead,
    target: Target,
    sources: KeySources,
    type_name: str | None,
    telling: Telling,
    transcript: Transcript | None,
) -> Readout:
    meter_type = load_meter_type(type_name or PRESUMED_TYPE)
    kind = association_of(meter_type, target.address)
    opener = _Opener(wanted, target, meter_type, kind, key_texts(sources, target.address, kind), transcript)
    telling.say(f"calling {target.address} as client {kind.client_sap}, {kind.name.replace('_', ' ')}")
    async with lasting_session(opener, telling) as session:
        identity = None
        if wanted.meter_type is None or wanted.what == EVERYTHING:
            identity = await _identify(session, type_name, telling)
            meter_type = identity.meter_type if type_name is not None or identity.guesses else meter_type
        now = datetime.now(UTC)
        asked = Asked(session, Reader(session, meter_type), wanted.span, now, telling, wanted.language, wanted.log)
        tables, missing = await read_pieces(asked, wanted.what)
        title = session.association.server_title
        telling.say("all is read; the meter is released")
    serial = "" if identity is None else identity.serial
    return Readout(
        str(target.address), title, serial, meter_type.name, meter_type.zone, now, tuple(tables), tuple(missing)
    )


async def _identify(session: LastingSession, type_name: str | None, telling: Telling) -> Identity:
    telling.say("asking the meter who it is" + ("" if type_name else ", to find its type"))
    identity = await identify(session, type_name)
    who = " ".join(filter(None, (identity.maker, identity.model, identity.serial, identity.firmware)))
    telling.say(f"it is {who or 'a meter that says nothing of itself'}")
    if identity.guesses:
        best = identity.guesses[0]
        telling.say(f"its columns are {best.likeness:.0%} those of type {best.type_name}; --type would name another")
    elif type_name is None:
        telling.say(f"its columns are not for this association: it is read as {PRESUMED_TYPE}; --type names another")
    return identity


@dataclass(slots=True)
class _Opener:
    """Opens the one session, and again after each break; by then we know the counter, and need no hearsay of it."""

    wanted: SingleRead
    target: Target
    meter_type: MeterType
    kind: Association
    keys: Mapping[str, str] = field(repr=False)
    transcript: Transcript | None
    again: bool = False

    def __call__(self, max_pdu: int | None) -> AbstractAsyncContextManager[Session]:
        kind = self.kind if max_pdu is None else replace(self.kind, max_pdu=min(max_pdu, self.kind.max_pdu))
        if self.again:
            kind = replace(kind, invocation_counter=None)
        self.again = True
        wanted = self.wanted
        return open_single_session(
            self.target.address,
            self.meter_type,
            kind,
            self.keys,
            Counting(wanted.counter_file, accept=wanted.accept_counter),
            server_title=wanted.system_title,
            transcript=self.transcript,
        )
