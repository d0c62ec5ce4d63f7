"""A campaign on a database of its own in the shared durable server, or on a server of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import Campaign, Scale, Server
from terminal import Terminal

SCALE = Scale.of_environment()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In full they take as long as they take."""
    if SCALE.full:
        for item in items:
            item.add_marker(pytest.mark.timeout(7200))


@pytest.fixture
def campaign(terminal: Terminal, empty_timescale_dsn: str, request: pytest.FixtureRequest) -> Iterator[Campaign]:
    print(f"SEED={SCALE.seed}")  # noqa: T201 - shown when the campaign fails, or with -s
    campaign = Campaign(terminal, SCALE, empty_timescale_dsn)
    begun = time.monotonic()
    yield campaign
    campaign.figures["seconds"] = round(time.monotonic() - begun)
    if folder := os.environ.get("CAMPAIGN_FIGURES"):
        campaign.tell(request.node.name.removeprefix("test_"), Path(folder))


@pytest.fixture
def server(service_folder: Path) -> Iterator[Server]:
    """A database server that may be stopped and killed."""
    server = Server(service_folder)
    yield server
    server.call("stop")
