"""What all campaigns share: a fleet in its own process, a database that is durable, daemons, and how each has to end.

The one rule: every campaign ends with `Campaign.check`: the database holds what the meters must have said, value by
value and once, they owe nothing of it, the ledger agrees with its rows, and no invocation counter came twice.

Reduced, a campaign takes seconds; FULL_CAMPAIGNS=1 runs it in full. Random moments come from SEED, which is printed.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from terminal import LIMIT_S, Meters, Program, Terminal, last_quarter, wait_until

SERVICE = Path(__file__).parents[1] / "services" / "timescaledb.sh"
FULL_LIMIT_S = 3600.0
"""For what has to happen in a campaign that runs in full."""
PUSHED = 9
"""Columns of the answer key that a push of a block has: all up to the energies."""

T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """How large campaigns are, and where their random moments come from."""

    full: bool
    seed: int

    @classmethod
    def of_environment(cls) -> Scale:
        seed = os.environ.get("SEED", "")
        return cls(
            os.environ.get("FULL_CAMPAIGNS") == "1", int(seed) if seed else random.SystemRandom().randrange(10**6)
        )

    def pick(self, reduced: T, full: T) -> T:
        return full if self.full else reduced

    @property
    def limit_s(self) -> float:
        return self.pick(LIMIT_S, FULL_LIMIT_S)


class Server:
    """A durable TimescaleDB of one campaign alone, to be stopped, killed and started; it keeps its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {"TSDB_DATA": str(folder), "TSDB_SHARED_BUFFERS": "64MB"}
        self.dsn = self.call("start")

    def call(self, what: str) -> str:
        done = subprocess.run(
            [SERVICE, what], env=self._environment, capture_output=True, text=True, timeout=100, check=True
        )
        return done.stdout.strip()

    def stop_immediately(self) -> None:
        """What `pg_ctl stop -m immediate` does: every process of it ends without a checkpoint; recovery follows."""
        number = int((self._folder / "cluster" / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGQUIT)
        wait_until(lambda: not Path(f"/proc/{number}").exists(), "the end of the server")


@dataclass
class Campaign:
    """A campaign under way. `figures`: what is worth telling of it, by name."""

    terminal: Terminal
    scale: Scale
    dsn: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.scale.seed)
        self.terminal.run("vault", "init", "kek")
        self.environment = {
            "HEADEND_VAULT__KEK_FILE": str(self.terminal.folder / "kek"),
            "HEADEND_LOG__FORMAT": "json",
            "HEADEND_COLLECTION__TICK_S": "1",
            "HEADEND_COLLECTION__RETRY_AFTER_S": "1",
        }

    # -- what is done -----------------------------------------------------------------------------------------

    def fleet(
        self,
        count: int,
        *,
        days: float,
        faults: str = "",
        push: str = "",
        end: datetime | None = None,
        speed: float | None = None,
    ) -> Meters:
        """Single-phase meters commissioned so many days before `end`, the last quarter by default. `faults`, `push`:
        tables of the fleet file. `speed`: their clock starts when they were commissioned, and goes so many times as
        fast."""
        number, end = len(self.terminal.programs), end or last_quarter()
        start, folder = end - timedelta(days=days), self.terminal.folder
        file, registry, expect = (folder / f"{number}.{name}" for name in ("toml", "list.csv", "expect.csv"))
        file.write_text(
            f"seed = {self.scale.seed % 1000}\ncommissioned_at = {start.isoformat()}\n"
            f"[divisions.Datia]\nmeters = {count}\n[archetypes.office]\nmeter_types = {{ is15959-1ph = 1 }}\n"
            f"[faults]\n{faults}\n{push}\n"
        )
        options = ("--fleet", file, "--port", "0", "--registry", registry, "--expect", expect)
        clock = () if speed is None else ("--at", (start + timedelta(minutes=10)).isoformat(), "--speed", str(speed))
        program = self.terminal.start("simulate", "--json", *options, "--end", end.isoformat(), *clock)
        ready = json.loads(program.says(r'\{"meters".*\}', of="out")[0])
        return Meters(program, ready["port"], registry, expect, start, end)

    def run(self, *arguments: str | Path, exit_code: int = 0) -> str:
        """`headend` on the campaign's database; what it says."""
        return self.terminal.run(*arguments, exit_code=exit_code, **self.environment, **self._database()).stdout

    def node(self, **settings: str) -> Program:
        """A daemon; settings as in `HEADEND_…`, without that."""
        given = {f"HEADEND_{name}": text for name, text in settings.items()}
        return self.terminal.start("run", **self.environment | self._database() | given)

    def register(self, meters: Meters, *, segments: int = 1) -> None:
        """Make the database ready and import the fleet's list, spread over so many segments, or those that it names."""
        durable = ("fsync", "synchronous_commit", "full_page_writes")
        with psycopg.connect(self.dsn) as connection:
            assert [connection.execute(f"SHOW {one}".encode()).fetchone() for one in durable] == [("on",)] * 3
        rows = [{"segment": f"segment {n % segments}"} | row for n, row in enumerate(meters.rows)]
        with meters.registry.open("w") as lines:
            table = csv.DictWriter(lines, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        self.run("db", "migrate")
        self.run("meters", "import", meters.registry)

    def pause(self, least_s: float, most_s: float) -> None:
        """A random time."""
        time.sleep(self.random.uniform(least_s, most_s))

    def until(self, happened: Callable[[], T], what: str) -> T:
        return wait_until(happened, what, self.scale.limit_s)

    # -- what is seen -----------------------------------------------------------------------------------------

    def ask(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, connect_timeout=10) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def stored(self) -> int:
        [(count,)] = self.ask("SELECT count(*) FROM interval_reading")
        return int(count)

    def complete(self, meters: Meters) -> bool:
        """Whether as many intervals are stored as the meters must have said."""
        [(count,)] = self.ask("SELECT count(*) FROM interval_reading WHERE ts < %s", meters.end)
        return bool(count >= meters.expected)

    def check(self, meters: Meters, *, pushed: bool = False) -> None:
        """How every campaign ends; ends the fleet. `pushed`: its blocks came by push, which brings less of each."""
        self.check_values(meters, columns=PUSHED if pushed else None)
        assert self.ask("SELECT * FROM owed_interval(%s)", meters.end) == []
        assert "agrees" in self.run("gaps", "--verify")
        said = "".join(program.err for program in self.terminal.programs)
        assert "Traceback" not in said, said[said.index("Traceback") - 500 :][:5000]
        meters.stop()
        self.figures |= {"meters": len(meters.rows), "intervals": meters.expected}

    def check_values(self, meters: Meters, columns: int | None = None) -> None:
        """Every interval that the meters must have said is stored once, with its values (all, or those in the first
        columns), and no other before their end."""
        rows = self.ask(
            "SELECT m.serial, to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), r.interval_s,"
            " r.voltage, r.current, r.wh_import, r.vah_import, r.wh_export, r.vah_export, r.meter_health,"
            " r.signal_strength FROM interval_reading r JOIN meter m ON m.id = r.meter_id WHERE r.ts < %s",
            meters.end,
        )
        found = sorted(",".join("" if value is None else str(value) for value in row[:columns]) for row in rows)
        expected = sorted(",".join(line.split(",")[:columns]) for line in meters.expect.read_text().splitlines()[1:])
        wrong = set(found) ^ set(expected)
        assert not wrong, f"{len(wrong)} rows differ, such as {sorted(wrong)[:4]}"
        assert len(found) == len(expected), "an interval is stored twice"

    def _database(self) -> dict[str, str]:
        return {"HEADEND_DATABASE__DSN": self.dsn}
