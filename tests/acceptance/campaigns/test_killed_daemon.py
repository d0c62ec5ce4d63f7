"""The daemon is killed at random moments: whatever it was at, every interval is stored once in the end."""

from __future__ import annotations

import signal

from campaign import Campaign
from terminal import LIMIT_S


def test_a_daemon_killed_at_random_moments_loses_nothing_and_doubles_nothing(campaign: Campaign) -> None:
    kills = campaign.scale.pick(3, 50)
    meters = campaign.terminal.meters(campaign.scale.pick(16, 300), days=campaign.scale.pick(8, 30))
    campaign.register(meters, segments=campaign.scale.pick(4, 20))
    for _ in range(kills):
        daemon = campaign.node(COLLECTION__MAX_OPEN_SESSIONS="4")
        daemon.says("daemon_started")
        campaign.pause(0.2, 2.5)
        daemon.process.kill()
        assert daemon.process.wait(LIMIT_S) == -signal.SIGKILL
    campaign.figures |= {"kills": kills, "stored when killed last": campaign.stored()}
    daemon = campaign.node()
    campaign.until(lambda: campaign.complete(meters), "every interval")
    assert daemon.stop() == 0
    campaign.check(meters)
