"""Meters that let us not in: they are left alone, not for good; nobody on the way can silence one by what he forges."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from field import Field, field

from headend.collection import collector as collecting
from headend.registry import park
from simulators.meter import SimulatedMeter

MUTE, PROOF, MUTE_PROOF, HEALTHY, TAKEN_OVER, SHELVED = range(6)
HLS = "tcp://{host}:{port}?client=48"
WRONG = {
    MUTE: {"encryption_key": "00" * 16},
    PROOF: {"address": HLS, "hls_secret": "wr0ngS3cretOf16o"},
    MUTE_PROOF: {"address": HLS, "hls_secret": "wr0ngS3cretOf16o"},
    HEALTHY: {"address": HLS},
    SHELVED: {"encryption_key": "00" * 16},
}
AARE, GLO_ACTION_RESPONSE, REFUSED = 0x61, 0xCF, b"\xa2\x03\x02\x01\x01"


class Mute(SimulatedMeter):
    """Hangs up on keys that are not its own, where others refuse."""

    def on_wire(self, apdu: bytes) -> bytes | None:
        return None if apdu[0] == AARE and REFUSED in apdu else apdu


class MuteProof(SimulatedMeter):
    """Hangs up as our proof is due; so does a meter whose answer somebody on the way takes away."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.mute = True

    def on_wire(self, apdu: bytes) -> bytes | None:
        return None if apdu[0] == GLO_ACTION_RESPONSE and self.mute else apdu


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "RETRY_WAIT_S", 0.01)


async def parked(place: Field) -> set[int]:
    return {index for index in range(6) if (await place.status(index))["parked_reason"] is not None}


async def test_who_lets_us_not_in_is_tried_ever_more_rarely_and_comes_back_by_itself(timescale_dsn: str) -> None:
    odd = {MUTE: Mute, MUTE_PROOF: MuteProof, HEALTHY: MuteProof}
    async with field(timescale_dsn, 6, odd=odd, listed=WRONG) as place:
        taken_over, healthy = place.meters[TAKEN_OVER], place.meters[HEALTHY]
        own = taken_over.identity
        taken_over.identity = replace(own, system_title=b"SMA54321")
        for visit in range(3):
            assert await parked(place) == ({TAKEN_OVER} if visit else set())
            assert (await place.cycle(attempts=1)).answered == 0
        assert await parked(place) == set(range(6))
        for index in (MUTE, PROOF, MUTE_PROOF, HEALTHY):
            assert "refused 3 visits in a row" in (await place.status(index))["parked_reason"]
        (shelved,) = await place.ask("SELECT id FROM meter WHERE name = %s", place.name(SHELVED))
        await park(place.connection, shelved["id"], "a new one is on order", place.now)

        place.now += timedelta(minutes=59)
        assert (await place.cycle(attempts=1)).meters == 0
        assert isinstance(healthy, MuteProof)
        healthy.mute = False
        place.now += timedelta(minutes=1)
        report = await place.cycle(attempts=1)
        assert (report.meters, report.answered) == (4, 1)
        assert await parked(place) == {MUTE, PROOF, MUTE_PROOF, TAKEN_OVER, SHELVED}
        assert await place.complete([HEALTHY]) == [True]

        place.now += timedelta(hours=1)
        assert (await place.cycle(attempts=1)).meters == 1, "the others are tried after two hours, then four"
        taken_over.identity = own
        place.now += timedelta(hours=22)
        report = await place.cycle(attempts=1)
        assert (report.meters, report.answered) == (5, 2)
        assert await parked(place) == {MUTE, PROOF, MUTE_PROOF, SHELVED}
        assert await place.complete([TAKEN_OVER]) == [True]

        await place.register(WRONG | {index: {"address": HLS} for index in (PROOF, MUTE_PROOF)})
        place.now += timedelta(hours=4)
        report = await place.cycle(attempts=1)
        assert (report.answered, report.failed) == (3, {"LinkError": 2})
        assert await parked(place) == {MUTE, MUTE_PROOF, SHELVED}
        assert await place.complete([PROOF]) == [True]
