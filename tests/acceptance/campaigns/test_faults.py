"""Many meters from nothing, a fifth of whose sessions are hit by faults of link and protocol: all is stored in the end.

What a fault spoils is asked again until it came; a fault that a session survives changes no value.
"""

from __future__ import annotations

from campaign import Campaign

SHARE = 0.1
"""Of the meters, for each of the faults. With these chances about a fifth of all sessions is hit."""
FAULTS = {
    "latency": "median_ms = 5, longest_ms = 50",
    "reset": "chance = 0.01",
    "drop_mid_block": "chance = 0.03",
    "wrong_block_number": "chance = 0.02",
    "exception_response": "chance = 0.01",
    "refuse_association": "chance = 0.4",
    "duplicate_rows": "chance = 0.02",
    "rows_outside": "rows = 2",
}


def test_what_faults_spoil_is_asked_again_until_all_is_stored(campaign: Campaign) -> None:
    faults = "\n".join(f"{name} = {{ share = {SHARE}, {figures} }}" for name, figures in FAULTS.items())
    meters = campaign.fleet(campaign.scale.pick(20, 1000), days=campaign.scale.pick(2, 7), faults=faults)
    campaign.register(meters, segments=campaign.scale.pick(2, 10))
    daemon = campaign.node(COLLECTION__SESSION_TIMEOUT_S=campaign.scale.pick("10", "120"))
    campaign.until(lambda: campaign.complete(meters), "every interval")
    assert daemon.stop() == 0
    failed = daemon.events("meter_failed")
    assert failed, "no fault struck"
    campaign.figures |= {"sessions that failed for good": len(failed), "kinds": len({one["error"] for one in failed})}
    campaign.check(meters)
