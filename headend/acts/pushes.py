"""Push setups (class 40): where a meter pushes to, and what.

The one rule: of a destination only the place is changed; transport service and message type stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.acts.deed import Act, Deed, View
from headend.acts.field import Look, Prepare
from headend.collection.clock import setting_association
from headend.raw_names import parse_obis
from headend.words import words
from profiles.errors import ProtocolError, SettingsError
from profiles.meter_type import Association, MeterType, Push
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, Obis

PUSH_SETUP: Final = 40
_OBJECTS, _DESTINATION = 2, 3
_MAX_OBJECTS: Final = 200
_SERVICES: Final = {0: "TCP", 1: "UDP", 2: "FTP", 3: "SMTP", 4: "SMS", 5: "HDLC"}


def looking(name: str | None) -> Look:
    """Destination and object list of one push of the type, or of all."""

    async def look(session: Session, meter_type: MeterType) -> View:
        found = _pushes(meter_type) if name is None else [_named(meter_type, name)]
        seen = [await _seen(session, one) for one in found]
        return View(tuple(entry for entry, _ in seen), [document for _, document in seen])

    return look


def association(meter_type: MeterType, name: str | None) -> Association:
    """The association that may change it: the one that the type names for the setup, else the one that sets things."""
    obis = _named(meter_type, name).obis
    for control in meter_type.controls.values():
        if (control.class_id, control.obis) == (PUSH_SETUP, obis):
            return meter_type.associations[control.association]
    found = setting_association(meter_type)
    if found is None:
        raise SettingsError(f"meter type {meter_type.name} names no association that may set pushes")
    return found


def setting(name: str | None, place: str | None, what: Sequence[AttributeRef]) -> Prepare:
    """Set the destination (`host:port`), the list of attributes that are pushed, or both."""

    async def prepare(session: Session, meter_type: MeterType) -> Deed:
        push = _named(meter_type, name)
        assert push.obis is not None
        acts = []
        if place is not None:
            acts.append(Act(AttributeRef(PUSH_SETUP, push.obis, _DESTINATION), await _moved(session, push.obis, place)))
        if what:
            acts.append(Act(AttributeRef(PUSH_SETUP, push.obis, _OBJECTS), _listed(what)))

        async def plan(_: Session) -> tuple[Act, ...]:
            return tuple(acts)

        wanted = [words("acts.set_to", value=place)] if place is not None else []
        wanted += [words("acts.push_objects", attributes=", ".join(map(str, what)))] if what else []
        return Deed(
            words("acts.push_title", push=push.name, obis=push.obis),
            meter_type.serial,
            lambda session: looking(push.name)(session, meter_type),
            plan,
            tuple(wanted),
            words("acts.push_warning") if what else None,
        )

    return prepare


def parse_what(text: str | None) -> tuple[AttributeRef, ...]:
    """`8/0.0.1.0.0.255/2,3/1.0.1.8.0.255/2`; SettingsError for what is no attribute."""
    found = []
    for part in filter(None, (part.strip() for part in (text or "").split(","))):
        class_id, _, rest = part.partition("/")
        obis, _, attribute = rest.partition("/")
        if not (class_id.isdecimal() and attribute.isdecimal() and int(class_id) < 1 << 16 and int(attribute) < 128):
            raise SettingsError(f"{part!r} is no attribute", remedy="write it as CLASS/OBIS/INDEX: 3/1.0.1.8.0.255/2")
        found.append(AttributeRef(int(class_id), parse_obis(obis), int(attribute)))
    if len(found) > _MAX_OBJECTS or (text is not None and not found):
        raise SettingsError(f"--what lists 1 to {_MAX_OBJECTS} attributes")
    return tuple(found)


def parse_place(text: str | None) -> str | None:
    """`host:port`; SettingsError for what is none."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not host.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16 or len(text) > 128:
        raise SettingsError(f"{text!r} is no place to push to", remedy="write it as host:port, [v6 address]:port")
    return text


def _pushes(meter_type: MeterType) -> list[Push]:
    found = [one for one in meter_type.pushes.values() if one.obis is not None]
    if not found:
        raise SettingsError(f"meter type {meter_type.name} names no push setup", remedy="--type names another")
    return found


def _named(meter_type: MeterType, name: str | None) -> Push:
    found = _pushes(meter_type)
    names = ", ".join(one.name for one in found)
    if name is None and len(found) > 1:
        raise SettingsError("a meter of this type has several pushes", remedy=f"--list names one: {names}")
    for one in found:
        if name in (None, one.name):
            return one
    raise SettingsError(f"there is no push {name!r}", remedy=f"it has {names}")


async def _seen(session: Session, push: Push) -> tuple[tuple[str, ...], dict[str, Any]]:
    assert push.obis is not None
    service, place, _ = await _destination(session, push.obis)
    listed = await session.get(AttributeRef(PUSH_SETUP, push.obis, _OBJECTS))
    objects = [_object(one) for one in _elements(axdr.decode_typed(listed))]
    told = _SERVICES.get(service, f"transport service {service}")
    to = "acts.push_told" if place else "acts.push_nowhere"
    said = words(to, push=push.name, obis=push.obis, service=told, place=place, objects=len(objects))
    lines = [f"  {one}  {obis_name(one.obis) or ''}".rstrip() for one in objects]
    return (
        (said, *lines),
        {
            "list": push.name,
            "obis": str(push.obis),
            "service": told,
            "destination": place,
            "objects": [str(one) for one in objects],
        },
    )


async def _destination(session: Session, obis: Obis) -> tuple[int, str, int]:
    """Transport service, place, message type."""
    reference = AttributeRef(PUSH_SETUP, obis, _DESTINATION)
    match axdr.decode(await session.get(reference)):
        case axdr.Structure((int(service), bytes(place), int(message))):
            return service, place.decode("ascii", "backslashreplace"), message
    raise ProtocolError("the push destination is not as the standard has it", asked=f"get {reference}")


async def _moved(session: Session, obis: Obis, place: str) -> Datum:
    service, _, message = await _destination(session, obis)
    return Datum(
        "structure", (Datum("enum", service), Datum("octet-string", place.encode("ascii")), Datum("enum", message))
    )


def _listed(what: Sequence[AttributeRef]) -> Datum:
    """push_object_list: class id, logical name, attribute, data index."""
    return Datum(
        "array",
        tuple(
            Datum(
                "structure",
                (
                    Datum("long-unsigned", one.class_id),
                    Datum("octet-string", bytes(one.obis)),
                    Datum("integer", one.attribute),
                    Datum("long-unsigned", 0),
                ),
            )
            for one in what
        ),
    )


def _elements(datum: Datum) -> tuple[Datum, ...]:
    return datum.value if isinstance(datum.value, tuple) else ()


def _object(datum: Datum) -> AttributeRef:
    values = [element.value for element in _elements(datum)]
    match values:
        case [int(class_id), bytes(code), int(attribute), *_] if len(code) == 6:
            return AttributeRef(class_id, Obis(*code), attribute)
    raise ProtocolError("an object of the push list is not as the standard has it")
