"""What an error most likely means at a meter, and what to try: `explanations.toml`, in English and Hindi.

The one rule: causes stand in the order of their likelihood, and none is said that the error does not allow for. What
went wrong in detail is said in the error's own words, in English: makers and offices search for them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from headend.keys import FILE_REMEDIES
from headend.words import ENGLISH, HINDI, Words, joined, words
from profiles.errors import (
    AccessDenied,
    HeadEndError,
    IdentityMismatch,
    LinkError,
    LinkTimeout,
    MeterBusy,
    ProtocolError,
    SecurityError,
    SettingsError,
    UnbelievableCounter,
)

EXPLANATIONS: Final = Path(__file__).with_name("explanations.toml")
REMEDIES: Final = {
    "see the name of the port": "no_port",
    "let this user use the port": "port_forbidden",
    "see the port and its settings": "no_serial_port",
    "wait for it, or stop it": "port_taken",
    **{remedy: name for name, remedy in FILE_REMEDIES.items()},
}
"""What is advised, by `drivers.links.serial` where a port can't be opened, and where a file gives no keys."""
_KINDS: Final[tuple[tuple[type[HeadEndError], str], ...]] = (
    (LinkTimeout, "silent"),
    (LinkError, "no_link"),
    (ProtocolError, "not_dlms"),
    (UnbelievableCounter, "counter"),
    (SecurityError, "not_trusted"),
    (MeterBusy, "busy"),
    (IdentityMismatch, "another_meter"),
)


def symptom(error: HeadEndError) -> str | None:
    """Which explanation an error has; None where its own words say all."""
    if error.remedy in REMEDIES:
        return REMEDIES[error.remedy]
    if isinstance(error, AccessDenied):
        return _denied(error)
    if isinstance(error, LinkError) and "is not known" in error.message:
        return "no_such_host"
    if isinstance(error, LinkTimeout) and "SNRM" in error.message:
        return "silent_line"
    if isinstance(error, LinkTimeout) and "no identification" in error.message:
        return "no_sign_on"
    if isinstance(error, LinkError) and re.search("refused the connection|was refused", error.message):
        return "refused"
    if isinstance(error, LinkError) and "closed the connection" in error.message and error.asked == "associate":
        return "hung_up"
    if isinstance(error, SettingsError):
        return "no_key" if "HEADEND_" in error.remedy else None
    return next((name for kind, name in _KINDS if isinstance(error, kind)), None)


def _denied(error: AccessDenied) -> str:
    if error.asked.startswith("associate, HLS"):
        return "wrong_secret"
    if error.asked.startswith("associate"):
        by_reason = {"authentication failed": "wrong_password", "deciphering error": "wrong_key"}
        return next((name for reason, name in by_reason.items() if reason in error.message), "association_refused")
    return "not_there" if re.search("object (undefined|unavailable)", error.message) else "not_allowed"


def explanation(error: HeadEndError) -> list[str]:
    """Lines for a person: what failed, what it may be, what to try."""
    told = error.message if str(error) == error.message else str(error)
    lines: list[str] = [joined(("headend:", told), " ")]
    name = symptom(error)
    if name is None:
        return lines
    english, hindi = (_texts()[name][language] for language in (ENGLISH, HINDI))
    lines += ["", Words(english["what"], hindi["what"]), "", words("reading.causes")]
    causes = zip(english["causes"], hindi["causes"], strict=True)
    lines += [Words(f"  {number}. {cause}", f"  {number}. {same}") for number, (cause, same) in enumerate(causes, 1)]
    steps = zip(english["try"], hindi["try"], strict=True)
    return [*lines, "", words("reading.try"), *(Words(f"  - {step}", f"  - {same}") for step, same in steps)]


@cache
def _texts() -> Mapping[str, Any]:
    return tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
