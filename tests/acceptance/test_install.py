"""The package as a stranger installs it: into an empty virtual environment, and run from another folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from terminal import Terminal

ROOT = Path(__file__).parents[2]
PARTS = ("config", "drivers", "headend", "profiles", "simulators", "tests/services")
FILES = ("pyproject.toml", "README.md", "LICENSE", "constraints.txt")
INSTALL_S = 240


@pytest.mark.timeout(2 * INSTALL_S)
def test_an_installed_package_has_all_its_files_and_runs_the_demo(terminal: Terminal) -> None:
    source, place = terminal.folder / "source", terminal.folder / "venv"
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, source / file)
    venv.create(place)  # pip of this environment installs into it: Debian's python3 may lack ensurepip
    pip = (sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--quiet")
    subprocess.run([*pip, "-c", source / "constraints.txt", source], check=True, timeout=INSTALL_S, capture_output=True)
    shutil.rmtree(source)

    terminal.headend = place / "bin" / "headend"
    assert "demo" in terminal.run("--help").stdout
    assert terminal.run("--version").stdout.startswith("headend ")
    said = json.loads(terminal.run("demo", "--json", "--meters", "10").stdout)
    assert said["intervals_equal"] == said["intervals_expected"] == 1920
    assert len(said["divisions"]) == 10, "the divisions of config/rollout.csv"
