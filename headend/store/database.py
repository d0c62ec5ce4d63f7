"""The way into the database: pools, editions, and the one place where psycopg's errors become ours.

The one rule: connections are in autocommit; what belongs together says so with `conn.transaction()`.
Every connection has a statement deadline and speaks UTC, whatever the server's or the user's defaults are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from headend.store import arrays
from headend.store.statements import statement
from profiles.errors import StoreError

Edition = Literal["apache", "timescale", "postgresql"]
Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

CONNECT_TIMEOUT_S = 10
WAIT_FOR_CONNECTION_S = 30.0
RECONNECT_S = 2.0
"""How long the pool tries by itself, ever more rarely. Who asks it anew makes it try at once: it is asked as often."""

_AWAY = "see that the server runs and that database.dsn is right"
_UNMIGRATED = "run `headend db migrate` on this database"
_FULL = "make room on the database's disk"
_REMEDIES: tuple[tuple[type[psycopg.Error], str, bool], ...] = (
    (errors.QueryCanceled, "the statement took longer than the deadline: see what else the server is doing", True),
    (errors.LockNotAvailable, "another process holds the lock: wait for it, or see what it is doing", True),
    (errors.DiskFull, _FULL, True),
    (errors.UndefinedTable, _UNMIGRATED, False),
    (errors.UndefinedFunction, _UNMIGRATED, False),
    (errors.InsufficientPrivilege, "grant the user of database.dsn the right", False),
    (errors.InvalidPassword, "see user and password of database.dsn", False),
    (errors.InvalidCatalogName, "create the database, or see database.dsn", False),
    (errors.DeadlockDetected, "", True),
    (errors.SerializationFailure, "", True),
    (psycopg.OperationalError, _AWAY, True),
)


def store_error(error: psycopg.Error) -> StoreError:
    """What went wrong and what to do; without parameter values, which may be secret."""
    message = error.diag.message_primary or str(error).split("\n", 1)[0] or type(error).__name__
    for kind, remedy, retry in _REMEDIES:
        if isinstance(error, kind):
            return StoreError(f"the database: {message}", remedy=remedy, retry=retry)
    return StoreError(f"the database refused: {message}", retry=False)


@asynccontextmanager
async def store_errors() -> AsyncIterator[None]:
    """Turn psycopg's errors inside the block into StoreError."""
    try:
        yield
    except psycopg.Error as error:
        raise store_error(error) from error


async def connect(dsn: str) -> Connection:
    """One connection outside any pool. Raises StoreError."""
    async with store_errors():
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
        await _configure(connection)
        return connection


async def open_pool(dsn: str, *, connections: int = 6) -> Pool:
    """A pool of up to `connections`, one of them open already. Raises StoreError when the database is away."""
    first = await connect(dsn)
    await first.close()
    pool: Pool = AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=connections,
        timeout=WAIT_FOR_CONNECTION_S,
        configure=_configure,
        reconnect_timeout=RECONNECT_S,
        check=AsyncConnectionPool.check_connection,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S},
        open=False,
        name="headend",
    )
    async with store_errors():
        await pool.open(wait=True, timeout=WAIT_FOR_CONNECTION_S)
    return pool


@asynccontextmanager
async def borrow(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool; psycopg's errors inside become StoreError, and the connection goes back."""
    async with store_errors(), AsyncExitStack() as stack:
        yield await _from(pool, stack)


async def _from(pool: Pool, stack: AsyncExitStack) -> Connection:
    """A connection until the stack ends, within the pool's own limit of time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + pool.timeout
    while True:
        try:
            return await stack.enter_async_context(pool.connection(timeout=min(RECONNECT_S, pool.timeout)))
        except PoolTimeout:
            if loop.time() >= until:
                raise


async def edition(connection: Connection) -> Edition:
    """What the store runs on: TimescaleDB's Apache or Community edition, or plain PostgreSQL.

    The schema decides, not the server: tables made before the extension came stay plain.
    """
    async with store_errors():
        row = await (await connection.execute(statement("edition"))).fetchone()
    if row is None:
        raise StoreError("this database has no tables of ours", remedy="run `headend db migrate` on it", retry=False)
    found: Edition = row[0]
    return found


async def _configure(connection: Connection) -> None:
    arrays.register(connection.adapters)
    await connection.execute(statement("session"))
