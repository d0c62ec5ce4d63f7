"""The database is stopped under load for a while, then killed: what was read meanwhile waits, and is stored once."""

from __future__ import annotations

from campaign import Campaign, Server


def test_a_database_stopped_under_load_and_then_killed_loses_nothing(campaign: Campaign, server: Server) -> None:
    campaign.dsn = server.dsn
    away_s = campaign.scale.pick(2.0, 300.0)
    meters = campaign.terminal.meters(campaign.scale.pick(24, 1000), days=campaign.scale.pick(6, 30))
    campaign.register(meters, segments=campaign.scale.pick(4, 20))
    daemon = campaign.node(COLLECTION__MAX_OPEN_SESSIONS="4")
    campaign.until(campaign.stored, "the first intervals")
    server.call("stop")
    daemon.says("database_away")
    campaign.pause(away_s, away_s)
    server.call("start")
    before = campaign.stored()
    campaign.until(lambda: campaign.stored() > before or campaign.complete(meters), "more intervals")
    for _ in range(campaign.scale.pick(1, 10)):
        campaign.pause(0, campaign.scale.pick(0.5, 20.0))
        server.stop_immediately()
        server.call("start")
    campaign.figures |= {"away_s": away_s, "stored when killed first": campaign.stored()}
    campaign.until(lambda: campaign.complete(meters), "every interval")
    assert daemon.stop() == 0
    campaign.check(meters)
