"""A meter type file of what a meter said, to read it and its like by.

The one rule: the file extends the type that the meter is most like and says what is otherwise, or was not known there:
columns in the meter's order with their scalers and units, periods, depths, and the associations that let us in. It is
loaded before it is called good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from drivers.reading import Layout
from headend.check.patient import Patient, called
from profiles.columns import UNIT_NUMBERS
from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import LOAD_KINDS, REGISTER_CLASSES, VALUE, Association, Profile
from profiles.objects import AttributeRef, CaptureObject
from profiles.units import UNITS
from profiles.whole_file import written_whole

_NO_UNIT: Final = 255
_DAY_S: Final = 86_400


def save_type(patient: Patient, file: Path) -> None:
    """Write it, load it, and say so. Raises SettingsError where it can't be written."""
    if patient.identity is None or not patient.layouts:
        patient.add("type_not_written")
        return
    try:
        with written_whole(file) as whole:
            whole.write("".join(f"{line}\n" for line in _lines(patient)).encode())
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}") from None
    try:
        load_meter_type(file)
    except SettingsError as error:
        patient.add("type_not_saved", why=error.message, file=file)
    else:
        patient.add("type_saved", file=file)


def _lines(patient: Patient) -> Iterator[str]:
    identity, meter_type = patient.identity, patient.meter_type
    assert identity is not None
    base = meter_type.name.partition("+")[0]
    named = " ".join(filter(None, (identity.maker, identity.model, identity.firmware)))
    seen = ", ".join(map(called, patient.opened))
    yield f"# {_comment(named)}: what serial {_comment(identity.serial)} said on {datetime.now(UTC):%Y-%m-%d}."
    yield f"# Associations that let us in: {seen}."
    yield ""
    yield f"extends = {_text(_extended(patient, base))}"
    yield f"title = {_text(f'{named}, as a meter of type {base} said'[:120])}"
    for kind in patient.opened:
        yield from _association(kind)
    for name, layout in patient.layouts.items():
        if name in patient.more_profiles:
            yield from _new_profile(patient.more_profiles[name], layout)
        else:
            yield from _profile(meter_type.profiles[name], layout, patient.depths.get(name))


def _extended(patient: Patient, base: str) -> str:
    """A type that came from a file is named by that file."""
    given = (patient.options.meter_type or patient.target.meter_type or "").partition("+")[0]
    own = given.endswith(".toml") and Path(given).stem == base
    return str(Path(given).resolve()) if own else base


def _association(kind: Association) -> Iterator[str]:
    yield ""
    yield f"[associations.{kind.name}]"
    yield f"client_sap = {kind.client_sap}"
    yield f"mechanism = {kind.mechanism}"
    yield f"security_control = 0x{kind.security_control:02x}"
    yield f'logical_name = "{kind.logical_name}"'
    if kind.invocation_counter is not None:
        yield f'invocation_counter = "{kind.invocation_counter}"'
    yield f"max_pdu = {kind.max_pdu}"


def _new_profile(profile: Profile, layout: Layout) -> Iterator[str]:
    """One that the type does not know: how it is asked for, and whether it is an event log."""
    log = profile.event_log
    captured = {AttributeRef(*one[:3]) for one in layout.capture_objects}
    is_log = log is not None and log.code in captured
    yield from _profile(replace(profile, kind="event_log" if is_log else "instantaneous"), layout, None)
    yield f'kind = "{"event_log" if is_log else "instantaneous"}"'
    yield f'selective_access = "{profile.selective_access}"'
    if is_log and log is not None:
        code = f"{log.code.class_id}/{log.code.obis}/{log.code.attribute}"
        yield f"event_log = {{ group = {_text(log.group)}, code = {_text(code)} }}"


def _profile(profile: Profile, layout: Layout, rows: int | None) -> Iterator[str]:
    yield ""
    yield f"[profiles.{profile.name}]"
    yield f'obis = "{profile.obis}"'
    if profile.kind in LOAD_KINDS:
        yield f"capture_period_s = {layout.capture_period_s}"
        if rows and (days := rows * layout.capture_period_s // _DAY_S):
            yield f"depth_days = {min(days, 3650)}"
    if all(not one.data_index for one in layout.capture_objects):
        yield "capture_objects = ["
        for captured in layout.capture_objects:
            yield f"    {_text(_column(profile, layout, captured))},"
        yield "]"


def _column(profile: Profile, layout: Layout, captured: CaptureObject) -> str:
    """`3/1.0.12.27.0.255/2 -1 V`: of what is scaled with its scaler, as far as the meter gave one."""
    column = f"{captured.class_id}/{captured.obis}/{captured.attribute}"
    documented = next((one for one in profile.columns if one.captured[:3] == captured[:3]), None)
    is_time = documented is not None and documented.date_time
    if captured.class_id not in REGISTER_CLASSES or captured.attribute != VALUE:
        return column
    given = layout.scaler_of(captured)
    if given is not None:
        column += f" {given.scaler}"
    if is_time:
        return f"{column} date-time"
    symbol = "" if given is None or given.unit == _NO_UNIT else UNITS.get(given.unit, "")
    known = given is not None and UNIT_NUMBERS.get(symbol) == given.unit
    return f"{column} {symbol}" if known else column


def _text(text: str) -> str:
    """A TOML string; what can't stand in one is left out."""
    plain = "".join(letter for letter in text if letter.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _comment(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())
