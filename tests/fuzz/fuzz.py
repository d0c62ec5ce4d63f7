"""Fuzz the receive paths with atheris, guided by coverage.

    fuzz.py [--seconds 600] [TARGET ...]       each target for so long, one after the other; those of targets.py, or all
    fuzz.py TARGET FILE                        what one input does, with its traceback

A target starts from its folder in `corpus`. An input that breaks something, takes too long or too much memory is kept
as `crash-*`, `timeout-*` or `oom-*` in `findings`, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
FINDINGS = FOLDER / "findings"
NEEDED = "fuzzing needs atheris, which has wheels for CPython 3.11 to 3.14 on x86-64 Linux: pip install 'atheris>=3'"

LONGEST_S = 10
"""For one input, on a machine that is busy: nothing takes a hundredth of it."""
MOST_MB = 512
"""Of memory, for the whole process; most of the time it has a fifth of that."""
STARTING_S = 300
"""For a target to be instrumented and its seeds to be read, on a machine that is busy; and to end."""
LONGEST_INPUT = 4096
LAST_WORDS = 60
"""Lines of a target that broke: its traceback is among them."""


def main() -> int:
    if sys.argv[1:2] == ["--run"]:
        return _fuzz_here(sys.argv[2], sys.argv[3:])
    import targets

    parser = argparse.ArgumentParser(description="Fuzz the receive paths.")
    parser.add_argument("--seconds", type=int, default=600, help="how long each target is fuzzed")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets.TARGETS))
    wanted = parser.parse_args()
    if len(wanted.targets) == 2 and Path(wanted.targets[1]).is_file():
        targets.check(wanted.targets[0], Path(wanted.targets[1]).read_bytes())
        return 0
    if set(wanted.targets) - set(targets.TARGETS):
        parser.error(f"the targets are {', '.join(targets.TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        parser.error(NEEDED)
    broken = [name for name in wanted.targets or targets.TARGETS if not _fuzz(name, wanted.seconds)]
    if broken:
        print(f"fuzz: {', '.join(broken)} broke; the inputs are in {FINDINGS}", file=sys.stderr)
    return 1 if broken else 0


def _fuzz(target: str, seconds: int) -> bool:
    """Fuzz a target in a process of its own; whether nothing was found."""
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-") as grown:
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={LONGEST_S}",
            f"-rss_limit_mb={MOST_MB}",
            f"-max_len={LONGEST_INPUT}",
            f"-artifact_prefix={FINDINGS}/{target}-",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        command = [sys.executable, __file__, "--run", target, *options, grown, str(CORPUS / target)]
        limit_s = seconds + STARTING_S
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=limit_s
        )
    said = [line for line in done.stdout.splitlines() if not line.startswith("INFO:")]
    executed = next((line.split()[-1] for line in said if "number_of_executed_units" in line), "0")
    outcome = "BROKE" if done.returncode else "nothing found"
    print(f"{target:12}{executed:>10} inputs in {seconds} s: {outcome}", flush=True)
    if done.returncode:
        print(*said[-LAST_WORDS:], sep="\n", file=sys.stderr)
    return done.returncode == 0


def _fuzz_here(target: str, options: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["drivers", "profiles"]):
        import targets

    atheris.Setup([sys.argv[0], *options], lambda octets: targets.check(target, octets))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
