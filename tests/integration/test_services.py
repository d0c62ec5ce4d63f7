"""The databases that the tests and the demo start: durable, private, idempotent, and up again after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from headend.store.embedded import EmbeddedPostgres, server_account
from profiles.errors import StoreError

TIMESCALEDB = Path(__file__).parents[1] / "services" / "timescaledb.sh"


def setting(dsn: str, name: str) -> str | None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
    assert row is not None
    value: str | None = row[0]
    return value


def script(command: str, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TIMESCALEDB, command, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def kill_server(cluster: Path) -> None:
    """As a power cut would: no clean-up, no checkpoint."""
    os.kill(int((cluster / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def written_numbers(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM written ORDER BY number").fetchall()]


def write_number(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE written (number int)")
        connection.execute("INSERT INTO written VALUES (7)")


DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@pytest.fixture
def environment(service_folder: Path) -> Iterator[dict[str, str]]:
    environment = {"TSDB_DATA": str(service_folder), "TSDB_SHARED_BUFFERS": "32MB"}
    yield environment
    assert script("stop", environment).returncode == 0


def test_timescaledb_is_the_apache_edition(empty_timescale_dsn: str) -> None:
    with psycopg.connect(empty_timescale_dsn) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
    assert setting(empty_timescale_dsn, "timescaledb.license") == "apache"


def test_the_embedded_postgresql_has_no_timescaledb(empty_postgres_dsn: str) -> None:
    assert setting(empty_postgres_dsn, "timescaledb.license") is None


def test_a_connection_without_the_password_is_refused(empty_dsn: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(empty_dsn, passfile="/dev/null")


def test_starting_twice_gives_the_same_database(environment: dict[str, str]) -> None:
    first, second = script("start", environment), script("start", environment)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout == second.stdout == script("dsn", environment).stdout
    assert "(apache)" in script("status", environment).stdout


def test_a_stopped_database_says_so_and_keeps_its_rows(environment: dict[str, str]) -> None:
    dsn = script("start", environment).stdout.strip()
    write_number(dsn)
    assert script("stop", environment).returncode == 0
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(dsn)
    status = script("status", environment)
    assert (status.returncode, status.stdout) == (3, "not running\n")
    assert written_numbers(script("start", environment).stdout.strip()) == [7]


def test_a_killed_timescaledb_comes_back_with_every_committed_row(
    environment: dict[str, str], service_folder: Path
) -> None:
    dsn = script("start", environment).stdout.strip()
    assert [setting(dsn, name) for name in DURABLE] == ["on"] * 3
    write_number(dsn)
    kill_server(service_folder / "cluster")
    again = script("start", environment)
    assert again.returncode == 0, again.stderr
    assert written_numbers(again.stdout.strip()) == [7]


def test_a_closed_folder_is_refused_in_one_line_or_used_by_its_owner(service_folder: Path) -> None:
    service_folder.chmod(0o700)
    environment = {"TSDB_DATA": str(service_folder / "data"), "TSDB_SHARED_BUFFERS": "32MB"}
    started = script("start", environment)
    if server_account() is None:  # the server runs as ourselves: our folders are open to it
        assert started.returncode == 0, started.stderr
        assert script("stop", environment).returncode == 0
    else:
        assert started.returncode == 1
        assert "cannot reach" in started.stderr
        assert started.stderr.count("\n") == 1


def test_a_mirror_that_is_not_there_ends_the_install_with_a_code_of_its_own(service_folder: Path) -> None:
    service_folder.chmod(0o755)
    environment = {"TSDB_ROOT": str(service_folder / "programs"), "TSDB_MIRROR": "http://127.0.0.1:9/debian"}
    installed = script("install", environment)
    assert installed.returncode == 69
    assert "mirror" in installed.stderr
    assert installed.stderr.count("\n") == 1
    assert not (service_folder / "programs" / "tree").exists()


def test_a_port_that_is_taken_is_an_error_when_it_was_asked_for(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        started = script("start", environment | {"TSDB_PORT": str(taken.getsockname()[1])})
    assert started.returncode == 1
    assert "could not bind" in started.stderr
    assert started.stderr.count("\n") == 1


def test_a_killed_embedded_postgresql_comes_back_with_every_committed_row(service_folder: Path) -> None:
    server = EmbeddedPostgres(service_folder)
    write_number(server.start())
    kill_server(service_folder / "cluster")
    with EmbeddedPostgres(service_folder) as dsn:
        assert written_numbers(dsn) == [7]
    server.stop()


def test_the_last_user_of_the_embedded_postgresql_stops_it(service_folder: Path) -> None:
    first, second = EmbeddedPostgres(service_folder), EmbeddedPostgres(service_folder)
    dsn = first.start()
    assert second.start() == dsn
    first.stop()
    assert [setting(dsn, name) for name in DURABLE] == ["on"] * 3
    second.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(dsn)


def test_users_that_start_at_once_share_one_embedded_postgresql(service_folder: Path) -> None:
    servers = [EmbeddedPostgres(service_folder) for _ in range(4)]
    dsns: list[str] = []
    threads = [threading.Thread(target=lambda server=server: dsns.append(server.start())) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for server in servers:
        server.stop()
    assert len(dsns) == 4
    assert len(set(dsns)) == 1


def test_a_closed_folder_is_refused_by_the_embedded_postgresql_or_used_by_its_owner(service_folder: Path) -> None:
    service_folder.chmod(0o700)
    server = EmbeddedPostgres(service_folder / "data")
    if server_account() is None:
        assert setting(server.start(), "fsync") == "on"
        server.stop()
    else:
        with pytest.raises(StoreError, match=r"cannot reach .* a folder above it is closed"):
            server.start()


def test_the_embedded_postgresql_refuses_a_folder_that_is_a_file(service_folder: Path) -> None:
    (service_folder / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        EmbeddedPostgres(service_folder / "file").start()
