"""Many runs of the program in one process: what takes long about a run is to start Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from terminal import LIMIT_S, Terminal

MANY = """
import contextlib, io, json, os, sys
from headend.cli.main import main
outcomes = []
for arguments, environment in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), 0
    os.environ.update(environment)
    sys.argv = ["headend", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    for name in environment:
        del os.environ[name]
    outcomes.append((code, out.getvalue(), err.getvalue()))
json.dump(outcomes, sys.stdout)
"""
"""Calls the console script's own function, time after time."""


class Many:
    """Many runs in one process; `run` adds one and gives its place in what `outcomes` returns."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._wanted: list[tuple[tuple[str, ...], dict[str, str]]] = []

    def run(self, *arguments: str, **environment: str) -> int:
        self._wanted.append((arguments, environment))
        return len(self._wanted) - 1

    def outcomes(self, before: Callable[[], None] | None = None) -> list[tuple[int, str, str]]:
        """Exit code, stdout and stderr of each; `before`: done in the process first."""
        done = subprocess.run(
            [sys.executable, "-c", MANY],
            cwd=self._terminal.folder,
            env=self._terminal.environment,
            input=json.dumps(self._wanted),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            preexec_fn=before,
        )
        assert done.stderr == ""
        found: list[tuple[int, str, str]] = [tuple(one) for one in json.loads(done.stdout)]
        return found

    def refusals(self, expected: list[tuple[int, str]]) -> list[str]:
        """Each run ended with this code, and said this in one line; those lines."""
        outcomes = self.outcomes()
        for (code, told), (found, out, err), (arguments, _) in zip(expected, outcomes, self._wanted, strict=True):
            assert (found, out) == (code, ""), (arguments, err)
            assert told in err, (arguments, err)
            assert err.startswith("headend: "), err
            assert err.count("\n") == 1, err
        return [err for _, _, err in outcomes]
