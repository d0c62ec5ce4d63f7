"""Pushes through a broker that goes down, into a daemon that is killed between receipt and commit: each block that was
pushed is stored, once. Nothing but the first contact is polled, so that a push that is lost stays lost."""

from __future__ import annotations

import signal

from brokers import Broker
from campaign import Campaign
from gateway import Gateway
from terminal import LIMIT_S, Program
from test_seeing import metrics

BLOCKS = """
[push]
destination = "tcp://127.0.0.1:{port}"
every_minutes = {{ block_load = 15 }}
spread_s = 300
"""


def listener(campaign: Campaign, broker: Broker) -> Program:
    """A daemon that takes pushes from the broker, by a subscription of its own, and asks no meter."""
    program = campaign.terminal.start(
        "run",
        "--role",
        "listen",
        **campaign.environment,
        HEADEND_DATABASE__DSN=campaign.dsn,
        HEADEND_PUSH__MQTT_HOST="127.0.0.1",
        HEADEND_PUSH__MQTT_PORT=str(broker.port),
        HEADEND_PUSH__MQTT_CLIENT_ID="one",
        HEADEND_PUSH__MQTT_GROUP="",
        HEADEND_SEEING__PORT="0",
    )
    program.says("broker_connected")
    return program


def test_pushes_outlive_a_broker_that_is_down_and_a_daemon_killed_between_receipt_and_commit(
    campaign: Campaign, broker: Broker
) -> None:
    kills, away_s = campaign.scale.pick(3, 50), campaign.scale.pick(1.5, 60.0)
    with Gateway(broker.port).open() as gateway:
        meters = campaign.fleet(
            campaign.scale.pick(20, 200),
            days=campaign.scale.pick(0.125, 2),
            push=BLOCKS.format(port=gateway.port),
            speed=campaign.scale.pick(1200, 300),
        )
        campaign.register(meters)
        campaign.run("collect", "--once")  # of the first contact scalers are known; all else is pushed
        daemon = listener(campaign, broker)
        gateway.connect()
        campaign.until(campaign.stored, "the first blocks")
        broker.stop()
        daemon.says("broker_lost")
        campaign.pause(away_s, away_s)
        broker.start()
        uncommitted, before = 0, 0
        for _ in range(kills):
            campaign.pause(0.3, campaign.scale.pick(1.5, 5.0))
            received = metrics(daemon)['headend_pushes_total{outcome="kept"}']
            daemon.process.kill()
            assert daemon.process.wait(LIMIT_S) == -signal.SIGKILL
            uncommitted += max(0, round(received) - campaign.stored() + before)
            before = campaign.stored()
            daemon = listener(campaign, broker)
        campaign.until(lambda: campaign.complete(meters), "every block that was pushed")
    campaign.figures |= {"broker away_s": away_s, "kills": kills, "pushes": gateway.taken}
    campaign.figures |= {"received and not stored at kills": uncommitted}
    assert uncommitted > 0, "no kill came between receipt and commit"
    assert daemon.stop() == 0
    campaign.check(meters, pushed=True)
