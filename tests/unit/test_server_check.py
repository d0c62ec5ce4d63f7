"""What `headend db check` says of servers and fleets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from headend.settings import Collection, Database, Settings, Utility
from headend.upkeep.check import check, refuse_small_lock_table
from headend.upkeep.facts import Facts
from profiles.errors import SettingsError

GIB = 1024**3
WELL = Facts(
    edition="apache",
    postgresql=170012,
    timescaledb="2.19.3",
    shared_buffers=8 * GIB,
    effective_cache_size=24 * GIB,
    max_wal_size=32 * GIB,
    checkpoint_timeout_s=1800,
    max_connections=100,
    reserved_connections=3,
    locks=256 * 100,
    autovacuum=True,
    zone="Asia/Kolkata",
    zone_known=True,
    meters=100_000,
    rows_per_day=9_600_000,
    nodes=2,
    chunk=timedelta(days=7),
    memory=32 * GIB,
    here=True,
)
SETTINGS = Settings()


def wrong(facts: Facts, settings: Settings = SETTINGS) -> dict[str, tuple[str, str]]:
    """What is not well, with its remedy."""
    found = [finding for finding in check(facts, settings) if finding.verdict != "ok"]
    assert all(finding.remedy for finding in found)
    return {finding.matter: (finding.verdict, finding.remedy) for finding in found}


def test_a_server_that_fits_its_fleet_is_well_in_every_matter() -> None:
    assert wrong(WELL) == {}
    assert not any(finding.remedy for finding in check(WELL, SETTINGS))
    assert wrong(replace(WELL, meters=0, rows_per_day=0, nodes=0)) == {}


@pytest.mark.parametrize(
    ("facts", "matter", "verdict", "remedy"),
    [
        (replace(WELL, memory=8 * GIB), "chunk size", "wrong", "set database.chunk_days to 5"),
        (replace(WELL, memory=GIB), "chunk size", "wrong", "set database.chunk_days to 1, and give the server 1.4 GiB"),
        (replace(WELL, memory=GIB, chunk=timedelta(days=1)), "chunk size", "wrong", "give the server 1.4 GiB"),
        (replace(WELL, memory=8 * GIB, edition="postgresql"), "chunk size", "wrong", "use TimescaleDB"),
        (replace(WELL, locks=1900), "lock table", "wrong", "set max_locks_per_transaction to 20"),
        (
            replace(WELL, locks=6400, chunk=timedelta(days=1)),
            "locks of queries",
            "advice",
            "set max_locks_per_transaction",
        ),
        (replace(WELL, max_connections=20), "connections", "wrong", "set max_connections to 44"),
        (replace(WELL, checkpoint_timeout_s=300), "checkpoints", "advice", "set checkpoint_timeout to 30min"),
        (replace(WELL, max_wal_size=GIB // 2), "write-ahead log", "advice", "set max_wal_size to 1GB"),
        (replace(WELL, autovacuum=False), "autovacuum", "wrong", "set autovacuum"),
        (replace(WELL, zone="Asia/Kathmandu"), "time zone", "wrong", "set utility.zone as it was"),
        (replace(WELL, zone_known=False), "time zone", "wrong", "update its time zone data"),
        (replace(WELL, postgresql=130014), "edition", "wrong", "PostgreSQL 14"),
        (replace(WELL, timescaledb="2.9.3"), "edition", "wrong", "PostgreSQL 14 and TimescaleDB 2.13"),
        (replace(WELL, job_errors=3, job_error="policy_telemetry: away"), "timescaledb jobs", "advice", "none of ours"),
    ],
)
def test_what_does_not_fit_is_told_with_its_remedy(facts: Facts, matter: str, verdict: str, remedy: str) -> None:
    found = wrong(facts)
    assert found[matter][0] == verdict
    assert found[matter][1].startswith(remedy)


def test_what_a_remedy_says_makes_it_well() -> None:
    assert "chunk size" not in wrong(replace(WELL, memory=8 * GIB, chunk=timedelta(days=5)))
    assert "lock table" not in wrong(replace(WELL, locks=20 * 100))
    assert "connections" not in wrong(replace(WELL, max_connections=44))


def test_a_daemon_whose_sessions_would_overrun_the_lock_table_does_not_start() -> None:
    many = Settings(collection=Collection(max_open_sessions=5000), database=Database(), utility=Utility())
    refuse_small_lock_table(WELL, many)
    with pytest.raises(SettingsError, match="lock up to 5000 meters; half of the lock table") as raised:
        refuse_small_lock_table(replace(WELL, locks=64 * 100), many)
    assert raised.value.remedy.startswith("set max_locks_per_transaction to 100 and restart the server")
