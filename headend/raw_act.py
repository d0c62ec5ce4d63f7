"""`headend set` and `call`: change any attribute or call any method of one meter, and see what was before and is after.

The one rule: how it is confirmed, recorded and done is the business of `headend.acts.doing`, and so are its limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from drivers.cosem.rendering import datum_lines, datum_to_json
from drivers.session import Session
from headend.acts.deed import Act, Confirmation, Deed, Outcome, View
from headend.acts.doing import carry_out
from headend.cli.access_options import Access
from headend.raw_access import Way, deviation_of, meter_of
from headend.raw_names import parse_attribute, parse_class, parse_method, parse_obis
from headend.raw_printing import print_json, print_lines
from headend.raw_read import Reading, heading, read_attribute, shape_of, title_of
from headend.raw_values import parse_value
from headend.words import words
from profiles.classes import class_name, method_name
from profiles.errors import AccessDenied, ProtocolError
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, MethodRef

_TELLING: Final = {3: (2,), 4: (2,), 5: (2, 3), 6: (4,), 7: (7,), 8: (2,), 18: (6, 3), 21: (2,), 70: (2, 3), 71: (3,)}
"""By class: the attributes that show what a method did."""


def set_and_print(
    access: Access, names: tuple[str, str, str], value: str, confirmation: Confirmation, serial_object: str | None
) -> None:
    """Set an attribute (CLASS, OBIS and INDEX in `names`) and print what it was and is. Raises HeadEndError."""
    class_id = parse_class(names[0])
    reference = AttributeRef(class_id, parse_obis(names[1]), parse_attribute(class_id, names[2]))
    datum = parse_value(value, deviation_of(access))
    _do_and_print(access, Act(reference, datum), confirmation, serial_object)


def call_and_print(
    access: Access,
    names: tuple[str, str, str],
    value: str | None,
    confirmation: Confirmation,
    serial_object: str | None,
) -> None:
    """Call a method and print what it returned, and what the object was and is. Raises HeadEndError."""
    class_id = parse_class(names[0])
    reference = MethodRef(class_id, parse_obis(names[1]), parse_method(class_id, names[2]))
    datum = None if value is None else parse_value(value, deviation_of(access))
    _do_and_print(access, Act(reference, datum), confirmation, serial_object)


def _do_and_print(access: Access, act: Act, confirmation: Confirmation, serial_object: str | None) -> None:
    with meter_of(access) as meter:
        deed = _deed(act, meter.way, serial_object)

        async def prepare(_: Session) -> Deed:
            return deed

        outcome = carry_out(meter, frozenset({act.reference.class_id}), prepare, confirmation)
    if access.as_json:
        print_json(_as_json(access, act, outcome))
    else:
        lines = [*outcome.before.lines("before"), *deed.wanted, *_results(outcome)]
        print_lines([deed.title, *lines])


def _deed(act: Act, way: Way, serial_object: str | None) -> Deed:
    serial = way.meter_type.serial
    if serial_object is not None:
        serial = AttributeRef(serial.class_id, parse_obis(serial_object), serial.attribute)

    async def look(session: Session) -> View:
        return await _look(session, act, way)

    async def plan(_: Session) -> tuple[Act, ...]:
        return (act,)

    return Deed(_title(act), serial, look, plan, tuple(_wanted(act)))


def _title(act: Act) -> str:
    """`70 Disconnect control · 0.0.96.3.10.255 Disconnect control · method 1 remote_disconnect`."""
    if isinstance(act.reference, AttributeRef):
        return title_of(act.reference)
    class_id, obis, method = act.reference
    name = " ".join(part for part in (str(obis), obis_name(obis)) if part)
    return f"{class_id} {class_name(class_id)} · {name} · method {method} {method_name(class_id, method)}"


def _shown(act: Act) -> tuple[AttributeRef, ...]:
    """The attributes that are read before and after."""
    if isinstance(act.reference, AttributeRef):
        return (act.reference,)
    class_id, obis, _ = act.reference
    return tuple(AttributeRef(class_id, obis, index) for index in _TELLING.get(class_id, ()))


async def _look(session: Session, act: Act, way: Way) -> View:
    """What the object says of itself; why not, where it does not."""
    entries: list[tuple[str, ...]] = []
    document: list[dict[str, Any]] = []
    shown = _shown(act)
    for reference in shown:
        try:
            reading = await read_attribute(session, reference, way.meter_type.deviation)
        except (AccessDenied, ProtocolError) as error:
            entries.append((words("acts.not_readable", why=error.message),))
            document.append({"attribute": reference.attribute, "error": error.message})
            continue
        entries.append(_entry(reading, named=len(shown) > 1))
        document.append({"attribute": reference.attribute} | reading.to_json())
    return View(tuple(entries), document)


def _entry(reading: Reading, *, named: bool) -> tuple[str, ...]:
    first, *rest = reading.lines()
    return (f"{reading.name}: {first}" if named else first, *rest)


def _wanted(act: Act) -> Iterator[str]:
    value = act.shown_value
    if value is None:
        return
    shape = shape_of(act.reference) if isinstance(act.reference, AttributeRef) else None
    first, *rest = datum_lines(value, shape)
    yield words("acts.set_to" if isinstance(act.reference, AttributeRef) else "acts.with", value=first)
    yield from rest


def _results(outcome: Outcome) -> Iterator[str]:
    if outcome.returned is not None:
        first, *rest = datum_lines(outcome.returned)
        yield words("acts.returned", value=first)
        yield from rest
    yield from outcome.after.lines("after")
    if not outcome.after.entries:
        yield words("acts.done")


def _as_json(access: Access, act: Act, outcome: Outcome) -> dict[str, Any]:
    document = heading(access, act.reference, outcome.system_title) | {
        "before": outcome.before.document,
        "after": outcome.after.document,
    }
    if isinstance(act.reference, MethodRef):
        document["returned"] = None if outcome.returned is None else datum_to_json(outcome.returned)
    return document
