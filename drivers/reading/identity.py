"""Who a meter is: its nameplate, and which meter type it is most like.

The one rule: a type is guessed from what the meter captures, which it says itself, never from its maker's name; maker
and firmware only choose what is known to be otherwise on their meters (`profiles.quirks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.profile_buffer import decode_capture_objects, decode_profile
from drivers.reading.layout import BUFFER, CAPTURE_OBJECTS, PROFILE_GENERIC
from drivers.session import Session
from profiles.errors import AccessDenied
from profiles.loader import load_for_nameplate, load_meter_type, meter_types
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, CaptureObject, Obis

GENERIC: Final = "generic-dlms"
"""For a meter that is like no type."""

SERIAL: Final = Obis(0, 0, 96, 1, 0)
MAKER: Final = Obis(0, 0, 96, 1, 1)
DEVICE_ID: Final = Obis(0, 0, 96, 1, 2)
YEAR: Final = Obis(0, 0, 96, 1, 4)
FIRMWARE: Final = Obis(1, 0, 0, 2, 0)
CATEGORY: Final = Obis(0, 0, 94, 91, 11)
RATING: Final = Obis(0, 0, 94, 91, 12)
LOGICAL_DEVICE_NAME: Final = Obis(0, 0, 42, 0, 0)

_ALONE: Final = (SERIAL, DEVICE_ID, MAKER, FIRMWARE, LOGICAL_DEVICE_NAME)
"""What is asked for by itself where no nameplate has it."""
_NAMEPLATES: Final = (Obis(0, 0, 94, 91, 10), Obis(1, 0, 94, 91, 10))
_TELLING: Final = ("nameplate", "block_load", "daily_load")
"""The profiles by which types differ most; small ones."""
_DATA: Final = 1
_VALUE: Final = 2


@dataclass(frozen=True, slots=True)
class Guess:
    """How much of what a meter and a type capture they have in common, from 0 to 1."""

    type_name: str
    likeness: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers. Texts are empty where the meter does not say.

    `nameplate`: all of it, by OBIS code, as A-XDR has it. `guesses`: the types that it is like, the most alike first;
    several may be alike; none where the type was given. `meter_type`: the given or the most alike type, with all quirks
    that are known of this maker and firmware.
    """

    system_title: bytes
    serial: str
    device_id: str
    maker: str
    model: str
    firmware: str
    year: int | None
    logical_device_name: str
    nameplate: dict[Obis, axdr.Value]
    guesses: tuple[Guess, ...]
    meter_type: MeterType


async def identify(session: Session, type_name: str | None = None) -> Identity:
    """Read who the meter is; `type_name`, as `load_meter_type` takes it, if its type is known already.

    Any association will do, the more it sees the better the guess. Raises SettingsError for a type that is none, and
    what GET does but for AccessDenied: what may not be read is not known.
    """
    captured: dict[str, tuple[CaptureObject, ...]] = {}
    nameplate: dict[Obis, axdr.Value] = {}
    for obis in _NAMEPLATES:
        if not nameplate and (columns := await _captured(session, obis)):
            captured["nameplate"], nameplate = columns, await _row(session, obis, columns)
    for obis in _ALONE:
        if obis not in nameplate and (octets := await _get(session, AttributeRef(_DATA, obis, _VALUE))) is not None:
            nameplate[obis] = axdr.decode(octets)
    maker, firmware = _text(nameplate.get(MAKER)), _text(nameplate.get(FIRMWARE))
    guesses: tuple[Guess, ...] = ()
    if type_name is None:
        for name, obis in (("block_load", Obis(1, 0, 99, 1, 0)), ("daily_load", Obis(1, 0, 99, 2, 0))):
            captured[name] = await _captured(session, obis)
        guesses = guess_type(captured)
        type_name = guesses[0].type_name if guesses else GENERIC
    year = nameplate.get(YEAR)
    return Identity(
        system_title=session.association.server_title,
        serial=_text(nameplate.get(SERIAL)),
        device_id=_text(nameplate.get(DEVICE_ID)),
        maker=maker,
        model=" ".join(filter(None, (_text(nameplate.get(CATEGORY)), _text(nameplate.get(RATING))))),
        firmware=firmware,
        year=year if isinstance(year, int) else None,
        logical_device_name=_text(nameplate.get(LOGICAL_DEVICE_NAME)),
        nameplate=nameplate,
        guesses=guesses,
        meter_type=load_for_nameplate(type_name, maker, firmware),
    )


def guess_type(captured: dict[str, tuple[CaptureObject, ...]]) -> tuple[Guess, ...]:
    """The types that are like a meter, the most alike first; `captured`: attribute 3 of its nameplate, block load and
    daily load, as far as it may be read. The order of columns differs between makers and tells nothing."""
    found = []
    for name in meter_types():
        profiles = load_meter_type(name).profiles
        alike = [
            _likeness(captured[profile], profiles[profile].capture_objects)
            for profile in _TELLING
            if captured.get(profile) and profile in profiles
        ]
        if alike and any(alike):
            found.append(Guess(name, round(sum(alike) / len(alike), 3)))
    return tuple(sorted(found, key=lambda one: -one.likeness))


def _likeness(one: tuple[CaptureObject, ...], other: tuple[CaptureObject, ...]) -> float:
    """The share of what either captures that both do; the class of a code is a maker's choice."""
    ours, theirs = ({captured[1:3] for captured in columns} for columns in (one, other))
    return len(ours & theirs) / len(ours | theirs)


async def _captured(session: Session, obis: Obis) -> tuple[CaptureObject, ...]:
    octets = await _get(session, AttributeRef(PROFILE_GENERIC, obis, CAPTURE_OBJECTS))
    return () if octets is None else decode_capture_objects(octets)


async def _row(session: Session, obis: Obis, columns: tuple[CaptureObject, ...]) -> dict[Obis, axdr.Value]:
    """The first row of a nameplate, by OBIS code; none where it may not be read, or is empty."""
    octets = await _get(session, AttributeRef(PROFILE_GENERIC, obis, BUFFER))
    table = None if octets is None else decode_profile(octets, columns)
    if table is None or not table.rows:
        return {}
    return {one.obis: axdr.decode(table.cell_octets(0, place)) for place, one in enumerate(columns)}


async def _get(session: Session, attribute: AttributeRef) -> bytes | None:
    """None where the meter has no such attribute, or not for this association."""
    try:
        return await session.get(attribute)
    except AccessDenied as denied:
        if denied.retry:
            raise
        return None


def _text(value: axdr.Value) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return "" if value is None else str(value).strip("\0 ")
