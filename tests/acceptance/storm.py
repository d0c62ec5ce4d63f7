"""A storm: last gasps of meters that all lose power at once, as simulated meters push them, and how soon blocks that
others push meanwhile are in the table.

The one rule: what sends the storm is a process of its own that only sends; the pushes are made before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from terminal import LIMIT_S, Meters, wait_until

from drivers.dlms.wrapper import wrap
from headend.store.rows import Source
from simulators.fleet_file import read_fleet_file
from simulators.meter import SimulatedMeter
from simulators.push import push, push_kind
from simulators.schedule import ALERT, PushSchedule
from simulators.simulation import Simulation
from simulators.virtual_clock import VirtualClock

SENDER = Path(__file__).parents[1] / "bench" / "push_sender.py"
CONNECTIONS = 20
SLOT_S = 900
LOOK_S = 0.03
BACK = timedelta(hours=1)
"""How far behind the newest block others may still come."""
BLOCKS = (
    "SELECT m.name, r.ts FROM interval_reading r JOIN meter m ON m.id = r.meter_id "
    f"WHERE r.source = {Source.PUSH:d} AND m.division = %s AND r.ts >= %s"
)


class Storm:
    """What those meters of a fleet push that lose power."""

    def __init__(self, meters: Meters, names: Collection[str]) -> None:
        self._now = datetime.now(UTC)
        made = simulation_of(meters).meters(lambda: self._now)
        self._meters: list[SimulatedMeter] = [meter for meter in made.values() if meter.identity.name in names]

    def alerts(self, bit: int) -> tuple[datetime, list[bytes]]:
        """An alert of each with this bit of its event status word, stamped now; when that is, to the second."""
        self._now = datetime.now(UTC).replace(microsecond=0)
        return self._now, [
            wrap(meter.meter_type.server_sap, push_kind(meter.meter_type).client_sap, push(meter, ALERT, raised=[bit]))
            for meter in self._meters
        ]


class Sending:
    """Pushes on their way to a port, as fast as they are taken."""

    def __init__(self, port: int, pushes: Sequence[bytes], folder: Path) -> None:
        file = folder / "storm.json"
        file.write_text(json.dumps([b"".join(pushes[at::CONNECTIONS]).hex() for at in range(CONNECTIONS)]))
        self._process = subprocess.Popen(
            [sys.executable, SENDER, str(port), str(file), "0"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.begun = float(self._process.stdout.readline())
        """By time.monotonic()."""

    def end(self) -> None:
        """Wait until all are taken."""
        assert self._process.wait(LIMIT_S) == 0


class Blocks:
    """When each block that meters of a division push was due to be sent, and when it was first seen in the table.

    A push is due when its meter's clock says so: what the simulator is late counts as delay, too.
    """

    def __init__(self, meters: Meters, division: str, dsn: str) -> None:
        simulation = simulation_of(meters)
        assert simulation.push is not None
        self._clock = VirtualClock.parse(json.loads(meters.program.out.splitlines()[0])["clock"])
        self._names = {one.index: one.name for one in simulation.fleet if one.division == division}
        self._schedule = PushSchedule(simulation.push, simulation.fleet.seed, list(self._names))
        self._division, self._dsn = division, dsn
        self._seen: dict[tuple[str, datetime], float] = {}
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()

    def close(self) -> None:
        self._stop.set()
        self._watch.join()

    @property
    def pushing(self) -> int:
        """Meters of which a block was seen."""
        return len({name for name, _ in self._seen.copy()})

    @property
    def settled(self) -> datetime:
        """Until when all that meters stored was due to be pushed by now."""
        due = self._clock().timestamp() // SLOT_S * SLOT_S - SLOT_S
        return datetime.fromtimestamp(due, UTC)

    def delays(self, since: float, until: float) -> list[float]:
        """Seconds from due to seen, of every push that was due in this span of time.monotonic(); waits for them."""
        due = dict(self._due(since, until))
        wait_until(lambda: due.keys() <= self._seen.keys(), f"{len(due)} blocks, one of which does not come")
        return sorted(self._seen[block] - moment for block, moment in due.items())

    def _due(self, since: float, until: float) -> Iterable[tuple[tuple[str, datetime], float]]:
        first, last = (
            self._clock.at.timestamp() + (at - self._clock.since) * self._clock.speed for at in (since, until)
        )
        for due in self._schedule.within(int(first), int(last)):
            begin = datetime.fromtimestamp(due.at // SLOT_S * SLOT_S - SLOT_S, UTC)
            moment = self._clock.since + (due.at - self._clock.at.timestamp()) / self._clock.speed
            yield (self._names[due.meter], begin), moment

    def _look(self) -> None:
        newest = self._clock.at
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop.wait(LOOK_S):
                rows = connection.execute(BLOCKS.encode(), (self._division, newest - BACK)).fetchall()
                moment = time.monotonic()
                for name, begin in rows:
                    self._seen.setdefault((name, begin), moment)
                    newest = max(newest, begin)


def simulation_of(meters: Meters) -> Simulation:
    """The same fleet in this process."""
    return Simulation.of_file(
        read_fleet_file(meters.registry.with_name(meters.registry.name.replace("list.csv", "toml")))
    )


def p95(delays: Sequence[float]) -> float:
    """Of sorted ones."""
    return delays[int(0.95 * (len(delays) - 1))]
