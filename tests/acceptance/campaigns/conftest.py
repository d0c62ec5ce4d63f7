"""A campaign on a database of its own, in a server that is durable meanwhile, and the account a full run leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from campaign import Campaign, Scale, Server
from terminal import Terminal

SCALE = Scale.of_environment()
ACCOUNT = Path(__file__).parents[3] / "docs" / "campaigns.md"
ROWS: dict[str, list[str]] = {}
"""Of the account, by campaign: its name, outcome, day and seed, duration, figures."""


def pytest_report_header() -> str:
    return f"campaigns: {'in full' if SCALE.full else 'reduced'}, SEED={SCALE.seed}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In full they take as long as they take; reduced, processes that start take long where the machine is busy."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(SCALE.pick(240, 7200)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = report.nodeid.rpartition("::test_")[2].replace("_", " ")
    if report.when == "call":
        when = f"{datetime.now(UTC):%Y-%m-%d}, {SCALE.seed}"
        ROWS[name] = [name, report.outcome, when, f"{report.duration:.0f} s"]
    elif report.when == "teardown" and name in ROWS:
        ROWS[name].append("; ".join(f"{figure}: {value}" for figure, value in report.user_properties))


def pytest_sessionfinish() -> None:
    """Write what a full run showed; what it did not run stands as it stood."""
    if not (SCALE.full and ROWS):
        return
    stood = ACCOUNT.read_text().partition("|---|")[2].splitlines()[1:] if ACCOUNT.exists() else []
    rows = {line.removeprefix("| ").split(" | ")[0]: line for line in stood}
    rows |= {name: "| " + " | ".join(row) + " |" for name, row in ROWS.items()}
    lines = [
        "# Campaigns",
        "",
        "The head-end against what may befall it, with real daemons, a durable TimescaleDB and simulated meters behind",
        "real sockets. Each campaign ends with the same check: every interval stored once with the value that the",
        "meter must have given, nothing owed, `headend gaps --verify` in agreement, no invocation counter seen twice.",
        "Run by `make campaigns SEED=...`.",
        "",
        "| Campaign | Outcome | On, seed | Took | Figures |",
        "|---|---|---|---|---|",
        *(rows[name] for name in sorted(rows)),
    ]
    ACCOUNT.write_text("\n".join(lines) + "\n")


@pytest.fixture
def campaign(terminal: Terminal, durable_timescale_dsn: str, request: pytest.FixtureRequest) -> Iterator[Campaign]:
    campaign = Campaign(terminal, SCALE, durable_timescale_dsn)
    yield campaign
    request.node.user_properties += campaign.figures.items()


@pytest.fixture
def server(service_folder: Path) -> Iterator[Server]:
    """A database server that may be stopped and killed."""
    server = Server(service_folder)
    yield server
    server.call("stop")
