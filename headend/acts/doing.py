"""Changing one meter: look, ask, record, act, look again.

The one rule: nothing is changed that a person has not confirmed and that is not on the disk before. On the classes that
can cut a customer off, lock us out or replace the firmware that person types the meter's serial number, the meter must
be the one that has it, it is not one of the utility's registry, and only so many such acts go within an hour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from drivers.cosem.rendering import datum_to_json
from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.acts.deed import GUARDED, Act, Confirmation, Deed, NotConfirmedError, Outcome
from headend.audit_file import AuditFile
from headend.own_files import default_counter_file
from headend.raw_access import Meter, Way
from headend.raw_printing import print_lines, warn
from headend.settings import load_settings
from headend.words import words
from profiles.classes import class_name
from profiles.errors import AccessDenied, HeadEndError, IdentityMismatch, SettingsError
from profiles.objects import AttributeRef

SPAN: Final = timedelta(hours=1)

Prepare = Callable[[Session], Awaitable[Deed]]
"""What is to be done, once the meter has been asked what has to be known for it."""

_OPEN_VALUES: Final = frozenset({"octet-string", "visible-string", "utf8-string", "bit-string"})


def audit_of(counters: Path | None) -> AuditFile:
    """The record of what is done from here: beside the counter file."""
    return AuditFile((counters or default_counter_file()).with_name("audit.jsonl"))


def carry_out(meter: Meter, classes: frozenset[int], prepare: Prepare, confirmation: Confirmation) -> Outcome:
    """Do it, if a person confirms. Raises HeadEndError; NotConfirmedError where nobody does.

    `classes`: of all that may be changed. What is asked of a person is shown on stderr.
    """
    guarded = bool(classes & GUARDED)
    audit = audit_of(meter.way.counting.file)
    _may(meter.way, classes & GUARDED, confirmation)
    audit.entries()  # an altered one is said before a meter is asked

    asked = not (confirmation.serial if guarded else confirmation.yes)
    if asked:
        # A session of its own: the meter's one association is not held while a person thinks.
        async def look(session: Session) -> list[str]:
            deed = await prepare(session)
            return [deed.title, *(await deed.look(session)).lines("before"), *deed.wanted, *_warning(deed)]

        print_lines(meter.run(look), to_stderr=True)
        confirmation = _confirmed(confirmation, guarded=guarded)
    sure = confirmation
    tell = prepare if asked else _warned(prepare)
    return meter.run(lambda session: _do(session, meter.way, classes, tell, sure.serial, audit))


def _may(way: Way, guarded: frozenset[int], confirmation: Confirmation) -> None:
    """SettingsError where it is not to be done from here, or can't be confirmed."""
    if not guarded:
        if not confirmation.yes and confirmation.ask is None:
            raise SettingsError("there is no terminal to confirm this at", remedy="add --yes")
        return
    _refuse_registered(way, guarded, confirmation.serial)
    name = _names(guarded)
    if not confirmation.serial and confirmation.ask_serial is None:
        raise SettingsError(
            f"{name} is not changed without the meter's serial number",
            remedy="--yes is not enough: without a terminal to type it at, give it with --serial",
        )


def _refuse_registered(way: Way, guarded: frozenset[int], serial: str | None, title: bytes = b"") -> None:
    """SettingsError for a meter of the utility's registry, by whatever name or address it is asked."""
    from headend.reading.registered import registered_name

    if way.registered or registered_name(way.address, serial, title) is not None:
        raise SettingsError(
            f"{_names(guarded)} is not changed by hand on a meter of the utility's registry",
            remedy="such orders to registered meters are the utility's, who approves and counts them",
        )


def _names(classes: frozenset[int]) -> str:
    return ", ".join(f"class {one} {class_name(one)}" for one in sorted(classes))


def _warned(prepare: Prepare) -> Prepare:
    """The same; what it costs is told, since nobody was asked."""

    async def prepared(session: Session) -> Deed:
        deed = await prepare(session)
        if deed.warning:
            warn(deed.warning)
        return deed

    return prepared


def _warning(deed: Deed) -> list[str]:
    return [words("acts.warning", warning=deed.warning)] if deed.warning else []


def _confirmed(confirmation: Confirmation, *, guarded: bool) -> Confirmation:
    if guarded:
        typed = confirmation.ask_serial() if confirmation.ask_serial is not None else ""
        if not typed.strip():
            raise NotConfirmedError(words("acts.nothing_changed"))
        return replace(confirmation, serial=typed.strip())
    if confirmation.ask is None or not confirmation.ask():
        raise NotConfirmedError(words("acts.nothing_changed"))
    return replace(confirmation, yes=True)


async def _do(
    session: Session, way: Way, classes: frozenset[int], prepare: Prepare, serial: str | None, audit: AuditFile
) -> Outcome:
    deed = await prepare(session)
    guarded = bool(classes & GUARDED)
    entry: dict[str, Any] = {
        "address": str(way.address),
        "system_title": session.association.server_title.hex().upper() or None,
        "association": f"client {way.kind.client_sap}",
        "serial": serial if guarded else None,
        "limited": "guarded" if guarded else None,
    }
    if guarded:
        await _check_serial(session, deed.serial, serial or "", entry, audit)
        _refuse_registered(way, classes & GUARDED, serial, session.association.server_title)
    before = await deed.look(session)
    returned = None
    for act in await deed.plan(session):
        if act.reference.class_id not in classes:
            raise AssertionError(f"an act on class {act.reference.class_id} was not confirmed as one")
        returned = await _done(session, act, entry, audit)
    return Outcome(deed, before, await deed.look(session), returned, session.association.server_title)


async def _done(session: Session, act: Act, entry: dict[str, Any], audit: AuditFile) -> Datum | None:
    """Do one act, with a line in the record before and one after."""
    entry = _told(act) | entry
    if entry["limited"]:
        limit = load_settings(None).acts.per_hour
        audit.append_limited({**entry, "outcome": "asked"}, datetime.now(UTC), limit, SPAN)
    else:
        audit.append({**entry, "outcome": "asked"}, datetime.now(UTC))
    entry["limited"] = None
    try:
        returned = await _send(session, act)
    except BaseException as error:
        audit.append({**entry, "outcome": _failure(error)}, datetime.now(UTC))
        raise
    audit.append({**entry, "outcome": "done"}, datetime.now(UTC))
    return returned


def _told(act: Act) -> dict[str, Any]:
    """The act for the record."""
    return {
        "act": "set" if isinstance(act.reference, AttributeRef) else "call",
        "class_id": act.reference.class_id,
        "obis": str(act.reference.obis),
        "index": act.reference[2],
        "value": None if act.shown_value is None else _without_strings(act.shown_value),
    }


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
    session: Session, reference: AttributeRef, serial: str, entry: dict[str, Any], audit: AuditFile
) -> None:
    """IdentityMismatch unless the meter has this serial number. What it has is not told: it stands on the meter."""
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
