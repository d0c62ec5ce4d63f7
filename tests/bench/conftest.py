"""What is measured on the shared server is measured on one that outlives its machine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def durable(request: pytest.FixtureRequest) -> None:
    if "timescale_cluster" in request.fixturenames:
        request.getfixturevalue("timescale_cluster").durable(True)
