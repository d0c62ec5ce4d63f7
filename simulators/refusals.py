"""How a simulated meter says no: by a result inside an answer, an exception-response, a refused AARQ, or not at all.

The one rule: these are not errors but what a meter does, so each is turned into octets, or into a closed connection,
where answers are made (`association.Connection`, `access.Access`).
"""

from __future__ import annotations

from enum import IntEnum

from drivers.dlms import acse, apdu


class Result(IntEnum):
    """Data-access-results and action-results (Green Book, clause 9.5); those of long actions are in `LongAction`."""

    SUCCESS = 0
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    CLASS_INCONSISTENT = 9
    TYPE_UNMATCHED = 12
    SCOPE_VIOLATED = 13
    NO_LONG_GET = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET = 18
    BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


class LongAction(IntEnum):
    """What an action-result says of a long action where a data-access-result has other words."""

    ABORTED = 15
    NOT_IN_PROGRESS = 16


class Diagnostic(IntEnum):
    """Diagnostics of the acse-service-user."""

    NULL = 0
    NO_REASON = 1
    CONTEXT_NOT_SUPPORTED = 2
    CALLING_TITLE_NOT_RECOGNIZED = 3
    MECHANISM_NOT_RECOGNIZED = 11
    MECHANISM_REQUIRED = 12
    AUTHENTICATION_FAILED = 13
    AUTHENTICATION_REQUIRED = 14


class HangUp(Exception):  # noqa: N818
    """The meter closes the connection without a word."""


class Refused(Exception):  # noqa: N818
    """The meter refuses an attribute or a method, with this data-access-result or action-result."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


class Excepted(Exception):  # noqa: N818
    """The meter does not even begin: exception-response."""

    def __init__(self, state_error: int, service_error: int, invocation_counter: int | None = None) -> None:
        self.response = apdu.ExceptionResponse(state_error, service_error, invocation_counter)
        super().__init__(self.response)


class Rejected(Exception):  # noqa: N818
    """The meter refuses the association."""

    def __init__(
        self, diagnostic: Diagnostic, *, transient: bool = False, because: tuple[int, int] | None = None
    ) -> None:
        """`because`: kind and code of a confirmed-service-error that tells more."""
        super().__init__(diagnostic)
        self.diagnostic = diagnostic
        self.result = acse.REJECTED_TRANSIENT if transient else acse.REJECTED_PERMANENT
        self.because = because


def not_allowed() -> Excepted:
    """Not in this state."""
    return Excepted(1, 1)


def not_supported() -> Excepted:
    """A service that was not agreed on."""
    return Excepted(1, 2)


def too_long() -> Excepted:
    """An APDU beyond what was agreed on."""
    return Excepted(1, 4)


def not_deciphered() -> Excepted:
    """Other protection than required, or a tag or signature that does not fit."""
    return Excepted(1, 5)


def counter_expected(counter: int) -> Excepted:
    """A replayed counter, and the lowest one that would be taken."""
    return Excepted(1, 6, counter)


def unknown() -> Excepted:
    """No APDU that is known here."""
    return Excepted(2, 3)
