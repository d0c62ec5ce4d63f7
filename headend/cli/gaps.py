"""`headend gaps`: what is owed, absent and lost, and whether the ledger is true."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from headend.cli.options import Config, Dsn, Json, settings_of

if TYPE_CHECKING:
    from headend.store.gaps import Days, Disagreement, Span


def gaps(
    config: Config = None,
    dsn: Dsn = None,
    meter: Annotated[str | None, typer.Option(help="One meter, by name or serial number; with its gaps.")] = None,
    division: Annotated[str | None, typer.Option(help="Meters of this division.")] = None,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="One day in the utility's zone.")] = None,
    last: Annotated[int, typer.Option("--days", help="So many days up to today.", min=1, max=400)] = 7,
    daily: Annotated[bool, typer.Option("--daily", help="The daily load, not the block load.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Count all of it again from rows and absences; exit code 1 if any differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what meters owe, what they never recorded (absent) and what is lost (expired).

    Day by day; one day by division, and with --division by meter.

    Example: `headend gaps --meter bhopal-city-00017 --days 35`
    """
    from headend.store.where import database
    from headend.times import utc_now

    settings = settings_of(config, dsn)
    now = utc_now()
    with database(settings, make=False) as place:
        if verify:
            _verify(place, as_json)
            return
        _show(place, now, meter, division, day.date() if day else None, last, daily, as_json)


def _show(
    place: str,
    now: datetime,
    meter: str | None,
    division: str | None,
    day: date | None,
    last: int,
    daily: bool,
    as_json: bool,
) -> None:
    import asyncio
    from zoneinfo import ZoneInfo

    from headend.store import gaps as ledger
    from headend.store.database import connect

    by: Literal["day", "division", "meter"] = "day"
    if day is not None and meter is None:
        by = "division" if division is None else "meter"
    profile = "daily_load" if daily else "block_load"

    async def load() -> tuple[list[Days], list[Span], ZoneInfo]:
        async with await connect(place) as connection:
            zone = ZoneInfo(await ledger.zone_of(connection))
            name = await ledger.name_of(connection, meter) if meter is not None else None
            until = day or now.astimezone(zone).date()
            first = day or until - timedelta(days=last - 1)
            rows = await ledger.days(
                connection, by, first, until, now, profile=profile, meter=name, division=division, limit=400
            )
            spans = await ledger.spans(connection, name, now, profile=profile) if name is not None else []
            return rows, spans, zone

    rows, spans, zone = asyncio.run(load())
    if as_json:
        typer.echo(json.dumps(_as_json(by, rows, spans)))
        return
    from headend.gap_printing import print_days, print_spans

    if rows:
        print_days(by, rows)
    else:
        typer.echo("nothing is missing" if by == "meter" else "nothing is due")
    if spans:
        print_spans(spans, zone)


def _as_json(by: str, rows: list[Days], spans: list[Span]) -> dict[str, object]:
    found = [{by: row.name} | row._asdict() | {"owed": row.owed} for row in rows]
    for row in found:
        del row["name"]
    gaps = [{"kind": span.kind, "from": span.first.isoformat(), "to": span.until.isoformat()} for span in spans]
    return {"rows": found, "gaps": gaps}


def _verify(place: str, as_json: bool) -> None:
    import asyncio

    from headend.store import gaps as ledger
    from headend.store.database import connect

    async def compare() -> int:
        count = 0
        async with await connect(place) as connection:
            async for found in ledger.verify(connection):
                typer.echo(json.dumps(_difference(found)) if as_json else str(found))
                count += 1
        return count

    count = asyncio.run(compare())
    if count:
        typer.echo(f"headend: the ledger disagrees with its rows in {count:,} places", err=True)
        raise typer.Exit(1)
    if not as_json:
        typer.echo("the ledger agrees with its rows")


def _difference(found: Disagreement) -> dict[str, object]:
    return found._asdict() | {"day": found.day.isoformat() if found.day else None}
