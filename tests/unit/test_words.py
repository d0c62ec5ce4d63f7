"""What a person is told, in English and Hindi: both are there, say the same, and are used."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import headend
from headend.reading.tables import quality_marks, reason_of
from headend.reading.text import marks_text
from headend.words import ENGLISH, HINDI, LANGUAGES, Words, joined, speak, spoken, usual_language, words
from profiles.intervals import IN_THE_FUTURE, NO_DATE_TIME, OFF_THE_GRID, OTHER_COLUMNS, TOO_OLD, Quality, Suspect

PACKAGE = Path(headend.__file__).parent
CATALOGUES = {
    file.parent.name: tomllib.loads(file.read_text(encoding="utf-8")) for file in PACKAGE.glob("*/messages.toml")
}


def asked_for() -> Iterator[str]:
    """What stands in the source as a message's name, or, with `_` at its end, as how some begin."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                package, dot, _ = node.value.partition(".")
                if dot and package in CATALOGUES and re.fullmatch(r"\w+\.\w+", node.value):
                    yield node.value


@pytest.mark.parametrize("package", CATALOGUES)
def test_each_message_says_the_same_in_each_language(package: str) -> None:
    for name, message in CATALOGUES[package].items():
        assert re.fullmatch(r"\w+", name)
        assert tuple(message) == LANGUAGES, name
        english, hindi = (sorted(part[1:3] for part in Formatter().parse(message[one]) if part[1]) for one in LANGUAGES)
        assert english == hindi, f"{name} leaves other values open"
        said = re.sub(r"\{[^}]*\}|HDLC|wrapper", "", message[HINDI])
        assert re.search("[ऀ-ॿ]", said) or not re.search(r"[A-Za-z]", said), name


def test_every_message_is_used_and_every_one_that_is_used_is_there() -> None:
    known = {f"{package}.{name}" for package, messages in CATALOGUES.items() for name in messages}
    names = set(asked_for())
    begun = tuple(name for name in names if name.endswith("_"))
    assert {name for name in known - names if not name.startswith(begun)} == set()
    assert {name for name in names - known if name not in begun} == set()
    assert all(any(name.startswith(beginning) for name in known) for beginning in begun)


def test_a_message_is_english_as_data_and_hindi_only_where_a_person_is_told_so() -> None:
    message = words("reading.intervals", title=words("reading.load_block_load"), rows=96, length=words("reading.a_day"))
    try:
        speak(HINDI)
        assert spoken(message) == "ब्लॉक लोड · एक दिन के 96 अंतराल"
        assert spoken(joined([message, "x"])) == "ब्लॉक लोड · एक दिन के 96 अंतराल, x"
        assert spoken("what a meter says") == "what a meter says"
        assert json.dumps([message]) == '["Block load \\u00b7 96 intervals of a day"]'
        assert f"{message}" == message == "Block load · 96 intervals of a day"
    finally:
        speak(ENGLISH)
    assert spoken(message) == message
    assert isinstance(message, Words)


def test_every_quality_mark_and_every_reason_has_words() -> None:
    assert marks_text(quality_marks(sum(Quality))) == ", ".join(quality_marks(sum(Quality))).replace("_", " ")
    for reason in (NO_DATE_TIME, TOO_OLD, IN_THE_FUTURE, OFF_THE_GRID, OTHER_COLUMNS):
        assert reason_of(Suspect(reason, b"", b"")) == reason


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "hi_IN.UTF-8"}, "hi"),
        ({"LANG": "hi_IN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_MESSAGES": "hi", "LANG": "en_IN"}, "hi"),
        ({"LANG": "de_DE"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_terminal(environment: dict[str, str], language: str) -> None:
    assert usual_language(environment) == language
