"""`headend simulate`: simulated meters, in a process of their own.

The head-end and the simulator share no code but drivers and profiles; so this only hands over to `simulators`.
"""

from __future__ import annotations

import os
import sys

import typer

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def simulate(context: typer.Context) -> None:
    """Serve simulated meters on this machine's loopback addresses, to try everything else on.

    Examples: `headend simulate --meters 3 --registry meters.csv`, `headend simulate --fleet config/fleet.toml`
    """
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "simulators", *context.args])  # noqa: S606
