"""The tags of xDLMS APDUs, and those of their ciphered forms (Green Book, clause 9.5, XDLMS-APDU).

A service-specific ciphered APDU has a tag of its own: under the global key (glo-) and under the dedicated key (ded-).
"""

from __future__ import annotations

from typing import Final

SERVICES: Final = {
    1: "initiateRequest",
    5: "readRequest",
    6: "writeRequest",
    8: "initiateResponse",
    12: "readResponse",
    13: "writeResponse",
    14: "confirmedServiceError",
    22: "unconfirmedWriteRequest",
    24: "informationReportRequest",
    192: "get-request",
    193: "set-request",
    194: "event-notification-request",
    195: "action-request",
    196: "get-response",
    197: "set-response",
    199: "action-response",
}
"""tag: name, of every APDU that has a glo- and a ded- form."""

GLO: Final = {tag: tag + (8 if tag >= 192 else 32) for tag in SERVICES}
"""Tag in clear: tag under the global key."""

DED: Final = {tag: tag + (16 if tag >= 192 else 64) for tag in SERVICES}
"""Tag in clear: tag under the dedicated key."""

CIPHERED: Final = {
    **{ciphered: (plain, False) for plain, ciphered in GLO.items()},
    **{ciphered: (plain, True) for plain, ciphered in DED.items()},
}
"""Tag of a ciphered APDU: its tag in clear, and whether the key is the dedicated one."""

DATA_NOTIFICATION: Final = 0x0F
DATA_NOTIFICATION_CONFIRM: Final = 0x10
EXCEPTION_RESPONSE: Final = 0xD8
ACCESS_REQUEST: Final = 0xD9
ACCESS_RESPONSE: Final = 0xDA
GENERAL_GLO_CIPHERING: Final = 0xDB
GENERAL_DED_CIPHERING: Final = 0xDC
GENERAL_CIPHERING: Final = 0xDD
GENERAL_SIGNING: Final = 0xDF
GENERAL_BLOCK_TRANSFER: Final = 0xE0
GATEWAY_REQUEST: Final = 0xE6
GATEWAY_RESPONSE: Final = 0xE7


def ciphered_name(tag: int) -> str:
    """The name of a ciphered APDU, such as `glo-get-request`; KeyError for another tag."""
    plain, dedicated = CIPHERED[tag]
    return f"{'ded' if dedicated else 'glo'}-{SERVICES[plain]}"
