"""`headend scan ADDRESS`: who answers on a line, or in a range of addresses."""

from __future__ import annotations

from typing import Annotated

import typer

from headend.cli.options import Json, Lang


def scan(
    address: Annotated[
        str,
        typer.Argument(
            help="With a range: tcp://10.0.0.1-254:4059, 'serial:///dev/ttyUSB0?physical=16-40', "
            "'tcp://10.0.0.1?gateway=01-20' (hex). An HDLC line without physical= has all usual ones, 16 to 125."
        ),
    ],
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds that a place has to answer.", min=0.05, max=60)
    ] = 1.0,
    at_once: Annotated[
        int, typer.Option("--at-once", help="Hosts asked at one time; on one line it is one.", min=1, max=256)
    ] = 32,
    as_json: Json = False,
    lang: Lang = None,
) -> None:
    """Ask each place whether somebody is there, and by the public client, without a key, who it is.

    On HDLC each physical address gets an SNRM; on a serial port where nobody answers a sign-on by mode E is tried last.
    Ctrl-C shows what was found until then. The exit code is 4 if nobody answers.

    Example: `headend scan tcp://10.0.0.1-254:4059`

    Example: `headend scan 'serial:///dev/ttyUSB0?baud=9600&physical=16-40'`
    """
    import json

    from headend.interrupting import run_with_meter
    from headend.watch.places import places_of
    from headend.watch.scan_printing import as_json as json_of
    from headend.watch.scan_printing import print_scan, scan_bar
    from headend.watch.scanning import Scan
    from profiles.errors import LinkError

    going = Scan(places_of(address), timeout_s=timeout, at_once=at_once)
    broken_off = False
    try:
        with scan_bar(len(going.places)) as told:
            run_with_meter(going.run(told))
    except KeyboardInterrupt:
        broken_off = True
    if as_json:
        typer.echo(json.dumps(json_of(going)))
    else:
        print_scan(going)
    if broken_off:
        raise KeyboardInterrupt
    if not going.found:
        raise LinkError("nobody answers", meter=address, remedy="a longer --timeout, another speed or another range")
