"""Whether the database server fits the fleet: one finding a matter, each with what to do.

The one rule: `wrong` is what loses data or stops collection sooner or later; what only costs speed is `advice`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from headend.settings import Settings
from headend.upkeep.facts import Facts
from profiles.errors import SettingsError

Verdict = Literal["ok", "advice", "wrong"]

INDEX_OCTETS: Final = 40
"""Of the primary key, a row: 16 octets of key and 12 of entry, in pages that are filled to 70 %."""
WAL_OCTETS: Final = {True: 950, False: 2600}
"""Write-ahead log a row where meters push: into chunks of a day, and longer ones."""
OWN_CONNECTIONS: Final = 6
"""Of a node beside database.connections: for jobs, locks and upkeep."""
CHUNK_LOCKS: Final = 3
"""Of a query, for each chunk: the table and its two indexes."""
WIDE_QUERIES: Final = 4
"""Queries over all chunks that may run at once."""
CHECKPOINT_S: Final = 30 * 60
OLDEST_POSTGRESQL: Final = 140000
OLDEST_TIMESCALEDB: Final = (2, 13)
EDITIONS: Final = {
    "apache": "TimescaleDB, Apache edition: no compression, views of energy are computed",
    "timescale": "TimescaleDB, Community edition",
    "postgresql": "PostgreSQL with native partitions: no compression, views of energy are computed",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy`: empty where all is well."""

    matter: str
    verdict: Verdict
    finding: str
    remedy: str = ""


def check(facts: Facts, settings: Settings) -> list[Finding]:
    """All findings, in the order in which they are told."""
    return [judge(facts, settings) for judge in _JUDGES]


def refuse_small_lock_table(facts: Facts, settings: Settings) -> None:
    """SettingsError where the sessions of one daemon alone overrun the lock table, which fails every connection."""
    found = _locks(facts, settings, nodes=1)
    if found.verdict == "wrong":
        raise SettingsError(found.finding, remedy=found.remedy)


def _edition(facts: Facts, _: Settings) -> Finding:
    version = f"{facts.postgresql // 10000}.{facts.postgresql % 10000}"
    text = f"{EDITIONS[facts.edition]} (PostgreSQL {version}, TimescaleDB {facts.timescaledb or 'none'})"
    old = facts.postgresql < OLDEST_POSTGRESQL
    if facts.edition != "postgresql" and facts.timescaledb is not None:
        old |= tuple(int(part) for part in facts.timescaledb.split("-")[0].split(".")[:2]) < OLDEST_TIMESCALEDB
    if old:
        return Finding("edition", "wrong", text, "PostgreSQL 14 and TimescaleDB 2.13 are the oldest that serve")
    return Finding("edition", "ok", text)


def _chunk(facts: Facts, _: Settings) -> Finding:
    limit = facts.memory // 4
    days = facts.chunk / timedelta(days=1)
    needs = int(facts.rows_per_day * INDEX_OCTETS * days)
    whose = "of this machine's memory" if facts.here else "of effective_cache_size"
    text = (
        f"{facts.meters} meters, {facts.rows_per_day} rows a day: the index of a chunk of {days:g} days is "
        f"{_size(needs)}; a quarter {whose} is {_size(limit)}"
    )
    if needs <= limit:
        return Finding("chunk size", "ok", text)
    fits = limit // max(1, facts.rows_per_day * INDEX_OCTETS)
    more = f"give the server {_size(4 * int(facts.rows_per_day * INDEX_OCTETS * min(days, 1)))} of memory"
    if facts.edition == "postgresql":
        return Finding("chunk size", "wrong", text, f"use TimescaleDB, whose chunks may be shorter, or {more}")
    if fits >= 1:
        return Finding("chunk size", "wrong", text, f"set database.chunk_days to {min(fits, 7)}")
    shorter = "set database.chunk_days to 1, and " if days > 1 else ""
    return Finding("chunk size", "wrong", text, shorter + more)


def _lock_table(facts: Facts, settings: Settings) -> Finding:
    return _locks(facts, settings, nodes=max(1, facts.nodes))


def _locks(facts: Facts, settings: Settings, *, nodes: int) -> Finding:
    sessions = nodes * settings.collection.max_open_sessions
    limit = facts.locks // 2
    text = (
        f"{nodes} {'node' if nodes == 1 else 'nodes'} with collection.max_open_sessions = "
        f"{settings.collection.max_open_sessions} lock up to {sessions} meters; half of the lock table "
        f"(max_locks_per_transaction * max_connections) is {limit}"
    )
    if sessions <= limit:
        return Finding("lock table", "ok", text)
    wanted = -(-2 * sessions // facts.max_connections)
    remedy = f"set max_locks_per_transaction to {wanted} and restart the server, or lower collection.max_open_sessions"
    return Finding("lock table", "wrong", text, remedy)


def _wide_queries(facts: Facts, settings: Settings) -> Finding:
    chunks = int(settings.upkeep.keep_readings_days / (facts.chunk / timedelta(days=1))) + 1
    wanted = WIDE_QUERIES * CHUNK_LOCKS * chunks + max(1, facts.nodes) * settings.collection.max_open_sessions
    text = (
        f"{settings.upkeep.keep_readings_days} days are {chunks} chunks; {WIDE_QUERIES} queries over all of them "
        f"beside the open sessions take {wanted} locks of {facts.locks}"
    )
    if wanted <= facts.locks:
        return Finding("locks of queries", "ok", text)
    per = -(-wanted // facts.max_connections)
    return Finding("locks of queries", "advice", text, f"set max_locks_per_transaction to {per} and restart the server")


def _connections(facts: Facts, settings: Settings) -> Finding:
    nodes = max(1, facts.nodes)
    wanted = nodes * (settings.database.connections + OWN_CONNECTIONS)
    free = facts.max_connections - facts.reserved_connections
    text = f"{nodes} {'node takes' if nodes == 1 else 'nodes take'} up to {wanted} connections of {free}"
    if wanted <= free:
        return Finding("connections", "ok", text)
    return Finding("connections", "wrong", text, f"set max_connections to {wanted + 20}, or lower database.connections")


def _checkpoints(facts: Facts, _: Settings) -> Finding:
    text = f"checkpoint_timeout is {facts.checkpoint_timeout_s // 60} min"
    if facts.checkpoint_timeout_s >= CHECKPOINT_S:
        return Finding("checkpoints", "ok", text)
    return Finding(
        "checkpoints", "advice", f"{text}: pages are logged whole after each", "set checkpoint_timeout to 30min"
    )


def _wal(facts: Facts, _: Settings) -> Finding:
    octets = facts.rows_per_day * WAL_OCTETS[facts.chunk <= timedelta(days=1)] / 86400
    wanted = int(2 * octets * max(facts.checkpoint_timeout_s, CHECKPOINT_S))
    text = f"readings log up to {_size(int(octets))}/s; max_wal_size is {_size(facts.max_wal_size)}"
    if wanted <= facts.max_wal_size:
        return Finding("write-ahead log", "ok", text)
    remedy = f"set max_wal_size to {-(-wanted // 1024**3)}GB, so that time alone makes checkpoints"
    return Finding("write-ahead log", "advice", text, remedy)


def _autovacuum(facts: Facts, _: Settings) -> Finding:
    if facts.autovacuum:
        return Finding("autovacuum", "ok", "autovacuum runs")
    return Finding("autovacuum", "wrong", "autovacuum is off", "set autovacuum and track_counts to on")


def _time_zone(facts: Facts, settings: Settings) -> Finding:
    zone = settings.utility.zone
    if not facts.zone_known:
        return Finding("time zone", "wrong", f"the server does not know {zone}", "update its time zone data")
    if facts.zone != zone:
        text = f"days are counted in {facts.zone}, the settings say {zone}"
        return Finding(
            "time zone",
            "wrong",
            text,
            "set utility.zone as it was, or run `headend db migrate`, which counts all days anew",
        )
    return Finding("time zone", "ok", f"days are counted in {zone}")


def _jobs(facts: Facts, _: Settings) -> Finding:
    if not facts.job_errors:
        return Finding("timescaledb jobs", "ok", "no job of TimescaleDB's scheduler failed in the last day")
    text = f"{facts.job_errors} jobs of TimescaleDB's scheduler failed in the last day, such as {facts.job_error}"
    remedy = "none of ours is among them; see timescaledb_information.job_errors, and delete_job() what nobody needs"
    return Finding("timescaledb jobs", "advice", text, remedy)


_JUDGES: Final[tuple[Callable[[Facts, Settings], Finding], ...]] = (
    *(_edition, _chunk, _lock_table, _wide_queries, _connections),
    *(_checkpoints, _wal, _autovacuum, _time_zone, _jobs),
)


def _size(octets: int) -> str:
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if octets >= unit:
            return f"{octets / unit:.1f} {name}"
    return f"{octets} B"
