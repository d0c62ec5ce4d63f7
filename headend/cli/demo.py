"""`headend demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.options import Json, checked_dsn


def demo(
    meters: Annotated[int, typer.Option(help="How many simulated meters.", min=1, max=100_000)] = 200,
    seed: Annotated[int, typer.Option(help="Another seed is another fleet with another load.")] = 1,
    dsn: Annotated[
        str | None, typer.Option(help="An empty database of your own; else a private one is started.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the database up, to look further.")] = False,
    as_json: Json = False,
) -> None:
    """Collect two days of 15-minute intervals from simulated meters and compare every value.

    Simulated IS 15959 meters, spread over the divisions of the rollout, are read over real sockets and ciphered
    associations into a real database; each stored value is compared with what the simulator says its meter said.
    Exit code 11 at the first difference.

    Example: `headend demo --meters 50 --keep`
    """
    from headend.demo.run import DemoOptions, run_demo

    run_demo(DemoOptions(meters, seed, None if dsn is None else checked_dsn(dsn), keep, as_json))
