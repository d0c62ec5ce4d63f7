"""The conformance table is true to the tests: what it names exists, and what it calls supported names one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "protocol.md").read_text()
NAMED = re.findall(r"`((?:unit|integration|interop|acceptance|bench|fuzz)/\w+\.py)(?:::(\w+))?`", TABLE)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("|") and not line.startswith(("| feature", "|---", "| attack"))
]


def test_every_test_that_the_table_names_exists() -> None:
    assert len(NAMED) > 40
    for file, test in NAMED:
        source = (ROOT / "tests" / file).read_text()
        assert not test or re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file}::{test}"


def test_what_is_supported_names_its_test_and_who_confirmed_it() -> None:
    for row in ROWS:
        if len(row) == 4 and not row[1].startswith("no"):
            assert "::test_" in row[2], row
            assert row[3], row
