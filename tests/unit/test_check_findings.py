"""What the doctor of a meter can say: the same in each language, with a remedy for all that is to be mended."""

from __future__ import annotations

from string import Formatter

import pytest

from headend.check.finding import FINDINGS, Verdict, codes, finding, in_order, verdict_of
from headend.words import LANGUAGES, words


@pytest.mark.parametrize("code", codes())
def test_each_finding_says_the_same_in_each_language(code: str) -> None:
    template = FINDINGS.read_text(encoding="utf-8").split(f"[{code}]\n")[1].split("\n\n[")[0]
    lines = {line[:2]: line for line in template.splitlines() if line[:5] in ("en = ", "hi = ")}
    names = {language: sorted(name for _, name, *_ in Formatter().parse(lines[language]) if name) for language in lines}
    assert set(lines) == set(LANGUAGES)
    assert set(names["en"]) == set(names["hi"])
    found = finding(code, **dict.fromkeys(names["en"], 7))
    assert any("\u0900" <= letter <= "\u097f" for letter in found.said.hindi)
    assert bool(found.remedy) == bool(found.remedy.hindi)
    if found.verdict in (Verdict.BROKEN, Verdict.MEND):
        assert found.remedy, "what is to be mended has a remedy"
    assert words(f"check.subject_{found.subject}")
    assert words(f"check.verdict_{found.verdict.name.lower()}") == found.verdict


def test_the_gravest_finding_comes_first_and_is_the_verdict() -> None:
    found = [
        finding("relay_on"),
        finding("unread", what="clock", why="nobody knows"),
        finding("gaps", days=3, missing=1, expected=288, where="there"),
        finding("no_such_name", host="nowhere"),
    ]
    assert [one.code for one in in_order(found)] == ["no_such_name", "gaps", "unread", "relay_on"]
    assert verdict_of(found) is Verdict.BROKEN
    assert verdict_of(found[:3]) is Verdict.MEND
    assert verdict_of(found[:2]) is Verdict.GOOD, "what could not be checked is nobody's fault yet"
