"""Two nodes share the work, and one is killed: the other takes over, and no meter is ever read by both at once."""

from __future__ import annotations

import time

from campaign import Campaign
from terminal import LIMIT_S

ONE_AT_A_TIME = "one_association = { share = 1, lingers_s = 0 }"
"""A meter that is read already refuses whoever comes second."""


def test_a_killed_nodes_work_is_taken_over_and_no_meter_is_read_twice_at_once(campaign: Campaign) -> None:
    segments = campaign.scale.pick(6, 40)
    days = campaign.scale.pick(8, 30)
    meters = campaign.fleet(campaign.scale.pick(24, 1000), days=days, faults=ONE_AT_A_TIME)
    campaign.register(meters, segments=segments)
    few = {"COLLECTION__MAX_OPEN_SESSIONS": "2", "COLLECTION__SEGMENTS_AT_ONCE": "2", "COLLECTION__ATTEMPTS": "1"}
    nodes = [campaign.node(SPOOL__FOLDER=str(campaign.terminal.folder / f"spool {n}"), **few) for n in range(2)]
    for node in nodes:
        node.says("job_finished")
    nodes[0].process.kill()
    nodes[0].process.wait(LIMIT_S)
    killed, before = time.monotonic(), campaign.stored()
    campaign.until(lambda: campaign.complete(meters), "every interval")
    campaign.figures |= {"stored at the kill": before, "all stored after_s": round(time.monotonic() - killed)}
    assert nodes[1].stop() == 0
    assert nodes[0].events("meter_failed") == []
    # A meter that the killed node was at may take the other for a second one, until it hears that the first is gone.
    assert len(nodes[1].events("meter_failed")) <= int(few["COLLECTION__MAX_OPEN_SESSIONS"])
    campaign.check(meters)
