"""Migrations: numbered .sql files, each applied once, in order, each in one transaction with its record.

The one rule: an applied file never changes; its digest is compared at every start. A file in two forms
(`0003_intervals.timescaledb.sql`, `.postgresql.sql`) is applied in the form that the database can take; the first
such choice holds for the life of the database. Two processes that migrate at once wait for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import structlog
from procrastinate.schema import SchemaManager
from psycopg import errors

from headend.store.database import Connection, Edition, connect, edition, store_errors
from headend.store.events import name_events
from headend.store.statements import statement
from profiles.errors import SettingsError, StoreError

Form = Literal["timescaledb", "postgresql"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `number_name.sql`, or `number_name.form.sql` where the forms differ."""

    name: str
    sql: bytes

    @property
    def number(self) -> int:
        return int(self.name.split("_", 1)[0])

    @property
    def form(self) -> str | None:
        parts = self.name.split(".")
        return parts[1] if len(parts) == 3 else None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def migrations() -> list[Migration]:
    """All files, by number."""
    folder = files("headend.store") / "migrations"
    found = [Migration(entry.name, entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted(found, key=lambda migration: migration.name)


async def migrate(dsn: str, *, zone: str | None = None, chunk_interval: timedelta | None = None) -> Edition:
    """Bring the database up to date and set zone and chunk interval (None: as they are: at first India's, 7 days).

    Creates the TimescaleDB extension where it is installed and the user may; else native partitions of a week.
    Raises StoreError, SettingsError on an unknown zone.
    """
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(f"there is no time zone {zone!r}", remedy="write it as Asia/Kolkata") from None
    connection = await connect(dsn)
    async with connection, store_errors(), _alone(connection):
        await connection.execute(statement("schema_migration"))
        applied = await _applied(connection)
        form = _form_of(applied) or await _form_to_be(connection)
        for migration in _pending(applied, form):
            await _apply(connection, migration)
        await name_events(connection)
        await _make_job_tables(connection)
        if zone is not None:
            await connection.execute("UPDATE utility SET zone = %(zone)s WHERE zone <> %(zone)s", {"zone": zone})
        if chunk_interval is not None and form == "timescaledb":
            await connection.execute(statement("chunk_interval"), {"interval": chunk_interval})
        return await edition(connection)


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock(hashtext('headend.migrate'))")
    try:
        yield
    finally:
        if not connection.broken:
            await connection.execute("SELECT pg_advisory_unlock(hashtext('headend.migrate'))")


async def _applied(connection: Connection) -> dict[int, tuple[str, str]]:
    cursor = await connection.execute("SELECT number, name, digest FROM schema_migration ORDER BY number")
    return {number: (name, digest) for number, name, digest in await cursor.fetchall()}


def _form_of(applied: dict[int, tuple[str, str]]) -> Form | None:
    for name, _ in applied.values():
        if ".timescaledb." in name:
            return "timescaledb"
        if ".postgresql." in name:
            return "postgresql"
    return None


async def _form_to_be(connection: Connection) -> Form:
    row = await (await connection.execute(statement("timescaledb_loadable"))).fetchone()
    if row is None or not row[0]:
        return "postgresql"
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except (errors.InsufficientPrivilege, errors.FeatureNotSupported, errors.UndefinedFile) as error:
        log.warning("timescaledb_not_usable", reason=str(error.diag.message_primary))
        return "postgresql"
    return "timescaledb"


def _pending(applied: dict[int, tuple[str, str]], form: Form) -> Sequence[Migration]:
    known = {migration.number: migration for migration in migrations() if migration.form in (None, form)}
    for number, (name, digest) in applied.items():
        if number not in known:
            raise StoreError(
                f"the database has migration {name}, which this program does not know",
                remedy="use the newer program that made it",
                retry=False,
            )
        if known[number].digest != digest:
            raise StoreError(
                f"migration {name} was applied with other contents than this program's",
                remedy="use the program that made this database, or restore the file",
                retry=False,
            )
    return [migration for number, migration in sorted(known.items()) if number not in applied]


async def _make_job_tables(connection: Connection) -> None:
    """The tables of the job engine, as its package has them."""
    cursor = await connection.execute("SELECT to_regclass('procrastinate_jobs') IS NULL")
    if await cursor.fetchone() == (True,):
        async with connection.transaction():
            await connection.execute(SchemaManager.get_schema().encode())


async def _apply(connection: Connection, migration: Migration) -> None:
    record = (migration.number, migration.name, migration.digest, datetime.now(UTC))
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute("INSERT INTO schema_migration VALUES (%s, %s, %s, %s)", record)
    except psycopg.ProgrammingError as error:
        raise StoreError(
            f"migration {migration.name} failed: {error.diag.message_primary}",
            remedy="see which PostgreSQL and TimescaleDB run here: 14 and 2.13 are the oldest that serve",
            retry=False,
        ) from error
    log.info("migration_applied", name=migration.name)
