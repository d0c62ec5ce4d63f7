"""English names of OBIS codes, for people only: nothing is decided by a name.

The one rule: the names are data (`obis_names.toml`); a code that it does not cover has none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from profiles.objects import Obis

_FILE: Final = Path(__file__).with_name("obis_names.toml")
_ABSTRACT: Final = 0
_ELECTRICITY: Final = 1
_PHASE_QUANTITIES: Final = range(21, 81)
_TIME_INTEGRALS: Final = frozenset({8, 9, 10, 29, 30, 58})
_INSTANTANEOUS: Final = 7
_NO_LETTERS: Final = re.compile(r"[^a-z0-9]+")
_CURRENT_VALUE: Final = 255
"""Group F of what is no value of an earlier billing period."""
_WITH_HARMONICS: Final = frozenset({11, 12})


class _Pattern(NamedTuple):
    """A range a value group, and the name of what lies in all of them."""

    ranges: tuple[tuple[int, int], ...]
    name: str

    def fits(self, obis: Obis) -> bool:
        return all(low <= group <= high for group, (low, high) in zip(obis, self.ranges, strict=True))


class _Names(NamedTuple):
    patterns: tuple[_Pattern, ...]
    quantities: Mapping[int, str]
    processings: Mapping[int, str]


@lru_cache(maxsize=4096)
def obis_name(obis: Obis) -> str | None:
    """`Active energy import, rate 1`, `Clock`; None for a code without a name."""
    names = _names()
    for pattern in names.patterns:
        if pattern.fits(obis):
            return pattern.name.format(**obis._asdict()) + _billing_period(obis)
    return _electricity(obis, names) if obis.a == _ELECTRICITY else None


def find_obis(name: str) -> Obis | None:
    """The code that `obis_name` gives this name, in any case, with blanks or hyphens; None where there is none.

    Of the codes that share a name it is the first: channel 0, no rate, no earlier billing period.
    """
    wanted, names = _simplified(name), _names()
    for pattern in names.patterns:
        first = Obis(*(low for low, _ in pattern.ranges[:5]))
        if _simplified(obis_name(first) or "") == wanted:
            return first
    groups = [*names.quantities, *_PHASE_QUANTITIES]
    codes = (Obis(_ELECTRICITY, 0, group, processing, 0) for group in groups for processing in names.processings)
    return next((code for code in codes if _simplified(_electricity(code, names) or "") == wanted), None)


def _simplified(name: str) -> str:
    return _NO_LETTERS.sub("-", name.lower()).strip("-")


def _electricity(obis: Obis, names: _Names) -> str | None:
    of_phases = obis.c in _PHASE_QUANTITIES
    quantity = (obis.c - 1) % 20 + 1 if of_phases else obis.c
    name, processing = names.quantities.get(quantity), names.processings.get(obis.d)
    if name is None or processing is None:
        return None
    if obis.d in _TIME_INTEGRALS:
        name = name.replace(" power", " energy")  # but no "power factor"
    if of_phases:
        name = f"{name} L{(obis.c - 1) // 20}"
    text = f"{name} {processing}".strip() + _rate(obis, quantity) + _billing_period(obis)
    return text[0].upper() + text[1:]


def _rate(obis: Obis, quantity: int) -> str:
    if obis.e == 0:
        return ""
    if obis.d == _INSTANTANEOUS and quantity in _WITH_HARMONICS:
        return f", harmonic {obis.e}"
    return f", rate {obis.e}"


def _billing_period(obis: Obis) -> str:
    return "" if obis.a == _ABSTRACT or obis.f == _CURRENT_VALUE else f", billing period {obis.f}"


@cache
def _names() -> _Names:
    with _FILE.open("rb") as file:
        tables = tomllib.load(file)
    return _Names(
        tuple(_Pattern(_ranges(entry["pattern"]), entry["name"]) for entry in tables["code"]),
        {int(group): name for group, name in tables["quantity"].items()},
        {int(group): name for group, name in tables["processing"].items()},
    )


def _ranges(pattern: str) -> tuple[tuple[int, int], ...]:
    groups = [_range(group) for group in pattern.split(".")]
    return tuple(groups + [(0, 255)] * (6 - len(groups)))


def _range(group: str) -> tuple[int, int]:
    if group == "*":
        return 0, 255
    low, _, high = group.partition("-")
    return int(low), int(high or low)
