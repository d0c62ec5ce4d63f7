"""Which associations let us in; and where one does not, whose fault it is: which key, which secret, the counter.

The one rule: no secret is tried twice, and none in an association whose keys another one has shown to be wrong: a meter
counts wrong attempts and locks itself. What was not tried is said.

Keys are told apart by what the meter does. Where both protect a request, a meter that can't open it looks the same
whichever is wrong; an association that only encrypts needs the encryption key alone, so it is asked once. A password
or secret is judged after the keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from drivers.credentials import MAX_COUNTER
from drivers.reading import Reader
from headend.check.patient import Bedside, Patient, called
from headend.counter_file import CounterFile
from headend.keys import SECRET_NAMES, credentials_from, key_texts, needed_keys, symmetric_key
from headend.one_meter import key_sources
from headend.own_files import default_counter_file
from headend.reading.lasting import LastingSession
from headend.single_session import COUNTER_STEP
from headend.words import joined, words
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    MeterBusy,
    SecurityError,
    SettingsError,
)
from profiles.meter_type import Association

Examine = Callable[[Bedside], Awaitable[None]]
NEAR_END = MAX_COUNTER - 100_000_000
_BOTH, _ENCRYPTION = 0x30, 0x20
_GMAC = 5
"""The mechanism whose proof is made with the keys, and with no secret."""
_DECIPHERING = ("decipher", "service error", "exception")
"""In the words of a refusal: the meter could not open what we sent."""


@dataclass(slots=True)
class _Trials:
    """What has come of the attempts so far. `examine`: done in the first association that opens."""

    examine: Examine
    keys_wrong: bool = False
    secrets_wrong: set[str] = field(default_factory=set)
    not_tried: dict[str, list[str]] = field(default_factory=dict)
    """By reason, the associations."""
    link_gone: bool = False
    refused: list[tuple[Association, str]] = field(default_factory=list)
    """By the meter, without saying whose fault it is."""
    counters: dict[str, int] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict, repr=False)
    """Keys that were given, or asked for, by name: a person is asked once."""
    probed: Association | None = None
    """The association that was asked which key is wrong."""

    def leave(self, kind: Association, why: str) -> None:
        self.not_tried.setdefault(why, []).append(called(kind))


async def let_in(patient: Patient, first: Association, examine: Examine) -> None:
    """Open every association of the type once, `first` first, and examine the meter in the first that opens; in the
    public one, which shows little, only where no other does."""
    trials = _Trials(examine)
    others = [kind for kind in patient.meter_type.associations.values() if kind not in (first, patient.public)]
    for kind in others if first == patient.public else [first, *others]:
        await _try(patient, kind, trials, main=kind == first)
    _tell_refusals(patient, first, trials)
    if patient.examined is None:
        await _try(patient, patient.public, trials, main=False)
    if patient.opened:
        patient.add("let_in", associations=", ".join(map(called, patient.opened)))
    if patient.keys_proven:
        patient.add("keys_right", keys=joined(patient.keys_proven))
    if trials.counters:
        told = ", ".join(f"{name}: {counter}" for name, counter in trials.counters.items())
        patient.add("counter_right", counters=told)
    for why, names in trials.not_tried.items():
        patient.add("not_tried", associations=", ".join(names), why=why)


async def _try(patient: Patient, kind: Association, trials: _Trials, *, main: bool) -> None:
    if kind == trials.probed:
        return
    if trials.link_gone:
        trials.leave(kind, words("check.link_is_broken"))
        return
    if kind.pre_established:
        return  # always open, for the meter's own pushes: there is nothing to be let in by
    keys = _keys(patient, kind, trials, main=main)
    if keys is None:
        return
    try:
        first_counter = _first_counter(patient, kind, keys, trials)
    except SecurityError:
        return
    patient.telling.say(words("check.asking_in", association=called(kind)))
    try:
        async with patient.session(kind, keys, first_counter=first_counter) as session:
            await _let_in(patient, kind, session, trials)
    except SettingsError:
        raise
    except HeadEndError as error:
        if kind in patient.opened:
            patient.add("link_broke", step=words("check.releasing_step"), why=error.message)
        else:
            await _refused(patient, kind, keys, trials, error)
    await asyncio.sleep(patient.meter_type.session_habit.pause_s)


async def _let_in(patient: Patient, kind: Association, session: LastingSession, trials: _Trials) -> None:
    """Note which keys are proven by it, and examine the meter if nobody has."""
    if kind not in patient.opened:
        patient.opened.append(kind)
    named = {"secret": SECRET_NAMES.get(kind.mechanism, "secret")}
    proven = [named.get(name, name) for name in needed_keys(kind)]
    if kind.security_control & _BOTH == _ENCRYPTION:
        proven = [name for name in proven if name != "authentication_key"]
    shown = [words(f"reading.key_{name}") for name in proven]
    patient.keys_proven += [name for name in shown if name not in patient.keys_proven]
    if patient.examined is None:
        patient.examined = kind
        await trials.examine(Bedside(patient, kind, session, Reader(session, patient.meter_type)))


def _keys(patient: Patient, kind: Association, trials: _Trials, *, main: bool) -> Mapping[str, str] | None:
    """The keys with which to try an association; None where it is not to be tried, which is noted."""
    if kind.needs_keys and trials.keys_wrong:
        trials.leave(kind, words("check.keys_refused"))
        return None
    secret = SECRET_NAMES.get(kind.mechanism)
    if secret in trials.secrets_wrong:
        trials.leave(kind, words("check.secret_refused"))
        return None
    sources = key_sources(patient.options, patient.target)
    try:
        keys = trials.known | key_texts(replace(sources, ask=sources.ask and main), patient.address, kind)
    except SettingsError as error:
        if main:
            patient.add("key_missing", association=called(kind), why=error.message)
        return None
    if not main and secret is not None and secret not in keys:
        trials.leave(kind, words("check.no_own_secret", secret=secret))
        return None
    try:
        credentials_from(keys, kind)
    except SettingsError as error:
        if main:
            patient.add("key_missing", association=called(kind), why=error.message)
        else:
            trials.leave(kind, error.message)
        return None
    trials.known |= {name: text for name, text in keys.items() if name != "secret"}
    return keys


def _first_counter(patient: Patient, kind: Association, keys: Mapping[str, str], trials: _Trials) -> int:
    """The lowest counter to go on with. Raises SecurityError where the meter's word is not believed."""
    told = patient.told_counters.get(kind.name)
    if told is None or not kind.needs_keys:
        return 0
    file = CounterFile(patient.options.counters or default_counter_file())
    ours = file.last_spent(symmetric_key(keys, "encryption_key", kind))
    if told >= NEAR_END:
        patient.add("counter_at_end", told=told, association=called(kind))
    if told - ours > COUNTER_STEP and not patient.options.accept_counter:
        if not any(one.code == "counter_ahead" for one in patient.findings):
            patient.add("counter_ahead", told=told, ours=ours, association=called(kind))
        trials.leave(kind, words("check.counter_not_believed"))
        raise SecurityError("not believed")
    trials.counters.setdefault(called(kind), told)
    return told + 1


async def _refused(
    patient: Patient, kind: Association, keys: Mapping[str, str], trials: _Trials, error: HeadEndError
) -> None:
    """Say whose fault it is that an association is not open."""
    association, why = called(kind), error.message
    if isinstance(error, IdentityMismatch):
        patient.add("another_meter", why=why)
    elif isinstance(error, LinkError) and (error.asked == "connect" or patient.keys_proven):
        trials.link_gone = True
        if not any(one.code == "link_broke" for one in patient.findings):
            patient.add("link_broke", step=words("check.asking_step", association=association), why=why)
    elif isinstance(error, MeterBusy):
        patient.add("busy", why=why)
    elif isinstance(error, AccessDenied) and error.asked.startswith("associate, HLS") and kind.mechanism == _GMAC:
        await _judge_keys(patient, kind, keys, trials, "keys_wrong", why)
    elif isinstance(error, AccessDenied) and error.asked.startswith("associate, HLS"):
        trials.secrets_wrong.add(SECRET_NAMES.get(kind.mechanism, ""))
        patient.add("secret_wrong", association=association, why=why)
    elif isinstance(error, SecurityError):
        await _judge_keys(patient, kind, keys, trials, "meter_keys_differ", why)
    elif isinstance(error, AccessDenied) and "authentication failed" in why:
        trials.secrets_wrong.add(SECRET_NAMES.get(kind.mechanism, ""))
        patient.add("password_wrong" if kind.mechanism == 1 else "secret_wrong", association=association, why=why)
    elif kind.needs_keys and _undeciphered(error):
        await _judge_keys(patient, kind, keys, trials, "keys_wrong", why)
    else:
        trials.refused.append((kind, why))


def _tell_refusals(patient: Patient, first: Association, trials: _Trials) -> None:
    """An association beside the one that was asked for may just not be there; where none opens, it is the type."""
    if trials.refused and (patient.examined is None or first in [kind for kind, _ in trials.refused]):
        names = ", ".join(called(kind) for kind, _ in trials.refused)
        patient.add("refused", association=names, why=trials.refused[0][1])
        return
    for kind, why in trials.refused:
        trials.leave(kind, words("check.meter_answers", why=why))


def _undeciphered(error: HeadEndError) -> bool:
    return isinstance(error, LinkError) or any(word in str(error) for word in _DECIPHERING)


async def _judge_keys(
    patient: Patient, kind: Association, keys: Mapping[str, str], trials: _Trials, code: str, why: str
) -> None:
    """Ask an association that takes the encryption key alone, if the type has one, which of the keys it is."""
    trials.keys_wrong = True
    probe = next((one for one in patient.meter_type.associations.values() if _encrypts_alone(one, kind)), None)
    verdict = None
    if probe is not None and probe not in patient.opened:
        trials.probed = probe
        verdict = await _probe(patient, probe, keys, trials)
    if verdict is None or probe is None:
        patient.add(code, association=called(kind), why=why)
    elif verdict:
        patient.add("authentication_key_wrong", association=called(kind), probe=called(probe))
    else:
        patient.add("encryption_key_wrong", association=called(kind), probe=called(probe))


def _encrypts_alone(one: Association, refused: Association) -> bool:
    """With a password that no other association of ours has used up: one that is the same, or none."""
    alone = one.security_control & _BOTH == _ENCRYPTION and not one.pre_established and not one.signed
    return alone and one.mechanism <= 1 and one.suite == refused.suite and one.ciphering == "glo"


async def _probe(patient: Patient, probe: Association, keys: Mapping[str, str], trials: _Trials) -> bool | None:
    """Whether the encryption key alone is right; None where the meter does not tell."""
    secret = SECRET_NAMES.get(probe.mechanism)
    own = dict(keys)
    if secret is not None and secret in keys:
        own["secret"] = keys[secret]
    patient.telling.say(words("check.asking_which_key", association=called(probe)))
    try:
        credentials_from(own, probe)
        first_counter = _first_counter(patient, probe, own, trials)
        async with patient.session(probe, own, first_counter=first_counter) as session:
            await _let_in(patient, probe, session, trials)
            return True
    except SettingsError:
        return None
    except AccessDenied as denied:
        if "authentication failed" in denied.message:
            return True
        return False if _undeciphered(denied) else None
    except HeadEndError:
        return True if probe in patient.opened else None
