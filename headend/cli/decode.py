"""`headend decode [HEX | FILE | -]`: captured traffic, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headend.cli.options import Json, warn_of_keys


def decode(
    capture: Annotated[
        str,
        typer.Argument(
            metavar="HEX | FILE | -",
            help="Hex digits, or a file: octets, hex digits, pcap, pcapng, a transcript of --trace; - reads stdin.",
            show_default=False,
        ),
    ] = "-",
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            "--encryption-key",
            help="Encryption key: hex, a file, or env:NAME. Hex is visible to others on this machine.",
        ),
    ] = None,
    auth_key: Annotated[
        str | None,
        typer.Option(
            "--auth-key", "--authentication-key", help="Authentication key, as above; tags are checked with it."
        ),
    ] = None,
    master_key: Annotated[
        str | None, typer.Option(help="Master key, as above; unwraps the keys that general-ciphering brings along.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="TOML with encryption_key, authentication_key and system_title, or a meter list (.csv), of which the "
            "row with --system-title counts.",
        ),
    ] = None,
    system_title: Annotated[
        str | None,
        typer.Option(help="The meter's system title (16 hex digits), where the capture does not tell it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Explain captured DLMS/COSEM traffic.

    Found by itself: HDLC, wrapper and M-Bus frames, bare APDUs, in octets or hex digits; pcap files; transcripts. What
    is ciphered is opened with --key, else with HEADEND_ENCRYPTION_KEY; an AARQ and AARE in the capture tell system
    titles and the dedicated key. No password and no key is shown.

    Example: `headend decode capture.pcap --key meter.key --json`
    """
    from headend.decoding import Decoding, decode_and_print

    given = {"encryption_key": key, "authentication_key": auth_key, "master_key": master_key}
    warn_of_keys(given)
    decode_and_print(
        Decoding(
            capture=capture,
            given_keys={name: text for name, text in given.items() if text is not None},
            key_file=keys,
            system_title=system_title,
        ),
        as_json=as_json,
    )
