"""What a person is told, in English and Hindi: each package has both by name in its own `messages.toml`.

The one rule: a message is English wherever it goes as data (JSON, CSV, reports, records, session files), for it is a
`str` of that; only where it is shown to a person, `spoken` gives it in the language of the command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

ENGLISH: Final = "en"
HINDI: Final = "hi"
LANGUAGES: Final = (ENGLISH, HINDI)
PACKAGES: Final = Path(__file__).parent

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


class Words(str):
    """What is said: English, and beside it the same in `hindi`."""

    __slots__ = ("hindi",)
    hindi: str

    def __new__(cls, english: str, hindi: str) -> Words:
        made = super().__new__(cls, english)
        made.hindi = hindi
        return made

    def __reduce__(self) -> tuple[type[Words], tuple[str, str]]:
        return Words, (str(self), self.hindi)


def words(name: str, /, **values: object) -> Words:
    """The message `PACKAGE.NAME` of that package's catalogue, with its values; Words among them in each language."""
    package, _, key = name.partition(".")
    return filled(_catalogue(package)[key], values)


def filled(message: Mapping[str, str], values: Mapping[str, object]) -> Words:
    """A message of any catalogue, `en` and `hi`, with its values."""
    return Words(
        message[ENGLISH].format_map(values),
        message[HINDI].format_map({name: _hindi(value) for name, value in values.items()}),
    )


def joined(parts: Iterable[str], between: str = ", ") -> Words:
    """The parts, one after the other, in each language."""
    said = list(parts)
    return Words(between.join(said), between.join(str(_hindi(part)) for part in said))


def _hindi(value: object) -> object:
    return value.hindi if isinstance(value, Words) else value


def spoken(text: str) -> str:
    """A text as the person is told it."""
    return text.hindi if isinstance(text, Words) and _language.get() == HINDI else text


def speak(language: str) -> None:
    """From here on, tell things in this one of LANGUAGES."""
    _language.set(language)


def usual_language(environment: Mapping[str, str]) -> str:
    """What LC_ALL, LC_MESSAGES or LANG say; English where they say another than ours."""
    text = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return HINDI if text.partition("_")[0] == HINDI else ENGLISH


@cache
def _catalogue(package: str) -> Mapping[str, Mapping[str, str]]:
    import tomllib  # not for `headend --help`, which starts at once

    return tomllib.loads((PACKAGES / package / "messages.toml").read_text(encoding="utf-8"))
