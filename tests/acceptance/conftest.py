"""A terminal for each test, and a fleet of meters for all that leave it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Meters, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meters]:
    """Six meters that answer, commissioned three days ago. A test that changes one has that one to itself."""
    terminal = Terminal(tmp_path_factory.mktemp("fleet"))
    meters = terminal.meters(6, days=3)
    yield meters
    try:
        meters.stop()
    finally:
        terminal.close()
