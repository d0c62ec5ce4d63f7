"""Other implementations of DLMS/COSEM run beside ours, each as a process of its own: they are GPL, and no test imports
them. Here: programs run to their end (`run`) and programs that serve (`serve`), with a limit to every wait.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent
LIMIT_S = 60.0
"""For a program to answer or to end; generous, since the machine may be busy."""

Run = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., AbstractContextManager[tuple[re.Match[str], Path]]]


def _run(program: str, *arguments: str | Path, given: str = "", exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment with `given` on stdin; anything but `exit_code` fails the test."""
    done = subprocess.run(
        [PROGRAMS / program, *arguments], input=given, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode != exit_code:
        pytest.fail(f"{program} ended with {done.returncode}: {done.stdout}{done.stderr}", pytrace=False)
    return done


@contextmanager
def _serve(folder: Path, ready: str, program: str, *arguments: str | Path) -> Iterator[tuple[re.Match[str], Path]]:
    """Run a server from the moment that its output matches `ready` to the end of the block, then stop it by SIGTERM;
    gives the match, and the file in `folder` that the output goes to."""
    output = folder / "output"
    with output.open("w") as stream:
        process = subprocess.Popen([PROGRAMS / program, *arguments], stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield _await_line(output, ready, process), output
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        finally:
            process.kill()


def _await_line(output: Path, ready: str, process: subprocess.Popen[bytes]) -> re.Match[str]:
    deadline = time.monotonic() + LIMIT_S
    while (found := re.search(ready, output.read_text())) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args!r} did not start: {output.read_text()}", pytrace=False)
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def run() -> Run:
    """`run(program, *arguments)`."""
    return _run


@pytest.fixture(scope="session")
def serve() -> Serve:
    """`with serve(folder, ready, program, *arguments) as (match, output):`"""
    return _serve
