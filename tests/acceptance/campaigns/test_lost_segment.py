"""One segment of several is out of reach for a week, and comes back over a slow link: what it owes is fetched in the
order in which it would be lost, and the others are no less fresh for it."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bad_link import BadLink
from campaign import Campaign
from terminal import Meters

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
LOST = "segment 0"
OCTETS_PER_S = 40_000
FEW = {"COLLECTION__ATTEMPTS": "1", "COLLECTION__MAX_OPEN_SESSIONS": "6", "COLLECTION__MAX_SEGMENT_SESSIONS": "3"}
STORED = "SELECT count(*) FROM interval_reading"
OF_SEGMENT = "JOIN meter m ON m.id = r.meter_id JOIN segment s ON s.id = m.segment_id"


@contextlib.contextmanager
def gateway(addresses: Sequence[str], ports: Sequence[int] = (), speed: float | None = None) -> Iterator[list[int]]:
    """A way to each of these meters, at these ports or any that are free; at which."""
    with contextlib.ExitStack() as stack:
        links = [
            stack.enter_context(BadLink(address, octets_per_s=speed, port=port))
            for address, port in zip(addresses, ports or [0] * len(addresses), strict=True)
        ]
        yield [int(link.address.rpartition(":")[2]) for link in links]


def lead_through(meters: Meters, ports: Sequence[int], segments: int) -> None:
    """The list says that the meters of the lost segment are behind the gateway."""
    rows = meters.rows
    for row, port in zip(rows[::segments], ports, strict=True):
        row["address"] = f"tcp://127.0.0.1:{port}"
    with meters.registry.open("w") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def collect(campaign: Campaign, at: datetime, exit_code: int = 0) -> None:
    local = at.astimezone(ZoneInfo("Asia/Kolkata"))
    campaign.environment |= {f"HEADEND_{name}": text for name, text in FEW.items()}
    campaign.run("collect", "--once", "--at", f"{local:%Y-%m-%dT%H:%M:%S}", exit_code=exit_code)


def fresh(campaign: Campaign, meters: Meters) -> bool:
    """Whether all other segments have their last interval."""
    query = f"SELECT count(*) FROM interval_reading r {OF_SEGMENT} WHERE s.name <> %s AND r.ts = %s"
    others = len([row for row in meters.rows if row["segment"] != LOST])
    return campaign.ask(query, LOST, meters.end - timedelta(minutes=15)) == [(others,)]


def out_of_turn(campaign: Campaign, begun: datetime, newest_from: datetime) -> list[object]:
    """Meters of the lost segment of which, but for the newest day, something is stored before what is older."""
    query = (
        f"SELECT m.name FROM interval_reading r {OF_SEGMENT} WHERE s.name = %s AND r.ts >= %s AND r.ts < %s"
        " GROUP BY m.name HAVING count(*) * interval '15 minutes' <> max(r.ts) - %s + interval '15 minutes'"
    )
    return [name for (name,) in campaign.ask(query, LOST, begun, newest_from, begun)]


def test_a_segment_that_was_lost_for_a_week_is_caught_up_with_in_order_of_danger(campaign: Campaign) -> None:
    segments, count = campaign.scale.pick(3, 10), campaign.scale.pick(18, 300)
    meters = campaign.fleet(count, days=campaign.scale.pick(8, 14))
    addresses = [row["address"] for row in meters.rows[::segments]]
    begun = meters.end - WEEK
    with gateway(addresses) as ports:
        lead_through(meters, ports, segments)
        campaign.register(meters, segments=segments)
        collect(campaign, begun)
    collect(campaign, meters.end - DAY, exit_code=1)
    assert campaign.ask("SELECT name FROM segment WHERE down_since IS NOT NULL") == [(LOST,)]

    with gateway(addresses, ports, OCTETS_PER_S):
        before = campaign.ask(STORED)
        daemon = campaign.node(**FEW, COLLECTION__SESSION_TIMEOUT_S=campaign.scale.pick("4", "60"))
        campaign.until(lambda: campaign.ask(STORED) != before, "the daemon collects")
        back, others_s = time.monotonic(), 0.0
        newest_from = (datetime.now(UTC) - DAY).replace(minute=0, second=0, microsecond=0)
        while not campaign.complete(meters):
            assert time.monotonic() - back < campaign.scale.limit_s
            assert out_of_turn(campaign, begun, newest_from) == []
            if not others_s and fresh(campaign, meters):
                others_s = time.monotonic() - back
            time.sleep(0.1)
        all_s = time.monotonic() - back
        assert daemon.stop() == 0
    assert 0 < others_s < all_s / 2, "the others waited for the one that was lost"
    campaign.figures |= {"others fresh after_s": round(others_s, 1), "caught up after_s": round(all_s, 1)}
    campaign.check(meters)
