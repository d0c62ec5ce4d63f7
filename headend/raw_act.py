"""`headend set` and `call`: change one meter, and see what it was before and is after.

The one rule: nothing is changed that a person has not confirmed. On the classes that can cut a customer off, lock us
out or replace the firmware that person types the meter's serial number, and the meter must be the one that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from drivers.cosem.rendering import REDACTED, datum_lines, datum_to_json, hide_secrets
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.audit_file import AuditFile
from headend.cli.access_options import Access
from headend.counter_file import default_counter_file
from headend.raw_access import Way, deviation_of, meter_of
from headend.raw_names import parse_attribute, parse_class, parse_method, parse_obis
from headend.raw_printing import print_json, print_lines
from headend.raw_read import Reading, heading, read_attribute, shape_of, title_of
from headend.raw_values import parse_value
from headend.settings import load_settings
from profiles.classes import class_name, method_name
from profiles.errors import AccessDenied, HeadEndError, IdentityMismatch, ProtocolError, SettingsError
from profiles.obis_names import obis_name
from profiles.objects import AttributeRef, MethodRef

GUARDED: Final = frozenset({15, 18, 64, 70, 71})
"""Association, image transfer, security setup, disconnect control, limiter."""
SECRET_CLASSES: Final = frozenset({12, 15, 64})
LIMIT_SPAN: Final = timedelta(hours=1)

_TELLING: Final = {3: (2,), 4: (2,), 5: (2, 3), 6: (4,), 7: (7,), 8: (2,), 18: (6, 3), 21: (2,), 70: (2, 3), 71: (3,)}
"""By class: the attributes that show what a method did."""
_OPEN_VALUES: Final = frozenset({"octet-string", "visible-string", "utf8-string", "bit-string"})


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done: an attribute set to `value`, or a method called with it."""

    reference: AttributeRef | MethodRef
    value: Datum | None

    @property
    def guarded(self) -> bool:
        """Whether it takes the meter's serial number."""
        return self.reference.class_id in GUARDED

    @property
    def shown_value(self) -> Datum | None:
        """The value as it may be shown: keys go to associations and security setups."""
        if self.value is None:
            return None
        if isinstance(self.reference, AttributeRef):
            return hide_secrets(self.value, shape_of(self.reference))
        return Datum(REDACTED) if self.reference.class_id in SECRET_CLASSES else self.value

    @property
    def shown(self) -> tuple[AttributeRef, ...]:
        """The attributes that are read before and after."""
        if isinstance(self.reference, AttributeRef):
            return (self.reference,)
        class_id, obis, _ = self.reference
        return tuple(AttributeRef(class_id, obis, index) for index in _TELLING.get(class_id, ()))

    @property
    def title(self) -> str:
        """`70 Disconnect control · 0.0.96.3.10.255 Disconnect control · method 1 remote_disconnect`."""
        if isinstance(self.reference, AttributeRef):
            return title_of(self.reference)
        class_id, obis, method = self.reference
        name = " ".join(part for part in (str(obis), obis_name(obis)) if part)
        return f"{class_id} {class_name(class_id)} · {name} · method {method} {method_name(class_id, method)}"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a person confirms. `yes` and `serial` as on the command line; the two callables ask at a terminal.

    `ask` returns whether to go on, `ask_serial` what was typed; both are None where there is no terminal.
    """

    yes: bool
    serial: str | None
    ask: Callable[[], bool] | None
    ask_serial: Callable[[], str] | None


class NotConfirmedError(HeadEndError):
    """The person said no."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act did."""

    before: tuple[Reading | str, ...]
    after: tuple[Reading | str, ...]
    returned: Datum | None
    system_title: bytes
    serial: str | None


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
    confirmation = _answerable(act, confirmation)
    audit = AuditFile((access.counters or default_counter_file()).with_name("audit.jsonl"))
    audit.entries()  # an altered one is said before a meter is asked

    with meter_of(access) as meter:
        if not (confirmation.serial if act.guarded else confirmation.yes):
            # A session of its own: the meter's one association is not held while a person thinks.
            before = meter.run(lambda session: _look(session, act, meter.way))
            print_lines([act.title, *_shown("before", before), *_wanted(act)], to_stderr=True)
            confirmation = _confirmed(act, confirmation)
        serial = confirmation.serial
        outcome = meter.run(lambda session: _do(session, meter.way, act, serial, serial_object, audit))
    if access.as_json:
        print_json(_as_json(access, act, outcome))
    else:
        print_lines([act.title, *_shown("before", outcome.before), *_wanted(act), *_results(act, outcome)])


def _answerable(act: Act, confirmation: Confirmation) -> Confirmation:
    """The confirmation, if it is given or can be asked for."""
    if act.guarded and not confirmation.serial and confirmation.ask_serial is None:
        raise SettingsError(
            f"class {act.reference.class_id} {class_name(act.reference.class_id)} is not changed without the meter's "
            "serial number",
            remedy="--yes is not enough: without a terminal to type it at, give it with --serial",
        )
    if not act.guarded and not confirmation.yes and confirmation.ask is None:
        raise SettingsError("there is no terminal to confirm this at", remedy="add --yes")
    return confirmation


def _confirmed(act: Act, confirmation: Confirmation) -> Confirmation:
    if act.guarded:
        typed = confirmation.ask_serial() if confirmation.ask_serial is not None else ""
        if not typed.strip():
            raise NotConfirmedError("nothing was changed")
        return replace(confirmation, serial=typed.strip())
    if confirmation.ask is None or not confirmation.ask():
        raise NotConfirmedError("nothing was changed")
    return confirmation


async def _look(session: Session, act: Act, way: Way) -> tuple[Reading | str, ...]:
    """What the object says of itself; why not, where it does not."""
    found: list[Reading | str] = []
    for reference in act.shown:
        try:
            found.append(await read_attribute(session, reference, way.meter_type.deviation))
        except (AccessDenied, ProtocolError) as error:
            found.append(error.message)
    return tuple(found)


async def _do(
    session: Session, way: Way, act: Act, serial: str | None, serial_object: str | None, audit: AuditFile
) -> Outcome:
    entry: dict[str, Any] = {
        "act": "set" if isinstance(act.reference, AttributeRef) else "call",
        "address": str(way.address),
        "system_title": session.association.server_title.hex().upper() or None,
        "association": f"client {way.kind.client_sap}",
        "class_id": act.reference.class_id,
        "obis": str(act.reference.obis),
        "index": act.reference[2],
        "value": None if act.shown_value is None else _without_strings(act.shown_value),
        "serial": serial if act.guarded else None,
        "limited": "guarded" if act.guarded else None,
    }
    if act.guarded:
        await _check_serial(session, way, serial or "", serial_object, entry, audit)
    before = await _look(session, act, way)
    if act.guarded:
        audit.append_limited(
            {**entry, "outcome": "asked"}, datetime.now(UTC), load_settings(None).acts.per_hour, LIMIT_SPAN
        )
    else:
        audit.append({**entry, "outcome": "asked"}, datetime.now(UTC))
    told = {**entry, "limited": None}
    try:
        returned = await _send(session, act)
    except BaseException as error:
        audit.append({**told, "outcome": _failure(error)}, datetime.now(UTC))
        raise
    audit.append({**told, "outcome": "done"}, datetime.now(UTC))
    after = await _look(session, act, way)
    return Outcome(before, after, returned, session.association.server_title, serial)


def _failure(error: BaseException) -> str:
    """How it ended; without an answer that counts, the meter may have done it all the same."""
    if isinstance(error, AccessDenied):
        return f"failed: {error.message}"
    return f"not known: {error.message if isinstance(error, HeadEndError) else 'interrupted'}"


async def _send(session: Session, act: Act) -> Datum | None:
    data = None if act.value is None else axdr.encode_typed(act.value)
    if isinstance(act.reference, AttributeRef):
        assert data is not None
        await session.set(act.reference, data)
        return None
    returned = await session.action(act.reference, data)
    return None if returned is None else axdr.decode_typed(returned)


async def _check_serial(
    session: Session, way: Way, serial: str, serial_object: str | None, entry: dict[str, Any], audit: AuditFile
) -> None:
    """IdentityMismatch unless the meter has this serial number. What it has is not told: it stands on the meter."""
    reference = way.meter_type.serial
    if serial_object is not None:
        reference = AttributeRef(reference.class_id, parse_obis(serial_object), reference.attribute)
    try:
        value = axdr.decode(await session.get(reference))
    except AccessDenied as error:
        raise SettingsError(
            f"the meter's serial number can't be read: {error.message}",
            asked=f"get {reference}",
            remedy="name the OBIS code where it stands with --serial-object",
        ) from None
    found = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    if found.strip("\0 ") != serial:
        audit.append({**entry, "limited": None, "outcome": "refused: another serial number"}, datetime.now(UTC))
        raise IdentityMismatch(
            f"the meter that answers has another serial number than {serial!r}: nothing was changed",
            asked=f"get {reference}",
            remedy="read the serial number from the meter's nameplate, and see the address",
        )


def _without_strings(datum: Datum) -> dict[str, Any]:
    """A value for the record: of strings, any of which may be a key, only the length."""
    if isinstance(datum.value, tuple):
        return {"type": datum.type, "value": [_without_strings(element) for element in datum.value]}
    if datum.type in _OPEN_VALUES:
        return {"type": datum.type, "length": len(datum.value) if isinstance(datum.value, str | bytes) else 0}
    return datum_to_json(datum)


# --- what is printed -------------------------------------------------------------------------------------------


def _shown(when: str, readings: tuple[Reading | str, ...]) -> Iterator[str]:
    for reading in readings:
        if isinstance(reading, str):
            yield f"{when}: not readable: {reading}"
            continue
        first, *rest = reading.lines()
        name = f"{reading.name}: " if len(readings) > 1 else ""
        yield f"{when}: {name}{first}"
        yield from rest


def _wanted(act: Act) -> Iterator[str]:
    value = act.shown_value
    if value is None:
        return
    shape = shape_of(act.reference) if isinstance(act.reference, AttributeRef) else None
    first, *rest = datum_lines(value, shape)
    yield f"{'set to' if isinstance(act.reference, AttributeRef) else 'with'}: {first}"
    yield from rest


def _results(act: Act, outcome: Outcome) -> Iterator[str]:
    if outcome.returned is not None:
        first, *rest = datum_lines(outcome.returned)
        yield f"returned: {first}"
        yield from rest
    yield from _shown("after", outcome.after)
    if not act.shown:
        yield "done"


def _as_json(access: Access, act: Act, outcome: Outcome) -> dict[str, Any]:
    def readings(found: tuple[Reading | str, ...]) -> list[dict[str, Any]]:
        return [
            {"attribute": reference.attribute} | ({"error": one} if isinstance(one, str) else one.to_json())
            for reference, one in zip(act.shown, found, strict=True)
        ]

    document = heading(access, act.reference, outcome.system_title) | {
        "before": readings(outcome.before),
        "after": readings(outcome.after),
    }
    if isinstance(act.reference, MethodRef):
        document["returned"] = None if outcome.returned is None else datum_to_json(outcome.returned)
    return document
