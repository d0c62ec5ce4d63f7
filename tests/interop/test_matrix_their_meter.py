"""The example meter of pydlms-client's simulator, as our client uses it: every authentication, protection and link that
both know, and every service on each of them.

What the meter holds is told by pydlms-client's own client, octet for octet. Of its two readings of what
general-ciphering authenticates and general-signing signs, the meter has ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import their_meter
from their_meter import Held, Meter, Way

Serve = Callable[..., Any]
Run = Callable[..., Any]

SIMULATED = [
    *(Way(mechanism, hdlc=hdlc) for hdlc in (False, True) for mechanism in (0, 1, 2, 3, 4, 6)),
    *(Way(mechanism, 0x30) for mechanism in range(7)),
    *(Way(5, 0x30, ciphering) for ciphering in ("general-glo", "ded", "general-ded")),
    *(Way(5, 0x30, ciphering, hdlc=True) for ciphering in ("glo", "general-glo")),
]
SERVED = [
    *(Way(5, control) for control in (0x10, 0x20)),
    *(Way(6, control) for control in (0x31, 0x32)),
    *(Way(7, control, "general-glo", hdlc=hdlc) for control, hdlc in ((0x31, False), (0x32, True))),
    Way(7, 0x31, signed=True),
    Way(6, 0x31, "general-ciphering"),
    Way(7, 0x32, "general-ciphering", signed=True),
]


@pytest.fixture(scope="module")
def simulated(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool, bool], Meter]]:
    """The meter, ciphered or not, by HDLC or not: each served once."""
    with ExitStack() as stack:

        @cache
        def meter(ciphered: bool, hdlc: bool) -> Meter:
            folder = tmp_path_factory.mktemp("simulated")
            return stack.enter_context(their_meter.simulated(serve, folder, ciphered=ciphered, hdlc=hdlc))

        yield meter


@pytest.fixture(scope="module")
def held(run: Run, simulated: Callable[[bool, bool], Meter]) -> Held:
    return their_meter.witness(run, simulated(False, False))


@pytest.mark.parametrize("way", SIMULATED, ids=str)
async def test_every_service_of_their_meter_is_used(
    simulated: Callable[[bool, bool], Meter], held: Held, way: Way
) -> None:
    async with simulated(bool(way.control), way.hdlc).session(way) as session:
        await their_meter.read(session, held)
        await their_meter.write(session)
        if not way.control or way.ciphering.startswith("general"):
            await their_meter.access(session, held)


@pytest.mark.parametrize("way", SERVED, ids=str)
async def test_every_service_of_their_meter_is_used_in_every_protection(
    serve: Serve, tmp_path: Path, held: Held, way: Way
) -> None:
    with their_meter.served(serve, tmp_path, way) as meter:
        async with meter.session(way) as session:
            await their_meter.read(session, held)
            await their_meter.write(session)
            await their_meter.echo(session)
