"""Meters that lie: rows out of the range that was asked for, rows twice, rows of the years 2000 and 2099, the wrong
meter at an address, a serial number that another has. What they say never stands under another meter's name or at
another time, and costs nothing of what is true."""

from __future__ import annotations

import csv
import json

from campaign import Campaign
from terminal import Meters

FAULTS = """
rows_outside = { share = 0.5, rows = 8 }
duplicate_rows = { share = 0.5, chance = 0.2 }
null_rows = { share = 0.3 }
wild_stamps = { share = 0.5, chance = 0.1 }
"""


def rewrite(meters: Meters, rows: list[dict[str, str]]) -> None:
    with meters.registry.open("w") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def parked(campaign: Campaign) -> list[str]:
    return sorted(row["name"] for row in json.loads(campaign.run("meters", "list", "--parked", "--json")))


def test_what_lying_meters_say_is_never_stored_under_another_name(campaign: Campaign) -> None:
    meters = campaign.fleet(campaign.scale.pick(12, 300), days=campaign.scale.pick(2, 30), faults=FAULTS)
    true = meters.rows
    first, second, third = true[:3]
    swapped = [first | {"address": second["address"]}, second | {"address": first["address"]}]
    rewrite(meters, [*swapped, third | {"serial": "SMA99999999", "system_title": ""}, *true[3:]])
    campaign.register(meters)
    rewrite(meters, [first, second | {"serial": first["serial"]}, *true[2:]])
    campaign.run("meters", "import", meters.registry, exit_code=3)
    daemon = campaign.node()
    campaign.until(lambda: daemon.events("job_finished"), "a job")
    assert daemon.stop() == 0
    listed = {row["name"]: row for row in json.loads(campaign.run("meters", "list", "--json"))}
    liars = [meter["name"] for meter in (first, second, third)]
    assert all(listed[name]["last_error"] for name in liars)
    assert "SMA99999999" in listed[third["name"]]["parked_reason"]
    of_them = "SELECT count(*) FROM interval_reading r JOIN meter m ON m.id = r.meter_id WHERE m.name = ANY (%s)"
    assert campaign.ask(of_them, liars) == [(0,)]

    rewrite(meters, true)
    campaign.run("meters", "import", meters.registry)
    campaign.run("meters", "unpark", third["name"])
    campaign.run("collect", "--once", *liars)
    years = campaign.ask("SELECT DISTINCT get_byte(stamp, 0) * 256 + get_byte(stamp, 1) FROM suspect_row")
    assert {(2000,), (2099,)} <= set(years)
    in_time = "SELECT count(*) FROM interval_reading WHERE ts < %s OR ts >= now() + interval '1 day'"
    assert campaign.ask(in_time, meters.start) == [(0,)]
    [(suspects,)] = campaign.ask("SELECT count(*) FROM suspect_row")
    campaign.figures |= {"rows not believed": suspects}
    campaign.check(meters)
