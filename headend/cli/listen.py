"""`headend listen`: pushes as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from headend.cli.options import Json, Lang

_LAST_WORDS_S: Final = 0.2
"""For the confirmation of the last one to go out."""


def listen(
    ports: Annotated[
        list[int] | None, typer.Argument(metavar="[PORT]...", help="Where meters push to (4059); 0: any free port.")
    ] = None,
    udp: Annotated[bool, typer.Option("--udp", help="By UDP too, on the same ports.")] = False,
    host: Annotated[str | None, typer.Option("--host", help="Listen at this address alone.")] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="A meter list (.csv), or TOML with encryption_key and authentication_key."),
    ] = None,
    meter_type: Annotated[
        str, typer.Option("--type", help="Meter type, or a type file, of meters of which none is known.")
    ] = "is15959-1ph",
    counters: Annotated[
        Path | None, typer.Option(help="Where this machine keeps its invocation counters.", show_default=False)
    ] = None,
    as_json: Json = False,
    trace: Annotated[Path | None, typer.Option(help="Write each APDU, with time and sender, to this file.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="End after so many.", min=1)] = None,
    lang: Lang = None,
) -> None:
    """Show what meters push, decoded, until Ctrl-C.

    Any cover is opened, with keys of the list, or of the meters in the book; what the head-end would refuse, what
    nothing proves, and what does not open is shown too, and said to be so. Confirmed notifications are confirmed.

    Example: `headend listen 4059 --udp --keys meters.csv`

    Example: `headend listen --json | jq -c 'select(.kind == "alert")'`
    """
    import asyncio
    from contextlib import AsyncExitStack

    from drivers.links.transcript import write_transcript
    from headend.watch.listening import Ears, Places, show_json, text_shower
    from headend.watch.listening import listen as listen_at
    from headend.watch.pushers import Pushers
    from headend.watch.pushes import Heard
    from headend.words import joined, spoken, words

    pushers = Pushers(keys, counters, meter_type)
    show = show_json if as_json else text_shower()

    async def run() -> None:
        enough = asyncio.Event()
        failed: list[BaseException] = []
        seen = 0

        def show_one(found: Heard) -> None:
            nonlocal seen
            if enough.is_set():
                return
            seen += 1
            try:
                show(found)
            except OSError as error:  # who reads us is gone: the sockets have to be closed first
                failed.append(error)
                enough.set()
            if count is not None and seen >= count:
                enough.set()

        with write_transcript(trace) as transcript:
            async with AsyncExitStack() as stack:
                ears = Ears(pushers, show_one, transcript)
                where = await listen_at(ears, Places(host, ports or [4059], udp), stack)
                typer.echo(spoken(words("watch.listening", places=joined(where))), err=True)
                await enough.wait()
                await asyncio.sleep(_LAST_WORDS_S)
        if failed:
            raise failed[0]

    asyncio.run(run())
