"""The meter that is examined: how it is asked, and what was found of it so far.

The one rule: everything that one check learns and another needs stands here, None where it was not learnt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from drivers.address import HDLC, Address
from drivers.links.transcript import Transcript
from drivers.reading import ClockReading, Guess, Identity, Layout, Reader
from drivers.session import Session
from headend.check.finding import Finding, finding
from headend.cli.meter_options import MeterOptions
from headend.reading.lasting import LastingSession, lasting_session
from headend.reading.target import Target
from headend.reading.telling import Telling
from headend.single_session import Counting, open_single_session
from headend.words import Words, words
from profiles.meter_type import Association, MeterType, Profile
from profiles.objects import Obis

PUBLIC: Final = Association(
    name="public",
    client_sap=16,
    mechanism=0,
    security_control=0,
    logical_name=Obis(0, 0, 40, 0, 0),
    invocation_counter=None,
    max_pdu=0xFFFF,
)
"""For types that name none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be checked beside all that the meter itself tells. `push_to`: HOST:PORT."""

    days: int = 3
    push_to: str | None = None
    save_type: Path | None = None


@dataclass(slots=True)
class Patient:
    """One meter. `meter_type`: as given, until the meter's own columns tell another."""

    target: Target
    options: MeterOptions
    wanted: Wanted
    meter_type: MeterType
    type_given: bool
    telling: Telling
    transcript: Transcript | None = None
    findings: list[Finding] = field(default_factory=list)
    told_counters: dict[str, int] = field(default_factory=dict)
    """By association: the highest counter that the meter says it has seen."""
    opened: list[Association] = field(default_factory=list)
    keys_proven: list[Words] = field(default_factory=list)
    """Names of keys that let us in, in words."""
    clock: ClockReading | None = None
    identity: Identity | None = None
    likeness: tuple[Guess, ...] = ()
    layouts: dict[str, Layout] = field(default_factory=dict)
    """By the profile's name."""
    more_profiles: dict[str, Profile] = field(default_factory=dict)
    """Those that the association lists and the type does not know, by the name that they get."""
    depths: dict[str, int] = field(default_factory=dict)
    """Rows that a profile holds at most, by its name."""
    examined: Association | None = None
    """The association in which the meter was examined."""

    @property
    def address(self) -> Address:
        return self.target.address

    @property
    def framing(self) -> Words:
        """What the address has the meter asked by."""
        return words("check.hdlc" if self.address.scheme in HDLC else "check.wrapper")

    @property
    def public(self) -> Association:
        """The association that every meter has."""
        return self.meter_type.associations.get("public", PUBLIC)

    def add(self, code: str, **values: object) -> None:
        """One more finding."""
        self.findings.append(finding(code, **values))

    @asynccontextmanager
    async def session(
        self, kind: Association, keys: Mapping[str, str], *, first_counter: int = 0, address: Address | None = None
    ) -> AsyncIterator[LastingSession]:
        """Open an association; it is released on the way out. A link that breaks later is opened again, and a refusal
        is not repeated. `first_counter`: the lowest of ours that the meter takes, as it said."""
        plain = replace(kind, invocation_counter=None)
        counting = Counting(self.options.counters, first_counter, self.options.accept_counter)

        def opener(max_pdu: int | None) -> AbstractAsyncContextManager[Session]:
            asked = plain if max_pdu is None else replace(plain, max_pdu=min(max_pdu, plain.max_pdu))
            return open_single_session(
                address or self.address,
                self.meter_type,
                asked,
                keys,
                counting,
                server_title=self.options.system_title,
                transcript=self.transcript,
            )

        async with lasting_session(opener, self.telling) as session:
            yield session


@dataclass(frozen=True, slots=True)
class Bedside:
    """A patient that answers, in the association `kind`."""

    patient: Patient
    kind: Association
    session: LastingSession
    reader: Reader


def called(kind: Association) -> str:
    """An association for people: `meter reader (32)`."""
    return f"{kind.name.replace('_', ' ')} ({kind.client_sap})"
