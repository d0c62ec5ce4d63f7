"""Hold sessions with the clients of gurux-dlms or pydlms-client, and print CPU seconds a session: a program of its own,
since those packages are GPL and never share a process with ours. `session_peer.py gurux|pydlms < what.json`, as
`bench_session.py` calls it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 15


def gurux(meter: dict[str, Any]) -> Callable[[int], bool]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "interop"))
    from gurux_client import Connection, secure_client
    from gurux_dlms.objects import GXDLMSClock

    wanted = {"authentication": "HIGH_GMAC", "system_title": meter["title"], **meter}

    def session(counter: int) -> bool:
        with Connection(secure_client(wanted, counter), meter["host"], meter["port"]) as connection:
            return connection.read(GXDLMSClock("0.0.1.0.0.255"), 2) is not None

    return session


def pydlms(meter: dict[str, Any]) -> Callable[[int], bool]:
    from pydlms import DlmsClient, Mechanism, SecurityContext

    keys = bytes.fromhex(meter["encryption_key"]), bytes.fromhex(meter["authentication_key"])
    title, server_title = bytes.fromhex(meter["title"]), bytes.fromhex(meter["server_title"])

    def session(counter: int) -> bool:
        client = DlmsClient.tcp(
            meter["host"],
            meter["port"],
            client_sap=meter["client"],
            mechanism=Mechanism.HLS_GMAC,
            security=SecurityContext(*keys, title, server_title, counter),
        )
        with client:
            return client.get("0.0.1.0.0.255", class_id=8) is not None

    return session


def main() -> None:
    meter = json.load(sys.stdin)
    session = {"gurux": gurux, "pydlms": pydlms}[sys.argv[1]](meter)
    counter, seconds = meter["counter"], []
    for _ in range(ROUNDS + 1):  # the first warms up
        gc.collect()
        start = time.process_time()
        for _ in range(meter["sessions"]):
            assert session(counter)
            counter += meter["step"]
        seconds.append((time.process_time() - start) / meter["sessions"])
    sys.__stdout__.write(f"{min(seconds[1:])}\n")


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # gurux-dlms prints as it protects
        main()
