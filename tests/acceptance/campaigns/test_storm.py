"""A storm of last gasps beside block pushes: no block comes later for it, every gasp is stored once, the outages are
open within ten seconds, by transformer and by feeder, and closed with their meters and minutes when power is back."""

from __future__ import annotations

import csv
import json
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

from campaign import Campaign
from storm import Blocks, Sending, Storm, p95
from terminal import Meters, free_port, last_quarter, wait_until

from headend.store.events import BIT_SET
from profiles.events import FIRST_BREATH, LAST_GASP

LIT, DARK = "Datia", "Dark"
FLEET = """
[divisions.{dark}]
meters = {count}
[[outages.declared]]
division = "{dark}"
start = {start}
end = {end}
[push]
destination = "tcp://127.0.0.1:{port}"
every_minutes = {{ block_load = 15 }}
spread_s = 900
alerts = false
"""
"""The dark ones say nothing to anybody by themselves; their last gasps are sent by another process."""
OPEN_S = 10.0
LATER_S = 2.0
"""How much later than without a storm 95 of 100 blocks may be in the table: as much as they may take at all."""
TWICE = 10
"""Every so manieth alert comes twice."""


Off = dict[str, dict[str, list[str]]]
"""The meters that lose power, by feeder and transformer."""


def prepared(meters: Meters, segments: int) -> Off:
    """Who loses power: all the dark ones, but of their first feeder only what is behind its first transformer.

    In the list the dark ones are new today, and behind gateways that have no power either.
    """
    rows, off = meters.rows, defaultdict[str, dict[str, list[str]]](dict)
    for number, row in enumerate(rows):
        row["segment"] = f"{row['division']} {number % segments}"
        if row["division"] == DARK:
            row |= {"address": "tcp://127.0.0.1:9", "commissioned_at": last_quarter().isoformat()}
            off[row["feeder"]].setdefault(row["transformer"], []).append(row["name"])
    with meters.registry.open("w") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    first = next(iter(off))
    return off | {first: dict([next(iter(off[first].items()))])}


def expected(off: Off, begin: datetime, end: datetime | None) -> list[tuple[object, ...]]:
    """The outages that there must be: kind, feeder, transformer, meters, those still off, when it began, minutes."""
    found = []
    for feeder, places in off.items():
        kind, place = ("feeder", "") if len(places) > 1 else ("transformer", next(iter(places)))
        count = sum(len(names) for names in places.values())
        minutes = None if end is None else round((end - begin).total_seconds() / 60, 1)
        found.append((kind, feeder, place, count, 0 if end else count, begin, minutes))
    return sorted(found)


def outages(campaign: Campaign) -> list[tuple[object, ...]]:
    """Likewise, those that there are."""
    columns = "kind, feeder, transformer, meters, still_off, began_at, minutes::float"
    return sorted(campaign.ask(f"SELECT {columns} FROM power_outage"))


def all_down(campaign: Campaign) -> bool:
    """Whether no segment without power is asked any more."""
    query = "SELECT count(*) FROM segment WHERE starts_with(name, %s) AND down_since IS NULL"
    [(asked,)] = campaign.ask(query, DARK)
    return bool(asked == 0)


def stored(campaign: Campaign, bit: int) -> tuple[int, int]:
    """Events of this bit, and the meters that told of it."""
    query = "SELECT count(*), count(DISTINCT meter_id) FROM meter_event WHERE code = %s"
    [(events, told_by)] = campaign.ask(query, BIT_SET + bit)
    return events, told_by


def shortened(meters: Meters, end: datetime) -> Meters:
    """Only those with power, and only what they said until then."""
    lit = {row["serial"] for row in meters.rows if row["division"] == LIT}
    header, *lines = meters.expect.read_text().splitlines()
    cells = ((line, line.split(",", 2)) for line in lines)
    kept = [line for line, (serial, at, _) in cells if serial in lit and datetime.fromisoformat(at) < end]
    meters.expect.write_text("\n".join([header, *kept]) + "\n")
    return replace(meters, end=end)


def test_a_storm_of_last_gasps_delays_no_block_and_opens_outages_that_close_with_the_power(campaign: Campaign) -> None:
    port, end, pick = free_port(), last_quarter(), campaign.scale.pick
    span = {"start": (end - timedelta(days=2)).isoformat(), "end": (end + timedelta(days=1)).isoformat()}
    fleet = FLEET.format(dark=DARK, count=pick(400, 50_400), port=port, **span)
    meters = campaign.fleet(pick(40, 300), days=pick(1, 0.25), end=end, push=fleet, speed=pick(180, 20))
    off = prepared(meters, pick(4, 100))
    campaign.register(meters)
    storm = Storm(meters, {name for places in off.values() for names in places.values() for name in names})
    daemon = campaign.node(PUSH__LISTEN=json.dumps([f"tcp://127.0.0.1:{port}"]), PUSH__CACHED_S=pick("5", "3600"))
    with closing(Blocks(meters, LIT, campaign.dsn)) as blocks:
        campaign.until(lambda: blocks.pushing == pick(40, 300), "a block that was pushed, of each meter")
        campaign.until(lambda: all_down(campaign), "the end of first visits to those without power")
        calm_from = time.monotonic()
        time.sleep(pick(4, 60))
        calm_to = time.monotonic()

        begin, alerts = storm.alerts(LAST_GASP)
        gasps = Sending(port, [*alerts, *alerts[::TWICE]], campaign.terminal.folder)
        wait_until(lambda: campaign.ask("SELECT FROM power_outage WHERE open"), "an open outage")
        open_s = time.monotonic() - gasps.begun
        campaign.until(lambda: stored(campaign, LAST_GASP)[1] == len(alerts), "every last gasp")
        storm_to = time.monotonic()
        campaign.until(lambda: outages(campaign) == expected(off, begin, None), "every outage, as far as it reaches")
        all_open_s = time.monotonic() - gasps.begun
        gasps.end()

        restored, breaths = storm.alerts(FIRST_BREATH)
        Sending(port, breaths, campaign.terminal.folder).end()
        campaign.until(lambda: outages(campaign) == expected(off, begin, restored), "the end of every outage")
        calm, stormy = blocks.delays(calm_from, calm_to), blocks.delays(gasps.begun, storm_to)
        meters = shortened(meters, min(meters.end, blocks.settled))
    # What was pushed before the first visits is still owed, and would be asked for with the next cycle.
    campaign.run("collect", *(row["name"] for row in meters.rows if row["division"] == LIT))
    campaign.until(lambda: campaign.complete(meters), "every block")
    assert daemon.stop() == 0
    campaign.figures |= {
        "last gasps": len(alerts),
        "all stored after_s": round(storm_to - gasps.begun, 1),
        "first outage open after_s": round(open_s, 1),
        "all after_s": round(all_open_s, 1),
        "blocks": f"{len(calm)}, in the storm {len(stormy)}",
        "push to row p95_s": f"{p95(calm):.2f}, in the storm {p95(stormy):.2f}",
    }
    assert stored(campaign, LAST_GASP) == stored(campaign, FIRST_BREATH) == (len(alerts), len(alerts))
    assert open_s < OPEN_S
    assert p95(stormy) < p95(calm) + LATER_S
    campaign.check(meters, pushed=True)
