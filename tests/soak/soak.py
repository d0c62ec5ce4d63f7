"""A daemon that polls and is pushed to for MINUTES (45), while links fail and the database goes away once early on.

What it shows of itself stays flat, and all is stored in the end.

Not collected by `make test`; `make soak` runs it, and leaves docs/soak.md and docs/soak.svg.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from campaign import Campaign, Scale, Server
from curves import CURVES, drawing, level, rise, scraped, values_of
from terminal import Program, Terminal, free_port

MINUTES = float(os.environ.get("MINUTES") or 45)
"""A third is to hold as many quarters of an hour as another, so that their levels compare: 45, 90 and so on."""
METERS, SEGMENTS = 600, 6
SAMPLE_S = 5.0
AWAY_S = 30.0
DOCS = Path(__file__).parents[2] / "docs"
FAULTS = """
latency = { share = 0.2, median_ms = 50, longest_ms = 2000 }
reset = { share = 0.1, chance = 0.01 }
drop_mid_block = { share = 0.1, chance = 0.02 }
refuse_association = { share = 0.1, chance = 0.2 }
"""
EVERY_MINUTE = {
    f"SCHEDULES__{name}": "60" for name in ("BLOCK_LOAD_S", "BLOCK_LOAD_PUSHED_S", "EVENTS_S", "INSTANTANEOUS_S")
}


@pytest.mark.timeout(MINUTES * 60 + 900)
def test_memory_and_lag_stay_flat(tmp_path: Path, service_folder: Path) -> None:
    server, terminal = Server(service_folder), Terminal(tmp_path)
    try:
        soak(Campaign(terminal, Scale.of_environment(), server.dsn), server)
    finally:
        terminal.close()
        server.call("stop")


def soak(campaign: Campaign, server: Server) -> None:
    port, seeing = free_port(), free_port()
    push = (
        f'[push]\ndestination = "tcp://127.0.0.1:{port}"\nevery_minutes = {{ instant = 1, block_load = 15 }}\n'
        "spread_s = 50\nduplicates = 0.02\n"
    )
    meters = campaign.fleet(METERS, days=1, faults=FAULTS, push=push)
    campaign.register(meters, segments=SEGMENTS)
    daemon = campaign.node(
        PUSH__LISTEN=f'["tcp://127.0.0.1:{port}"]',
        SEEING__PORT=str(seeing),
        SCHEDULES__SPREAD_S="30",
        COLLECTION__SESSION_TIMEOUT_S="40",
        **EVERY_MINUTE,
    )
    daemon.says("daemon_started")
    times, samples = watched(server, seeing)
    assert daemon.stop() == 0
    [(unsettled,)] = campaign.ask("SELECT count(*) FROM owed_interval(%s)", times[-1] - timedelta(minutes=10))
    (DOCS / "soak.svg").write_text(drawing(times, samples))
    print(f"\n{(text := account(times, samples, daemon, unsettled))}")
    campaign.check(meters)
    (DOCS / "soak.md").write_text(text)
    rising = [each.title for each in CURVES if rise(values_of(each, samples)) > each.may_rise]
    assert not rising, f"not flat: {rising}"


def watched(server: Server, port: int) -> tuple[list[datetime], list[dict[str, float]]]:
    """Samples, evenly apart; the database is away for a while in the first third."""
    begun, first = time.monotonic(), datetime.now(UTC).replace(microsecond=0)
    count = int(MINUTES * 60 / SAMPLE_S)
    stop_at, start_at = count // 6, count // 6 + int(AWAY_S / SAMPLE_S)
    samples = []
    for number in range(count):
        time.sleep(max(0.0, begun + (number + 1) * SAMPLE_S - time.monotonic()))
        samples.append(scraped(port))
        if number == stop_at:
            server.call("stop")
        if number == start_at:
            server.call("start")
    return [first + timedelta(seconds=(number + 1) * SAMPLE_S) for number in range(count)], samples


def account(times: Sequence[datetime], samples: Sequence[dict[str, float]], daemon: Program, unsettled: int) -> str:
    """What is kept of it, as Markdown."""
    minutes, last = len(times) * SAMPLE_S / 60, samples[-1]
    cpu_s, pushes, intervals = (
        last[name] for name in ("process_cpu_seconds_total", "headend_pushes_total", "headend_intervals_stored_total")
    )
    rows = []
    for each in CURVES:
        values = values_of(each, samples)
        third, most = len(values) // 3, max(value for value in values if value is not None)
        levels = level(values[third:-third]), level(values[-third:])
        name = f"{each.title}, {each.unit}" if each.unit else each.title
        told = "flat" if rise(values) <= each.may_rise else "**rises**"
        rows.append(f"| {name} | {most:,.1f} | {levels[0]:,.1f} | {levels[1]:,.1f} | {told} |")
    return f"""# Soak

One daemon for {minutes:.0f} minutes on {times[0]:%Y-%m-%d} from {times[0]:%H:%M} UTC, by
`make soak MINUTES={MINUTES:g}`, on {os.cpu_count()} cores that it shared with the meters, the database and
whatever else ran there. {METERS} simulated meters with a day to catch up on, each asked every minute for blocks, events
and instantaneous values, and pushing every minute and every quarter of an hour. A fifth of them answers late, others
reset connections, cut them off in the middle of a block or refuse associations; in the first third the database was
stopped for {AWAY_S:.0f} seconds.

| | most | level in the second third | in the last third | |
|---|---|---|---|---|
{chr(10).join(rows)}

A level is what nine of ten samples, one every {SAMPLE_S:.0f} seconds, stay below. By its own count the daemon
stored {intervals:,.0f} intervals and took in {pushes:,.0f} pushes; it took {cpu_s / minutes / 60:.0%} of a core, and
{len(daemon.events("meter_failed")):,} visits failed after all tries. When it was stopped, {unsettled:,} intervals that
had ended ten minutes before or earlier were not settled. Every interval of the day before was stored once, with the
value that the meter must have given, and no invocation counter came twice.

![Memory, lag, queues, spool and sessions](soak.svg)
"""
