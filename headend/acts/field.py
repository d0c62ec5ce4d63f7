"""Commands that show or change one thing of one meter, by its type: from the options to what is printed.

The one rule: what is only shown is read by the reading association, what is changed goes by the association that the
type lets change it; a client SAP in the address wins over both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from drivers.links.transcript import write_transcript
from drivers.reading import association_of, identify
from drivers.session import Session
from headend.acts.deed import Confirmation, Deed, View
from headend.acts.doing import carry_out
from headend.cli.meter_options import MeterOptions
from headend.interrupting import run_with_meter
from headend.keys import key_texts
from headend.one_meter import GUESSED, PRESUMED_TYPE, key_sources, one_meter
from headend.raw_access import Meter, Way
from headend.raw_printing import print_json, print_lines
from headend.reading.target import target_of
from headend.reading.telling import Telling
from headend.single_session import Counting
from headend.words import Words, words
from profiles.errors import HeadEndError, SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import Association, Control, MeterType

Look = Callable[[Session, MeterType], Awaitable[View]]
Prepare = Callable[[Session, MeterType], Awaitable[Deed]]


def show(options: MeterOptions, look: Look, *, as_json: bool) -> None:
    """Print what a meter says, and change nothing. Raises HeadEndError."""
    address, type_name, view = run_with_meter(_seen(options, look))
    if as_json:
        print_json({"address": address, "meter_type": type_name, "now": view.document})
    else:
        print_lines(view.lines("now"))


async def _seen(options: MeterOptions, look: Look) -> tuple[str, str, View]:
    async with one_meter(options, Telling(verbose=options.verbose), who=False) as meter:
        return str(meter.target.address), meter.meter_type.name, await look(meter.session, meter.meter_type)


def change(
    options: MeterOptions,
    classes: frozenset[int],
    association: Callable[[MeterType], Association],
    prepare: Prepare,
    confirmation: Confirmation,
    *,
    as_json: bool,
) -> None:
    """Change it, if a person confirms, and print what was before and is after. Raises HeadEndError."""
    way, type_name = _way(options, association)
    telling = Telling(verbose=options.verbose)

    async def prepared(session: Session) -> Deed:
        telling.say(words("acts.let_in", client=way.kind.client_sap))
        meter_type = way.meter_type
        if options.meter_type is None:
            meter_type = (await identify(session, type_name)).meter_type
            if association(meter_type).client_sap != association(way.meter_type).client_sap:
                raise SettingsError(f"it is of type {meter_type.name}, where another association may do this")
        return await prepare(session, meter_type)

    with write_transcript(options.trace) as transcript:
        try:
            outcome = carry_out(Meter(way, transcript), classes, prepared, confirmation)
        except HeadEndError as error:
            if type_name is None:
                error.remedy = "; ".join(filter(None, (error.remedy, GUESSED)))
            raise
    if as_json:
        print_json(
            {
                "address": str(way.address),
                "system_title": outcome.system_title.hex().upper() or None,
                "done": outcome.deed.title,
                "before": outcome.before.document,
                "after": outcome.after.document,
            }
        )
    else:
        lines = [*outcome.before.lines("before"), *outcome.deed.wanted, *outcome.after.lines("after")]
        print_lines([outcome.deed.title, *lines])


def _way(options: MeterOptions, association: Callable[[MeterType], Association]) -> tuple[Way, str | None]:
    """The way into the association that may, and the type's name; None where it is presumed."""
    target = target_of(options.address)
    sources = key_sources(options, target)
    type_name = options.meter_type or target.meter_type or sources.meter_type(target.address)
    meter_type = load_meter_type(type_name or PRESUMED_TYPE)
    chosen = target.address.client is not None
    kind = association_of(meter_type, target.address) if chosen else association(meter_type)
    way = Way(
        target.address,
        meter_type,
        kind,
        key_texts(sources, target.address, kind),
        Counting(options.counters, accept=options.accept_counter),
        b"",
        options.system_title or target.system_title,
        meter_type.deviation,
        target.registered,
    )
    return way, type_name


def control_of(meter_type: MeterType, class_id: int, what: str) -> Control:
    """The type's first control of a class; SettingsError where it names none."""
    for control in meter_type.controls.values():
        if control.class_id == class_id:
            return control
    raise SettingsError(
        f"meter type {meter_type.name} names no {what}",
        remedy="--type names another; `headend get`, `set` and `call` reach any object",
    )


def by_control(class_id: int, what: str) -> Callable[[MeterType], Association]:
    """Which association may change the type's control of a class."""
    return lambda meter_type: meter_type.associations[control_of(meter_type, class_id, what).association]


def document_of(pairs: dict[str, Any], text: Words) -> View:
    """A view of one line."""
    return View(((text,),), pairs)
