"""The database's disk is full, then the database is away, and pushes fill the small disk of the spool: collection
pauses and says so, goes on by itself when there is room, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from campaign import Campaign, Server
from flooding import answers, flood
from terminal import LIMIT_S, Program, free_port, wait_until
from test_seeing import metrics, page

FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER disk_full BEFORE INSERT ON interval_reading FOR EACH ROW EXECUTE FUNCTION disk_full();
CREATE TRIGGER disk_full BEFORE INSERT ON discovered_meter FOR EACH ROW EXECUTE FUNCTION disk_full();
"""
"""What a server says whose disk is full when tables are to grow."""
NO_LONGER_FULL = """
CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$
"""
"""Takes no lock on the tables: dropping the triggers would, and the daemon that fills them may hold one of them."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a spool on a disk of its own of 4 MB; who may mount none has the smallest spool there is."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, timeout=20).returncode == 0
    yield {"SPOOL__FOLDER": str(folder), "SPOOL__MAX_MB": "8"}
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


@contextmanager
def pushing(port: int) -> Iterator[None]:
    """Pushes come all the time."""
    ends = threading.Event()

    def push() -> None:
        while not ends.is_set():
            flood(port, 90)

    pusher = threading.Thread(target=push, daemon=True)
    pusher.start()
    try:
        yield
    finally:
        ends.set()
        pusher.join(LIMIT_S)


def is_full(daemon: Program) -> bool:
    return metrics(daemon)["headend_spool_full"] == 1


def waiting(daemon: Program) -> float:
    """Entries in the spool."""
    return sum(value for name, value in metrics(daemon).items() if name.startswith("headend_spool_entries"))


def test_a_full_spool_pauses_collection_which_goes_on_by_itself_and_loses_nothing(
    campaign: Campaign, server: Server, small_disk: dict[str, str]
) -> None:
    campaign.dsn, port = server.dsn, free_port()
    meters = campaign.terminal.meters(campaign.scale.pick(20, 1000), days=campaign.scale.pick(3, 30))
    campaign.register(meters, segments=4)
    with psycopg.connect(campaign.dsn) as connection:
        connection.execute(FULL)
    listen = json.dumps([f"tcp://127.0.0.1:{port}"])
    daemon = campaign.node(PUSH__LISTEN=listen, SEEING__PORT="0", **small_disk)
    wait_until(lambda: answers(port), "the listener")
    with pushing(port):
        campaign.until(lambda: is_full(daemon), "a full spool")
        assert "the spool is full" in page(daemon, "/ready")[1]
        daemon.says("spool_refuses")
        wait_until(lambda: '"spool_full": true' in campaign.run("status", "--json"), "the status to tell it")
        assert campaign.stored() == 0
        server.call("stop")
        campaign.pause(0.5, campaign.scale.pick(1.5, 300.0))
        assert is_full(daemon)
    server.call("start")
    with psycopg.connect(campaign.dsn) as connection:
        connection.execute(NO_LONGER_FULL)
    spooled = waiting(daemon)
    campaign.until(lambda: not is_full(daemon), "room in the spool")
    campaign.until(lambda: campaign.complete(meters), "every interval")
    campaign.until(lambda: not waiting(daemon), "an empty spool")
    campaign.figures |= {"in the spool when the database was back": round(spooled)}
    assert daemon.stop() == 0
    campaign.check(meters)
