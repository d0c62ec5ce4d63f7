"""A durable TimescaleDB of its own that a test may stop as a crash does, and start again at the same address."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TIMESCALEDB = Path(__file__).parents[1] / "services" / "timescaledb.sh"


class OwnServer:
    """In `folder`, which an unprivileged account must reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dsn = ""

    def start(self) -> None:
        self.dsn = self._run("start", TSDB_SHARED_BUFFERS="32MB", TSDB_SAFE="1").strip()

    def stop_at_once(self) -> None:
        """As `pg_ctl stop -m immediate`: SIGQUIT to the postmaster, no checkpoint, recovery at the next start."""
        postmaster = int((self.folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, 3)

    def stop(self) -> None:
        self._run("stop")

    def _run(self, what: str, **environment: str) -> str:
        return subprocess.run(
            [TIMESCALEDB, what],
            env=os.environ | environment | {"TSDB_DATA": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        ).stdout
