"""Make pushes with gurux-dlms: a program of its own, since gurux-dlms is GPL; no test imports it.

Takes a list of jobs in JSON on stdin: framing (WRAPPER, HDLC, PDU), security (a security control, or 0), counter,
title, encryption_key, authentication_key, date_time (whether there is one), body (A-XDR in hex). Prints the frames of
each.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from gurux_dlms import GXByteBuffer
from gurux_dlms.enums import Conformance, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureNotify

CLIENT, SERVER = 64, 1


def frames(job: dict[str, Any]) -> list[str]:
    notify = GXDLMSSecureNotify(True, CLIENT, SERVER, InterfaceType[job["framing"]])
    notify.conformance |= Conformance.GENERAL_PROTECTION
    ciphering = notify.ciphering
    ciphering.systemTitle = bytes.fromhex(job["title"])
    ciphering.blockCipherKey = bytes.fromhex(job["encryption_key"])
    ciphering.authenticationKey = bytes.fromhex(job["authentication_key"])
    ciphering.invocationCounter = job["counter"]
    if job["security"]:
        ciphering.security = Security(job["security"])
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) if job["date_time"] else None
    body = GXByteBuffer(bytes.fromhex(job["body"]))
    return [bytes(frame).hex() for frame in notify.generateDataNotificationMessages(moment, body)]


def main() -> None:
    json.dump([frames(job) for job in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
