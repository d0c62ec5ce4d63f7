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

FINDINGS: Final = Path(__file__).with_name("findings.toml")
LANGUAGES: Final = ("en", "hi")


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
    said: str
    remedy: str


def finding(code: str, language: str, **values: object) -> Finding:
    """The finding of this name in words, in the language; `values` are those that its words leave open."""
    entry = _entries()[code]
    said, remedy = entry[language]
    return Finding(
        code, entry["subject"], Verdict(entry["verdict"]), said.format_map(values), remedy.format_map(values)
    )


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first; of one verdict, in the order of `findings.toml`."""
    verdicts, codes = list(Verdict), list(_entries())
    return sorted(findings, key=lambda one: (verdicts.index(one.verdict), codes.index(one.code)))


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Of the meter: the gravest of all; what could not be checked counts for nothing."""
    found = {one.verdict for one in findings}
    return next((one for one in (Verdict.BROKEN, Verdict.MEND) if one in found), Verdict.GOOD)


def words(language: str) -> Mapping[str, str]:
    """Of subjects and verdicts."""
    return dict(_texts()["words"][language])


def codes() -> tuple[str, ...]:
    """All findings there are."""
    return tuple(_entries())


def _entries() -> Mapping[str, Any]:
    return {name: entry for name, entry in _texts().items() if name != "words"}


@cache
def _texts() -> Mapping[str, Any]:
    return tomllib.loads(FINDINGS.read_text(encoding="utf-8"))
