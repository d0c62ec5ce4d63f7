"""`headend check` from end to end: reach the meter, be let in, examine it, tell.

The one rule: whatever fails on the way becomes a finding, and everything that can still be checked is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import Any

from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import association_of
from headend.check.finding import Verdict, in_order, verdict_of
from headend.check.letting_in import let_in
from headend.check.patient import Patient, Wanted
from headend.check.questions import examine
from headend.check.reach import reached
from headend.check.saving import save_type
from headend.check.text import to_text
from headend.cli.meter_options import MeterOptions
from headend.interrupting import run_with_meter
from headend.keys import KeySources
from headend.one_meter import PRESUMED_TYPE, key_sources
from headend.reading.target import Target, target_of
from headend.reading.telling import Telling
from profiles.errors import HeadEndError, SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import Association

SOMETHING_TO_MEND = 1
"""Exit code where the verdict is not good."""


def check_and_tell(options: MeterOptions, wanted: Wanted, *, as_json: bool) -> int:
    """Check the meter and print what was found; the exit code. Raises SettingsError for what can't be begun with."""
    telling = Telling(verbose=options.verbose or (sys.stderr.isatty() and not as_json))
    with write_transcript(options.trace) as transcript:
        patient = run_with_meter(check(options, wanted, telling, transcript))
    if as_json:
        print(json.dumps(to_json(patient), indent=2, ensure_ascii=False))  # noqa: T201
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(to_text(patient, width=width, colour=colour), end="")  # noqa: T201
    return 0 if verdict_of(patient.findings) is Verdict.GOOD else SOMETHING_TO_MEND


async def check(options: MeterOptions, wanted: Wanted, telling: Telling, transcript: Transcript | None) -> Patient:
    """Check one meter. Raises SettingsError for an address, a key or a type that is none."""
    target = target_of(options.address)
    try:
        sources = key_sources(options, target)
        name = options.meter_type or target.meter_type or _listed_type(sources, target)
        patient = Patient(
            target=target,
            options=options,
            wanted=wanted,
            meter_type=load_meter_type(name or PRESUMED_TYPE),
            type_given=name is not None,
            telling=telling,
            transcript=transcript,
        )
        if await reached(patient):
            await let_in(patient, _first(patient), examine)
            if wanted.save_type is not None:
                save_type(patient, wanted.save_type)
    except HeadEndError as error:
        raise error.at(meter=str(target.address)) from None
    return patient


def _listed_type(sources: KeySources, target: Target) -> str | None:
    """As the meter list says; a list without the meter is told where its keys are needed."""
    with contextlib.suppress(SettingsError):
        return sources.meter_type(target.address)
    return None


def _first(patient: Patient) -> Association:
    """The association that the address asks for, or that the type reads by."""
    try:
        return association_of(patient.meter_type, patient.address)
    except SettingsError:
        kinds = patient.meter_type.associations
        known = ", ".join(str(kind.client_sap) for kind in kinds.values())
        patient.add("no_such_client", type=patient.meter_type.name, client=patient.address.client, known=known)
        return kinds[patient.meter_type.reading_association]


def to_json(patient: Patient) -> dict[str, Any]:
    """All that was found, in order."""
    identity = patient.identity
    return {
        "address": str(patient.address),
        "serial": None if identity is None else identity.serial or None,
        "system_title": None if identity is None else identity.system_title.hex().upper() or None,
        "meter_type": patient.meter_type.name,
        "verdict": verdict_of(patient.findings).value,
        "findings": [
            {
                "code": one.code,
                "subject": one.subject,
                "verdict": one.verdict.value,
                "said": one.said,
                "remedy": one.remedy or None,
            }
            for one in in_order(patient.findings)
        ],
    }
