"""One meter, asked now without a database: what every command opens that asks a meter by its type.

The one rule: whatever happens on the way, the meter is released; and every error names it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from drivers.links.line_time import LineTime
from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import Identity, Reader, association_of, identify
from drivers.session import Session
from headend.cli.meter_options import MeterOptions
from headend.keys import FILE_REMEDIES, KeySources, key_texts
from headend.reading.lasting import Heard, LastingSession, lasting_session
from headend.reading.target import Target, target_of
from headend.reading.telling import Telling
from headend.single_session import Counting, open_single_session
from headend.words import words
from profiles.errors import AccessDenied, HeadEndError, ProtocolError, SecurityError, SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import Association, MeterType

PRESUMED_TYPE: Final = "is15959-1ph"
"""Whose association is opened to ask an unknown meter who it is: all meters of IS 15959 have the same ones."""
GUESSED: Final = "its type was guessed: --type names another, `headend types` lists them"


@dataclass(frozen=True, slots=True)
class OneMeter:
    """A meter that is being asked. `identity`: None where it was not asked who it is."""

    target: Target
    session: LastingSession
    reader: Reader
    meter_type: MeterType
    identity: Identity | None
    line_time: LineTime
    """Of a serial line, how long it takes; whole once the meter is released."""


def key_sources(options: MeterOptions, target: Target) -> KeySources:
    """Where the keys of this meter are."""
    return KeySources(options.keys, options.given_keys, options.ask, target.saved)


@contextlib.asynccontextmanager
async def one_meter(
    options: MeterOptions, telling: Telling, *, who: bool = True, heard: Heard | None = None
) -> AsyncIterator[OneMeter]:
    """Open a session with the meter, find its type, and release it on the way out.

    `who`: ask who it is even where its type is known. `heard` is told every answer to a GET. Raises HeadEndError,
    also of what is done in the session, with the meter named.
    """
    target = target_of(options.address)
    try:
        with write_transcript(options.trace) as transcript:
            sources = key_sources(options, target)
            type_name = options.meter_type or target.meter_type or sources.meter_type(target.address)
            with _guessing(guessed=type_name is None):
                opened = _opened(options, target, sources, type_name, telling, transcript, who=who, heard=heard)
                async with opened as meter:
                    yield meter
    except HeadEndError as error:
        raise error.at(meter=str(target.address)) from None


@contextlib.contextmanager
def _guessing(*, guessed: bool) -> Iterator[None]:
    """What may come of a wrong guess says so."""
    try:
        yield
    except (SettingsError, AccessDenied, ProtocolError, SecurityError) as error:
        if guessed and error.remedy not in FILE_REMEDIES.values():
            error.remedy = "; ".join(filter(None, (error.remedy, GUESSED)))
        raise


@contextlib.asynccontextmanager
async def _opened(
    options: MeterOptions,
    target: Target,
    sources: KeySources,
    type_name: str | None,
    telling: Telling,
    transcript: Transcript | None,
    *,
    who: bool,
    heard: Heard | None,
) -> AsyncIterator[OneMeter]:
    meter_type = load_meter_type(type_name or PRESUMED_TYPE)
    kind = association_of(meter_type, target.address)
    line_time = LineTime()
    keys = key_texts(sources, target.address, kind)
    opener = _Opener(options, target, meter_type, kind, keys, transcript, line_time)
    called = {"client": kind.client_sap, "association": kind.name.replace("_", " ")}
    telling.say(words("reading.calling", address=target.address, **called))
    async with lasting_session(opener, telling, heard) as session:
        identity = None
        if options.meter_type is None or who:
            identity = await _identify(session, type_name, telling)
            meter_type = identity.meter_type if type_name is not None or identity.guesses else meter_type
        yield OneMeter(target, session, Reader(session, meter_type), meter_type, identity, line_time)


async def _identify(session: LastingSession, type_name: str | None, telling: Telling) -> Identity:
    telling.say(words("reading.asking_who" if type_name else "reading.asking_type"))
    identity = await identify(session, type_name)
    named = " ".join(filter(None, (identity.maker, identity.model, identity.serial, identity.firmware)))
    telling.say(words("reading.it_is", name=named or words("reading.nameless")))
    if identity.guesses:
        best = identity.guesses[0]
        telling.say(words("reading.type_found", likeness=best.likeness, type=best.type_name))
    elif type_name is None:
        telling.say(words("reading.type_presumed", type=PRESUMED_TYPE))
    return identity


@dataclass(slots=True)
class _Opener:
    """Opens the one session, and again after each break; by then we know the counter, and need no hearsay of it."""

    options: MeterOptions
    target: Target
    meter_type: MeterType
    kind: Association
    keys: Mapping[str, str] = field(repr=False)
    transcript: Transcript | None
    line_time: LineTime
    again: bool = False

    def __call__(self, max_pdu: int | None) -> AbstractAsyncContextManager[Session]:
        kind = self.kind if max_pdu is None else replace(self.kind, max_pdu=min(max_pdu, self.kind.max_pdu))
        if self.again:
            kind = replace(kind, invocation_counter=None)
        self.again = True
        options = self.options
        return open_single_session(
            self.target.address,
            self.meter_type,
            kind,
            self.keys,
            Counting(options.counters, accept=options.accept_counter),
            server_title=options.system_title or self.target.system_title,
            transcript=self.transcript,
            line_time=self.line_time,
        )
