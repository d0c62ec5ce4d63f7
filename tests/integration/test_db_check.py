"""`headend db check` on both databases, and the daemon that does not start on a lock table too small for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from headend.cli.main import app
from headend.settings import Collection, Settings
from headend.store.database import Connection
from headend.upkeep.check import refuse_small_lock_table
from headend.upkeep.facts import facts
from profiles.errors import SettingsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FLEET = (
    "INSERT INTO meter (name, serial, address, meter_type, division, commissioned_at, interval_s) "
    "SELECT n, n, 'tcp://127.0.0.1', 'is15959-1ph', '', '2026-01-01Z', 1800 FROM generate_series(1, 1000) n"
)


async def test_the_server_and_the_fleet_are_seen_as_they_are(connection: Connection, dsn: str) -> None:
    await connection.execute(FLEET)
    await connection.execute(
        "INSERT INTO procrastinate_workers (last_heartbeat) SELECT %s FROM generate_series(1, 4)", (NOW,)
    )
    seen = await facts(connection, Settings(), NOW + timedelta(seconds=10))
    assert (seen.meters, seen.rows_per_day, seen.nodes, seen.chunk) == (1000, 48_000, 2, timedelta(days=7))
    assert seen.edition == ("apache" if seen.timescaledb else "postgresql")
    assert (seen.shared_buffers, seen.autovacuum, seen.zone, seen.zone_known) == (2**28, True, "Asia/Kolkata", True)
    assert seen.here
    assert (await facts(connection, Settings(), NOW + timedelta(minutes=1))).nodes == 0

    refuse_small_lock_table(seen, Settings())
    with pytest.raises(SettingsError, match="lock table"):
        refuse_small_lock_table(seen, Settings(collection=Collection(max_open_sessions=seen.locks // 2 + 1)))


def test_the_command_tells_every_finding_and_fails_where_one_is_wrong(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def findings() -> tuple[int, dict[str, str]]:
        result = CliRunner().invoke(app, ["db", "check", "--dsn", dsn, "--json"])
        return result.exit_code, {each["matter"]: each["verdict"] for each in json.loads(result.stdout)}

    code, found = findings()
    assert code == 0
    assert set(found.values()) == {"ok", "advice"}
    assert found["checkpoints"] == "advice"  # these servers have PostgreSQL's own 5 minutes
    monkeypatch.setenv("HEADEND_COLLECTION__MAX_OPEN_SESSIONS", "20000")
    code, found = findings()
    assert code == 1
    assert found["lock table"] == "wrong"

    result = CliRunner().invoke(app, ["db", "check", "--dsn", dsn])
    assert result.exit_code == 1
    assert "wrong  lock table: 1 node with collection.max_open_sessions = 20000" in result.stdout
