"""What a meter that let us in is asked: who it is, what time it has, what it keeps and how, whether its supply is on.

The one rule: a question is a function of the bedside in `QUESTIONS`, in the order in which one needs another, with a
name in `messages.toml`; it adds findings, and whatever it raises becomes one: the next question is asked all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from drivers.cosem.objects import DisconnectControl, read_object, read_object_list
from drivers.dlms import axdr
from drivers.reading import ClockReading, identify, read_layout
from drivers.reading.layout import PROFILE_GENERIC
from headend.check.block_load import depth, gaps
from headend.check.patient import Bedside, Patient, called
from headend.check.pushes import pushes
from headend.reading.from_meter import relay_state
from headend.words import Words, joined, words
from profiles.errors import AccessDenied, HeadEndError, LinkError, MeterBusy, ProtocolError
from profiles.loader import load_for_nameplate
from profiles.meter_type import REGISTER_CLASSES, VALUE, MeterType, Profile
from profiles.objects import AttributeRef, CaptureObject, Obis
from profiles.units import unit_symbol

Question = Callable[[Bedside], Awaitable[None]]

_LIKE: Final = 0.6
"""Less likeness is none."""
_NEARER: Final = 0.15
"""By so much another type has to be more alike than the given one to be called the right one."""
_SHOWN: Final = 4
"""Names in one finding; of more, their number."""
_PUBLIC_QUESTIONS: Final = 2
"""The first so many questions are for the public client too."""
_MOST_MORE: Final = 30
"""Profiles that a type does not know."""
_NO_UNIT: Final = 255
_TELLING: Final = ("nameplate", "block_load", "daily_load")


async def examine(bedside: Bedside) -> None:
    """Ask everything, one after the other; of the public client, which sees little, what it sees."""
    patient = bedside.patient
    sees_all = bedside.kind != patient.public or patient.meter_type.reading_association == bedside.kind.name
    if not sees_all:
        patient.add("not_asked", what=joined(map(_about, QUESTIONS[_PUBLIC_QUESTIONS:])))
    for question in QUESTIONS[: None if sees_all else _PUBLIC_QUESTIONS]:
        name = _about(question)
        if bedside.session.given_up:
            patient.add("unread", what=name, why=words("check.link_given_up"))
            continue
        patient.telling.say(words("check.checking", what=name))
        try:
            await question(bedside)
        except (LinkError, MeterBusy) as error:
            patient.add("link_broke", step=words("check.checking_step", what=name), why=error.message)
        except HeadEndError as error:
            patient.add("unread", what=name, why=error.message)


def _about(question: Question) -> Words:
    return words(f"check.question_{question.__name__}")


# --- who it is ---------------------------------------------------------------------------------------------------


async def who(bedside: Bedside) -> None:
    """Nameplate and type. From here on the meter is judged by the type that it is like, if the given one is wrong."""
    patient = bedside.patient
    identity = patient.identity = await identify(bedside.session)
    names = (identity.maker, identity.model, identity.serial, identity.device_id, identity.year)
    said = " · ".join(str(name) for name in names if name)
    patient.add("identity", names=said or identity.system_title.hex().upper())
    if patient.type_given:
        patient.meter_type = load_for_nameplate(patient.meter_type.name, identity.maker, identity.firmware)
    patient.likeness = identity.guesses
    if identity.guesses:
        await _judge_type(bedside, identity.meter_type)
    bedside.reader.meter_type = patient.meter_type
    _firmware(patient)


async def _judge_type(bedside: Bedside, nearest: MeterType) -> None:
    patient = bedside.patient
    best = patient.likeness[0]
    telling = [one for one in patient.meter_type.profiles.values() if one.kind in _TELLING and one.capture_objects]
    if patient.type_given and not telling:
        patient.add("type_open", type=patient.meter_type.name)
        return
    base = patient.meter_type.name.partition("+")[0]
    own = next((one.likeness for one in patient.likeness if one.type_name == base), None)
    if patient.type_given and own is None:
        own = await _likeness_to(bedside, patient.meter_type)
    if patient.type_given and own is not None and own >= max(best.likeness - _NEARER, _LIKE):
        patient.add("type_right", found=own, best=patient.meter_type.name)
        return
    if best.likeness < _LIKE:
        patient.add("type_unlike", best=best.type_name, found=best.likeness)
        return
    if patient.type_given:
        patient.add(
            "type_wrong", type=patient.meter_type.name, likeness=own or 0, best=best.type_name, found=best.likeness
        )
    else:
        patient.add("type_right", found=best.likeness, best=nearest.name)
    patient.meter_type = nearest


async def _likeness_to(bedside: Bedside, meter_type: MeterType) -> float:
    """Of a type from a file: the share of columns that meter and type have in common."""
    shares = []
    for profile in meter_type.profiles.values():
        if profile.kind in _TELLING and profile.capture_objects:
            layout = await read_layout(bedside.session, profile)
            ours, theirs = ({one[1:3] for one in of} for of in (profile.capture_objects, layout.capture_objects))
            shares.append(len(ours & theirs) / len(ours | theirs))
    return sum(shares) / len(shares) if shares else 0.0


def _firmware(patient: Patient) -> None:
    assert patient.identity is not None
    firmware = patient.identity.firmware or "?"
    if patient.meter_type.quirks:
        patient.add("firmware_quirks", firmware=firmware, quirks=", ".join(patient.meter_type.quirks))
    else:
        patient.add("firmware_plain", firmware=firmware, type=patient.meter_type.name)


# --- its clock ---------------------------------------------------------------------------------------------------


async def clock(bedside: Bedside) -> None:
    """How far it is off, and whether it says so itself."""
    bedside.patient.clock = await bedside.reader.clock()
    _judge_clock(bedside.patient, bedside.patient.clock)


def _judge_clock(patient: Patient, read: ClockReading) -> None:
    """By the limit of the meter's type."""
    limit = patient.meter_type.drift_allowed_s
    presumed = not patient.type_given and max((one.likeness for one in patient.likeness), default=0) < _LIKE
    off = read.drift_s is not None and abs(read.drift_s) - read.uncertainty_s > limit
    if presumed and off and not read.lost:
        patient.add("clock_unclear", time=read.stated)
    elif read.time is None or read.drift_s is None:
        patient.add("clock_doubtful", status=words("check.no_time"))
    elif read.lost:
        patient.add("clock_lost", time=f"{read.time.astimezone(ZoneInfo(patient.meter_type.zone)):%Y-%m-%d %H:%M}")
    elif off:
        patient.add("clock_off", seconds=abs(read.drift_s), side=_side(read.drift_s), limit=limit)
    elif read.suspect:
        patient.add("clock_doubtful", status=", ".join(read.stated.clock_status))
    else:
        patient.add("clock_right", seconds=abs(read.drift_s), side=_side(read.drift_s), limit=limit)


def _side(drift_s: float) -> Words:
    return words("check.ahead" if drift_s >= 0 else "check.behind")


# --- what it keeps -----------------------------------------------------------------------------------------------


async def objects(bedside: Bedside) -> None:
    """What the type names, and the association does not list."""
    patient, meter_type = bedside.patient, bedside.patient.meter_type
    listed = {(one.class_id, one.obis) for one in await read_object_list(bedside.session)}
    expected = _expected(meter_type)
    missing = [name for key, name in expected.items() if key not in listed]
    association = called(bedside.kind)
    if missing:
        patient.add(
            "objects_missing",
            expected=len(expected),
            type=meter_type.name,
            missing=len(missing),
            association=association,
            names=some(missing),
        )
    else:
        patient.add(
            "objects_right", association=association, listed=len(listed), expected=len(expected), type=meter_type.name
        )


def _expected(meter_type: MeterType) -> Mapping[tuple[int, Obis], str]:
    """What every association that reads should list: class and code, with a name."""
    expected: dict[tuple[int, Obis], str] = {}
    for named, attribute in (("clock", meter_type.clock), ("serial", meter_type.serial)):
        expected[attribute.class_id, attribute.obis] = words(f"check.object_{named}")
    for profile in meter_type.profiles.values():
        expected[PROFILE_GENERIC, profile.obis] = f"{_named(profile)} {profile.obis}"
        if profile.scaler_obis is not None:
            scalers = words("check.scalers_of", obis=profile.scaler_obis)
            expected.setdefault((PROFILE_GENERIC, profile.scaler_obis), scalers)
    return expected


async def layouts(bedside: Bedside) -> None:
    """Columns and scalers of every profile of the type, against it. A profile that is not there is the objects' case,
    one that has no layout is told alone."""
    patient = bedside.patient
    columns, varied, scalers = [], [], []
    for profile in patient.meter_type.profiles.values():
        try:
            layout = await read_layout(bedside.session, profile)
        except (AccessDenied, ProtocolError) as error:
            if not isinstance(error, AccessDenied):
                patient.add("unread", what=_named(profile), why=error.message)
            continue
        patient.layouts[profile.name] = bedside.reader.layouts[profile.obis] = layout
        lacking, varying = _columns(profile, layout.capture_objects)
        columns += lacking
        varied += varying
        for column in profile.columns:
            given = layout.scaler_of(column.captured)
            if not column.scaled or column.captured not in layout.capture_objects:
                continue
            where = f"{_named(profile)} {column.captured.obis}"
            if given is None:
                scalers.append(words("check.no_scaler", column=where))
            elif column.scaler is not None and given.scaler != column.scaler:
                scalers.append(words("check.scaler", column=where, scaler=given.scaler))
            elif column.unit not in (None, given.unit, _NO_UNIT):
                unit = unit_symbol(given.unit)
                scalers.append(words("check.unit" if unit else "check.no_unit", column=where, unit=unit))
    name = patient.meter_type.name
    if columns:
        patient.add("columns_differ", type=name, where=some(columns))
    elif varied:
        patient.add("columns_vary", type=name, where=some(varied))
    elif patient.layouts:
        patient.add("columns_right", type=name, profiles=len(patient.layouts))
    if scalers:
        patient.add("scalers_differ", type=name, where=some(scalers))
    elif patient.layouts:
        patient.add("scalers_right", type=name)


async def more_profiles(bedside: Bedside) -> None:
    """Profiles that the type does not know, for a type file that is to know them. Profiles of scalers are none."""
    patient = bedside.patient
    if patient.wanted.save_type is None:
        return
    known = {code for one in patient.meter_type.profiles.values() for code in (one.obis, one.scaler_obis)}
    for profile in await bedside.reader.listed():
        if profile.obis in known or len(patient.more_profiles) >= _MOST_MORE:
            continue
        try:
            layout = await read_layout(bedside.session, profile)
        except (AccessDenied, ProtocolError):
            continue
        if any(one.attribute == VALUE for one in layout.capture_objects):
            name = f"profile_{'_'.join(map(str, profile.obis[:5]))}"
            patient.more_profiles[name], patient.layouts[name] = replace(profile, name=name), layout
    if patient.more_profiles:
        names = [str(one.obis) for one in patient.more_profiles.values()]
        patient.add("profiles_more", type=patient.meter_type.name, names=some(names))


def _columns(profile: Profile, found: tuple[CaptureObject, ...]) -> tuple[list[str], list[str]]:
    """Values of registers that the meter does not capture, and what else either captures alone. The order, and the
    class of a code, are a maker's choice, and so is much that is no register: health, signal, counts."""
    if not profile.capture_objects:
        return [], []
    ours, theirs = ({one[1:3]: one for one in of} for of in (profile.capture_objects, found))
    lacks = [one for key, one in ours.items() if key not in theirs]
    values = [f"{_named(profile)} -{one.obis}" for one in lacks if one.class_id in REGISTER_CLASSES]
    others = [f"{_named(profile)} -{one.obis}" for one in lacks if one.class_id not in REGISTER_CLASSES]
    more = [f"{_named(profile)} +{one.obis}" for key, one in theirs.items() if key not in ours]
    return values, others + more


def _named(profile: Profile) -> str:
    return profile.name.replace("_", " ")


def some(names: Sequence[str]) -> Words:
    """The first few of them."""
    more = len(names) - _SHOWN
    return joined((joined(names[:_SHOWN]), *([f"(+{more})"] if more > 0 else [])), " ")


# --- its supply --------------------------------------------------------------------------------------------------


async def relay(bedside: Bedside) -> None:
    """Whether the consumer has supply, where the meter has a relay."""
    patient = bedside.patient
    control = next((one for one in patient.meter_type.controls.values() if one.class_id == 70), None)
    if control is None:
        return
    octets = await bedside.session.get(AttributeRef(control.class_id, control.obis, 2))
    if axdr.decode(octets):
        patient.add("relay_on")
        return
    state = await read_object(bedside.session, DisconnectControl, control.obis, 0)
    control_state = state.control_state
    patient.add("relay_off", state=(control_state and relay_state(control_state.number)) or control_state)


QUESTIONS: Final[tuple[Question, ...]] = (who, clock, objects, layouts, more_profiles, depth, gaps, pushes, relay)
