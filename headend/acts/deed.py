"""What is to be done to a meter, before it is done: acts, how they are shown, and what a person has to confirm.

The one rule: which classes take the meter's serial number is said here, in `GUARDED`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from drivers.cosem.rendering import REDACTED, hide_secrets
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.raw_read import shape_of
from headend.words import Words, words
from profiles.errors import HeadEndError
from profiles.objects import AttributeRef, MethodRef

GUARDED: Final = frozenset({15, 18, 64, 70, 71})
"""Association, image transfer, security setup, disconnect control, limiter."""
SECRET_CLASSES: Final = frozenset({12, 15, 64})


@dataclass(frozen=True, slots=True)
class Act:
    """One request: an attribute set to `value`, or a method called with it."""

    reference: AttributeRef | MethodRef
    value: Datum | None

    @property
    def shown_value(self) -> Datum | None:
        """The value as it may be shown: keys go to associations and security setups."""
        if self.value is None:
            return None
        if isinstance(self.reference, AttributeRef):
            return hide_secrets(self.value, shape_of(self.reference))
        return Datum(REDACTED) if self.reference.class_id in SECRET_CLASSES else self.value


@dataclass(frozen=True, slots=True)
class View:
    """What a meter says of what is changed: entries of a first line and what goes below it, and the same as JSON."""

    entries: tuple[tuple[str, ...], ...]
    document: Any

    def lines(self, when: str) -> list[str]:
        """`before: …`, an entry after the other; `when`: `now`, `before` or `after`."""
        said = ((words(f"acts.line_{when}", entry=first), *rest) for first, *rest in self.entries)
        return [line for entry in said for line in entry]


@dataclass(frozen=True, slots=True)
class Deed:
    """What a command does to one object of a meter.

    `look` is asked before and after; `plan` gives the acts, right before they are sent. `wanted`: what they are, and
    `warning` what they cost, in a person's words. `serial`: where the meter's serial number stands.
    """

    title: str
    serial: AttributeRef
    look: Callable[[Session], Awaitable[View]]
    plan: Callable[[Session], Awaitable[tuple[Act, ...]]]
    wanted: tuple[str, ...] = ()
    warning: Words | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a person confirms. `yes` and `serial` as on the command line; the two callables ask at a terminal.

    `ask` returns whether to go on, `ask_serial` what was typed; both are None where there is no terminal.
    """

    yes: bool
    serial: str | None
    ask: Callable[[], bool] | None
    ask_serial: Callable[[], str] | None


class NotConfirmedError(HeadEndError):
    """The person said no."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done. `returned`: by a method."""

    deed: Deed
    before: View
    after: View
    returned: Datum | None
    system_title: bytes
