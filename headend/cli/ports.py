"""`headend ports`: the serial ports of this machine."""

from __future__ import annotations

import typer

from headend.cli.options import Json, Lang


def ports(as_json: Json = False, lang: Lang = None) -> None:
    """List serial ports: which look like an optical probe, whether you may use them, what address to type.

    Nothing is opened or sent. A port by which the address says mode=e is one that calls itself a probe; for other
    probes that sign on at 300 baud write ?mode=e in place of ?baud=9600.

    Example: `headend ports`
    """
    import json
    from dataclasses import asdict

    from headend.watch.ports import serial_ports
    from headend.words import spoken, words

    found = serial_ports()
    if as_json:
        typer.echo(json.dumps([asdict(port) for port in found]))
    elif found:
        from headend.watch.port_printing import print_ports

        print_ports(found)
    else:
        typer.echo(spoken(words("watch.no_ports")))
