"""Result codes in words, and which of them are worth asking again (Green Book, clauses 9.3 and 9.5).

A code that the standard does not know is shown by its number, never refused: meters have their own.
"""

from __future__ import annotations

from typing import Final

INVOCATION_COUNTER_ERROR: Final = 6
"""The service error of an exception-response that tells of a counter below the expected one."""

_DATA_ACCESS_RESULTS: Final = {
    0: "success",
    1: "hardware fault",
    2: "temporary failure",
    3: "read-write denied",
    4: "object undefined",
    9: "object class inconsistent",
    11: "object unavailable",
    12: "type unmatched",
    13: "scope of access violated",
    14: "data block unavailable",
    15: "long get aborted",
    16: "no long get in progress",
    17: "long set aborted",
    18: "no long set in progress",
    19: "data block number invalid",
    250: "other reason",
}

_ACTION_RESULTS: Final = {
    **{code: text for code, text in _DATA_ACCESS_RESULTS.items() if code < 15},
    15: "long action aborted",
    16: "no long action in progress",
    250: "other reason",
}

_WORTH_A_RETRY: Final = frozenset({2, 14, 15, 16, 19})
"""A meter that was busy, or that lost its place in a block transfer."""

_STATE_ERRORS: Final = {1: "service not allowed", 2: "service unknown"}

_SERVICE_ERRORS: Final = {
    1: "operation not possible",
    2: "service not supported",
    3: "other reason",
    4: "APDU too long",
    5: "deciphering error",
    6: "invocation counter error",
}

_CONFIRMED_SERVICE_ERRORS: Final[dict[int, tuple[str, tuple[str, ...]]]] = {
    0: (
        "application reference",
        (
            "other",
            "time elapsed",
            "application unreachable",
            "application reference invalid",
            "application context unsupported",
            "provider communication error",
            "deciphering error",
        ),
    ),
    1: ("hardware resource", ("other", "memory unavailable", "processor unavailable", "mass storage unavailable")),
    2: ("VDE state", ("other", "no DLMS context", "loading data set", "status no change", "status inoperable")),
    3: ("service", ("other", "APDU too long", "service unsupported")),
    4: ("definition", ("other", "object undefined", "object class inconsistent", "object attribute inconsistent")),
    5: ("access", ("other", "scope of access violated", "object access violated", "hardware fault", "unavailable")),
    6: (
        "initiate",
        ("other", "DLMS version too low", "incompatible conformance", "APDU size too short", "refused by the meter"),
    ),
}


def data_access_text(code: int) -> str:
    """A data-access-result in words."""
    return _DATA_ACCESS_RESULTS.get(code, f"data-access-result {code}")


def action_text(code: int) -> str:
    """An action-result in words."""
    return _ACTION_RESULTS.get(code, f"action-result {code}")


def is_worth_a_retry(code: int) -> bool:
    """Whether asking again, unchanged, may help after this data-access-result or action-result."""
    return code in _WORTH_A_RETRY


def exception_text(state_error: int, service_error: int) -> str:
    """Both errors of an exception-response in words."""
    state = _STATE_ERRORS.get(state_error, f"state error {state_error}")
    return f"{state}: {_SERVICE_ERRORS.get(service_error, f'service error {service_error}')}"


def confirmed_service_error_text(category: int, code: int) -> str:
    """The error of a confirmed-service-error in words: its kind and its code."""
    name, codes = _CONFIRMED_SERVICE_ERRORS.get(category, (f"error kind {category}", ()))
    return f"{name}: {codes[code] if code < len(codes) else f'code {code}'}"
