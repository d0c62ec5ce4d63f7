"""How much energy has flowed to each consumer since 2020, as a closed form: any moment costs the same.

The one rule: everything that flows in an interval is the difference of two values of `flown`, so that blocks, days,
months and registers agree by construction. Power is never added up.

The shape of the archetype's day is stretched to the energy of the day, which differs from the middling one by a mood
drawn for each midnight; within the day each quarter of an hour begins a little early or late (flicker). Both move
energy to and fro across a border and make none. Only tables and sums are used, so that a value does not depend on
what else it is computed with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.load.archetypes import ARCHETYPES, Archetype
from simulators.load.days import (
    DAY_KINDS,
    DAYS,
    FIRST_DAY,
    IST_OFFSET_S,
    SLOT_S,
    SLOTS,
    day_kinds,
    months,
)
from simulators.load.noise import Floats, Integers, unit

WH_IMPORT, VAH_IMPORT_EXCESS, WH_EXPORT, VAH_EXPORT_EXCESS, VARH_Q1, VARH_Q2, VARH_Q3, VARH_Q4 = range(8)
"""The flows. Apparent energy is active energy and an excess, neither of which ever runs backwards: so no interval has
less apparent than active energy."""
FLOWS: Final = 8
IMPORT: Final = (WH_IMPORT, VAH_IMPORT_EXCESS)
EXPORT: Final = (WH_EXPORT, VAH_EXPORT_EXCESS)
REACTIVE: Final = (VARH_Q1, VARH_Q2, VARH_Q3, VARH_Q4)

_HARMONICS: Final = 1.015
"""Apparent power over what active and reactive power make of it, since currents are no sines."""
_FIRST_SLOT: Final = int(FIRST_DAY.astype(np.int64)) * SLOTS


@dataclass(frozen=True, slots=True, eq=False)
class Consumers:
    """What sets single meters apart, each array in the order of `index`.

    `index`: coordinate of their noise, shape (n,); `kind`: number of their archetype, (n,); `scale`: how many times the
    archetype's flows theirs are, (FLOWS, n).
    """

    seed: int
    index: Integers
    kind: Integers
    scale: Floats

    @property
    def generates(self) -> bool:
        """Whether any of them feeds in."""
        return bool(_tables().gives[self.kind].any())


def consumers(seed: int, index: ArrayLike, kind: ArrayLike, size: ArrayLike) -> Consumers:
    """`size`: how many times as much as a single-phase service a meter's service takes."""
    meter, kinds = np.atleast_1d(np.asarray(index, np.int64)), np.atleast_1d(np.asarray(kind, np.int64))
    least, most = np.array([archetype.spread for archetype in ARCHETYPES.values()])[kinds].T
    service = np.broadcast_to(np.asarray(size, np.float64), meter.shape)
    taken = service * (least + (most - least) * unit(seed, "size", meter) ** 2)
    given = service * (0.4 + 1.2 * unit(seed, "panels", meter))
    phase = 0.7 + 0.5 * unit(seed, "power factor", meter)
    scale = np.stack([taken, taken * phase**2, given, given, taken * phase, given, given, taken * phase])
    return Consumers(seed, meter, kinds, scale)


def flown(who: Consumers, rows: ArrayLike, moments: ArrayLike, flows: Sequence[int]) -> Floats:
    """Wh, VAh or varh of each of `flows` since 2020-01-01, for the meter in each row of `who` at each moment.

    `rows` and `moments` (seconds since 1970 UTC) broadcast against each other; the flows are a first axis.
    Before 2020 and after 2050 nothing flows.
    """
    row, moment = np.asarray(rows, np.int64), np.asarray(moments, np.int64)
    day, slot = _calendar_place(who, row, moment)
    tables, kind, meter = _tables(), who.kind[row], who.index[row]
    whole = slot.astype(np.int64)
    part = slot - whole
    shape = tables.shape_of[kind, day] * (SLOTS + 1) + whole
    place = kind * (DAYS + 1) + day
    mood = tables.mood[kind]
    mood_begun = mood * (2.0 * unit(who.seed, "mood", meter, day) - 1.0)
    mood_ended = mood * (2.0 * unit(who.seed, "mood", meter, day + 1) - 1.0)
    result = np.empty((len(flows), *slot.shape))
    for flow, into in zip(flows, result, strict=True):
        days, lesser, shapes = tables.days[flow], tables.lesser[flow], tables.shapes[flow]
        begun = days.take(place) + mood_begun * lesser.take(place)
        ended = days.take(place + 1) + mood_ended * lesser.take(place + 1)
        through = shapes.take(shape)
        through += (shapes.take(shape + 1) - through) * part
        # In this form what does not flow stands still to the last bit, through midnight too.
        np.multiply(begun * (1.0 - through) + ended * through, who.scale[flow][row], out=into)
    return result


def kind_number(name: str) -> int:
    """The number of an archetype."""
    return tuple(ARCHETYPES).index(name)


def _calendar_place(who: Consumers, row: Integers, moment: Integers) -> tuple[Integers, Floats]:
    """The day in the tables, and how many slots of it are over, as the meter's consumer has them."""
    tables, kind, meter = _tables(), who.kind[row], who.index[row]
    slot = moment // SLOT_S
    part = (moment - slot * SLOT_S) / SLOT_S
    flicker = tables.flicker[kind]
    early = flicker * (2.0 * unit(who.seed, "flicker", meter, slot) - 1.0)
    late = flicker * (2.0 * unit(who.seed, "flicker", meter, slot + 1) - 1.0)
    habit = tables.habit[kind] * (2.0 * unit(who.seed, "habit", meter) - 1.0)
    passed = (slot + (IST_OFFSET_S // SLOT_S - _FIRST_SLOT)) + part + early * (1.0 - part) + late * part + habit
    passed = np.clip(passed, SLOTS, (DAYS - 2) * SLOTS)
    day = np.floor(passed / SLOTS).astype(np.int64)
    return day, np.clip(passed - day * SLOTS, 0.0, SLOTS - 1e-9)


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    days: Floats
    """Energy since FIRST_DAY at the beginning of each day: (FLOWS, kinds × (DAYS + 1))."""
    lesser: Floats
    """The lesser of the energies of each day and the day before, so much of which mood can move over the midnight
    between them: (FLOWS, kinds × (DAYS + 1))."""
    shape_of: Integers
    """The shape of each day: (kinds, DAYS)."""
    shapes: Floats
    """Part of the day's energy that has flowed at the beginning of each slot: (FLOWS, shapes × (SLOTS + 1))."""
    gives: NDArray[np.bool_]
    """Which kinds feed in."""
    flicker: Floats
    mood: Floats
    habit: Floats
    """In slots."""


@cache
def _tables() -> _Tables:
    kinds = tuple(ARCHETYPES.values())
    power = np.stack([_power(archetype) for archetype in kinds])  # (kinds, 12, DAY_KINDS, SLOTS, FLOWS)
    energy = power.sum(axis=3) * (SLOT_S / 3600.0)
    summed = np.cumsum(power, axis=3)
    shares = summed / np.where(summed[:, :, :, -1:] == 0.0, 1.0, summed[:, :, :, -1:])
    shapes = np.concatenate([np.zeros_like(shares[:, :, :, :1]), shares], axis=3)
    month, day_kind = months(), day_kinds()
    of_days = np.moveaxis(energy[:, month, day_kind], 2, 0)  # (FLOWS, kinds, DAYS)
    days = np.concatenate([np.zeros_like(of_days[:, :, :1]), np.cumsum(of_days, axis=2)], axis=2)
    of_next = np.concatenate([of_days, of_days[:, :, -1:]], axis=2)
    number = np.arange(len(kinds))[:, None] * (12 * DAY_KINDS) + month * DAY_KINDS + day_kind
    return _Tables(
        days=days.reshape(FLOWS, -1),
        lesser=np.minimum(of_next, np.roll(of_next, 1, axis=2)).reshape(FLOWS, -1),
        shape_of=number,
        shapes=np.moveaxis(shapes.reshape(-1, SLOTS + 1, FLOWS), 2, 0).reshape(FLOWS, -1),
        gives=np.array([archetype.give is not None for archetype in kinds]),
        flicker=np.array([archetype.flicker for archetype in kinds]),
        mood=np.array([archetype.mood for archetype in kinds]),
        habit=np.array([archetype.habit_h * 3600.0 / SLOT_S for archetype in kinds]),
    )


def _power(archetype: Archetype) -> Floats:
    """W, VA and var of each flow in each slot of a day of each month and kind: (12, DAY_KINDS, SLOTS, FLOWS)."""
    hour = (np.arange(SLOTS, dtype=np.float64) + 0.5) * (SLOT_S / 3600.0)
    power = np.zeros((12, DAY_KINDS, SLOTS, FLOWS))
    every = [(month, day) for month in range(12) for day in range(DAY_KINDS)]
    taken = {which: archetype.take(hour, *which) for which in every}
    most = max(float(shape.max()) for shape in taken.values())
    for which in every:
        watts = taken[which]
        full = watts / most
        lagging, leading = watts * archetype.lag * np.sqrt(full), watts * archetype.lead * (1.0 - full) ** 2
        power[which][:, WH_IMPORT] = watts
        power[which][:, VARH_Q1], power[which][:, VARH_Q4] = lagging, leading
        power[which][:, VAH_IMPORT_EXCESS] = _HARMONICS * np.hypot(watts, lagging + leading) - watts
        if archetype.give is not None:
            given = archetype.give(hour, *which)
            power[which][:, WH_EXPORT] = given
            power[which][:, VARH_Q2], power[which][:, VARH_Q3] = 0.06 * given, 0.1 * given
            power[which][:, VAH_EXPORT_EXCESS] = _HARMONICS * np.hypot(given, 0.16 * given) - given
    return power
