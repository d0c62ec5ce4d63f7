"""Decode APDUs with pydlms-client and encode them again: a program of its own, since pydlms-client is GPL; no test
imports it. One APDU in hex a line on stdin; a line of JSON for each: its class, and its octets encoded again in hex.
"""

from __future__ import annotations

import json
import sys

from pydlms.apdu.xdlms import decode_apdu


def main() -> None:
    for line in sys.stdin:
        apdu = decode_apdu(bytes.fromhex(line))
        print(json.dumps([type(apdu).__name__, apdu.to_bytes().hex()]))


if __name__ == "__main__":
    main()
