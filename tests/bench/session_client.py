"""Hold sessions with our client or dlms-cosem's, and print CPU seconds a session: a program of its own, so that what
the bench itself does is not counted. `session_client.py CLIENT < what.json`, as `bench_session.py` calls it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

ROUNDS = 15


def ours(meter: dict[str, Any], *, at_once: bool = False) -> Callable[[int, int], list[bytes]]:
    """Sessions with one meter one after the other, or with as many meters at once, as the daemon holds them."""
    import uvloop

    from drivers.address import Address, parse_address
    from drivers.credentials import CounterRange, Credentials
    from drivers.dlms.security import Key
    from drivers.session import open_session
    from profiles.loader import load_meter_type

    meter_type = load_meter_type(meter["type"])
    kind = meter_type.associations[meter["association"]]
    title = bytes.fromhex(meter["title"])

    def known(one: dict[str, str]) -> tuple[Address, bytes, Key, Key]:
        keys = Key.from_hex(one["encryption_key"]), Key.from_hex(one["authentication_key"])
        return parse_address(one["address"]), bytes.fromhex(one["system_title"]), *keys

    meters = [known(one) for one in meter["meters"]]

    async def session(number: int, counter: int) -> bytes:
        address, server_title, *keys = meters[number]
        credentials = Credentials(title, *keys, counters=CounterRange(counter, counter + meter["step"]))
        async with open_session(address, meter_type, kind, credentials, server_title=server_title) as open_one:
            return await open_one.get(meter_type.clock)

    async def sessions(first: int, count: int) -> list[bytes]:
        counters = [first + number * meter["step"] for number in range(count)]
        if at_once:
            return list(await asyncio.gather(*map(session, range(count), counters)))
        return [await session(0, counter) for counter in counters]

    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return lambda first, count: runner.run(sessions(first, count))


def dlms_cosem(meter: dict[str, Any]) -> Callable[[int, int], list[bytes]]:
    from dlms_cosem.clients.dlms_client import DlmsClient
    from dlms_cosem.cosem import CosemAttribute, Obis
    from dlms_cosem.enumerations import AuthenticationMechanism, CosemInterface

    logging.disable(logging.CRITICAL)  # it warns of every APDU
    clock = CosemAttribute(CosemInterface.CLOCK, Obis(0, 0, 1, 0, 0), 2)

    def session(counter: int) -> bytes:
        client = DlmsClient.with_tcp_transport(
            meter["host"],
            meter["port"],
            client_logical_address=meter["client"],
            server_logical_address=1,
            authentication_method=AuthenticationMechanism.HLS_GMAC,
            encryption_key=bytes.fromhex(meter["encryption_key"]),
            authentication_key=bytes.fromhex(meter["authentication_key"]),
            client_system_title=bytes.fromhex(meter["title"]),
            client_initial_invocation_counter=counter,
        )
        with client.session() as open_one:
            return open_one.get(clock)

    return lambda first, count: [session(first + number * meter["step"]) for number in range(count)]


CLIENTS = {"ours": ours, "ours, at once": partial(ours, at_once=True), "dlms-cosem": dlms_cosem}


def measure(hold: Callable[[int, int], list[bytes]], meter: dict[str, Any]) -> float:
    """CPU seconds a session, of this process and the system's work for it: the best of some rounds."""
    first, count, step = meter["counter"], meter["sessions"], meter["step"]
    seconds = []
    for turn in range(ROUNDS + 1):  # the first warms up
        gc.collect()
        start = time.process_time()
        clocks = hold(first + turn * count * step, count)
        seconds.append((time.process_time() - start) / count)
        assert [clock[:2] for clock in clocks] == [b"\x09\x0c"] * count
    return min(seconds[1:])


if __name__ == "__main__":
    meter = json.load(sys.stdin)
    print(measure(CLIENTS[sys.argv[1]](meter), meter))
