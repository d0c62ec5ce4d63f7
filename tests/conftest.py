"""Real databases for the tests: TimescaleDB and the embedded PostgreSQL, each one private cluster a test process.

A test asks for `timescale_dsn`, `postgres_dsn` or `dsn` (the test runs on both) and gets a migrated database of its
own; with `empty_` before the name, one without our tables. `broker` is a real MQTT broker of one test's own. A service
that cannot start fails the tests that need it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog
from brokers import Broker
from psycopg import sql

from headend.logs import LIBRARIES
from headend.store.migrate import migrate

TIMESCALEDB = Path(__file__).parent / "services" / "timescaledb.sh"
KEEP_TIMESCALEDB = '"$0" start && cat >/dev/null; "$0" stop; rm -rf "$TSDB_DATA"'
KEEP_POSTGRES = """
import shutil, sys
from pathlib import Path
try:
    from headend.store.embedded import EmbeddedPostgres
    with EmbeddedPostgres(Path(sys.argv[1])) as dsn:
        print(dsn, flush=True)
        sys.stdin.read()
finally:
    shutil.rmtree(sys.argv[1])
"""


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """What a test configured of logs, perhaps into a file that is closed by now, ends with it."""
    yield
    structlog.reset_defaults()
    for library in LIBRARIES:
        logging.getLogger(library).handlers = []


class Cluster:
    """A running server that hands out databases, each a copy of a template (about 0.05 s).

    It outlives its processes but not its machine, which makes copies quick; `durable` is for who tries its durability.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._names = (f"test_{number}" for number in itertools.count())
        self._migrated = ""
        self.durable(False)

    def durable(self, whether: bool) -> None:
        with psycopg.connect(self.dsn_of("postgres"), autocommit=True, connect_timeout=10) as connection:
            for name in ("fsync", "full_page_writes"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), whether))
            connection.execute("SELECT pg_reload_conf()")

    def dsn_of(self, database: str) -> str:
        return urlsplit(self.dsn)._replace(path=f"/{database}").geturl()

    @contextmanager
    def database(self, *, migrated: bool) -> Iterator[str]:
        name = self._copy(self._migrated_template() if migrated else "template1")
        try:
            yield self.dsn_of(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _migrated_template(self) -> str:
        if not self._migrated:
            name = self._copy("template1")
            asyncio.run(migrate(self.dsn_of(name)))
            self._migrated = name
        return self._migrated

    def _copy(self, template: str) -> str:
        name = next(self._names)
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.dsn_of("postgres"), autocommit=True, connect_timeout=10) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def new_service_folder() -> str:
    """A new folder for a server's data; as root where the server's unprivileged account can reach it."""
    return tempfile.mkdtemp(prefix="headend-test-", dir="/tmp" if os.geteuid() == 0 else None)


@pytest.fixture
def service_folder() -> Iterator[Path]:
    path = Path(new_service_folder())
    yield path
    shutil.rmtree(path)


@pytest.fixture
def broker(service_folder: Path) -> Iterator[Broker]:
    """Started; a test may stop it and start it again."""
    broker = Broker(service_folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def kept(*command: str, data: str) -> Iterator[Cluster]:
    """A service that lives as long as this process.

    Its keeper prints the DSN, then reads its input; that ends when we close our end or are killed, and the keeper
    stops the service and removes its data.
    """
    with tempfile.TemporaryFile("w+") as said:
        keeper = subprocess.Popen(
            command,
            env=os.environ | {"TSDB_DATA": data},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
        assert keeper.stdout is not None
        dsn = keeper.stdout.readline().strip()
        try:
            if not dsn:
                said.seek(0)
                pytest.fail(f"the database could not be started: {said.read()}", pytrace=False)
            yield Cluster(dsn)
        finally:
            keeper.communicate(timeout=100)


@pytest.fixture(scope="session")
def timescale_cluster() -> Iterator[Cluster]:
    data = new_service_folder()
    with kept("sh", "-c", KEEP_TIMESCALEDB, str(TIMESCALEDB), data=data) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    data = new_service_folder()
    with kept(sys.executable, "-c", KEEP_POSTGRES, data, data=data) as cluster:
        yield cluster


@pytest.fixture
def timescale_dsn(timescale_cluster: Cluster) -> Iterator[str]:
    with timescale_cluster.database(migrated=True) as dsn:
        yield dsn


@pytest.fixture
def postgres_dsn(postgres_cluster: Cluster) -> Iterator[str]:
    with postgres_cluster.database(migrated=True) as dsn:
        yield dsn


@pytest.fixture
def durable_timescale_dsn(timescale_cluster: Cluster) -> Iterator[str]:
    """An empty database on a server that outlives its machine."""
    timescale_cluster.durable(True)
    with timescale_cluster.database(migrated=False) as dsn:
        yield dsn
    timescale_cluster.durable(False)


@pytest.fixture
def empty_timescale_dsn(timescale_cluster: Cluster) -> Iterator[str]:
    with timescale_cluster.database(migrated=False) as dsn:
        yield dsn


@pytest.fixture
def empty_postgres_dsn(postgres_cluster: Cluster) -> Iterator[str]:
    with postgres_cluster.database(migrated=False) as dsn:
        yield dsn


@pytest.fixture(params=["timescale", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str:
    value: str = request.getfixturevalue(f"{request.param}_dsn")
    return value


@pytest.fixture(params=["timescale", "postgres"])
def empty_dsn(request: pytest.FixtureRequest) -> str:
    value: str = request.getfixturevalue(f"empty_{request.param}_dsn")
    return value
