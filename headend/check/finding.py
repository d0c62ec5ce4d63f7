"""Findings: what a check found, what that means, and what to do.

The one rule: all that can be found stands in `findings.toml`, the gravest first in each verdict, with its words in
English and Hindi; a check names a finding and gives it its values, and writes no sentence of its own.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from headend.words import LANGUAGES, Words, filled

FINDINGS: Final = Path(__file__).with_name("findings.toml")


class Verdict(enum.StrEnum):
    """The gravest first. `UNKNOWN`: it could not be checked, which is nobody's fault yet."""

    BROKEN = "broken"
    MEND = "to mend"
    UNKNOWN = "not checked"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is its name in `findings.toml`; `said`: what the meter or the link said; `remedy`: empty where none is
    needed."""

    code: str
    subject: str
    verdict: Verdict
    said: Words
    remedy: Words


def finding(code: str, **values: object) -> Finding:
    """The finding of this name in words; `values` are those that its words leave open."""
    entry = _entries()[code]
    said, remedy = (filled({language: entry[language][part] for language in LANGUAGES}, values) for part in (0, 1))
    return Finding(code, entry["subject"], Verdict(entry["verdict"]), said, remedy)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first; of one verdict, in the order of `findings.toml`."""
    verdicts, codes = list(Verdict), list(_entries())
    return sorted(findings, key=lambda one: (verdicts.index(one.verdict), codes.index(one.code)))


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Of the meter: the gravest of all; what could not be checked counts for nothing."""
    found = {one.verdict for one in findings}
    return next((one for one in (Verdict.BROKEN, Verdict.MEND) if one in found), Verdict.GOOD)


def codes() -> tuple[str, ...]:
    """All findings there are."""
    return tuple(_entries())


@cache
def _entries() -> Mapping[str, Any]:
    return tomllib.loads(FINDINGS.read_text(encoding="utf-8"))
