"""The options of every command that asks one meter without a type file: association, keys, counters, link.

The one rule: they stand here once. `with_access` puts them on a command, which is given them as one `Access`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from headend.cli.options import warn_of_keys
from headend.cli.shared_options import with_options
from headend.own_files import names_in_book

P = ParamSpec("P")

MECHANISMS: Final = ("none", "lls", "aes", "md5", "sha1", "gmac", "sha256", "ecdsa")
"""By number."""

_ASSOCIATION: Final = "Association"
_KEYS: Final = "Keys: hex (visible to others on this machine), a file, or env:NAME"
_COUNTERS: Final = "Invocation counters"


class Security(enum.StrEnum):
    """How APDUs are protected."""

    NONE = "none"
    AUTHENTICATION = "authentication"
    ENCRYPTION = "encryption"
    BOTH = "both"


class Ciphering(enum.StrEnum):
    """The APDUs that carry what is ciphered."""

    GLO = "glo"
    DED = "ded"
    GENERAL_GLO = "general-glo"
    GENERAL_DED = "general-ded"
    GENERAL_CIPHERING = "general-ciphering"


class KeyOrigin(enum.StrEnum):
    """Where the key of a general-ciphering APDU comes from."""

    IDENTIFIED = "identified"
    WRAPPED = "wrapped"
    ONE_PASS = "one-pass"  # noqa: S105
    STATIC_UNIFIED = "static-unified"


def _mechanism(text: str) -> str:
    """A mechanism's name from its name or number."""
    number = dict(zip(map(str, range(len(MECHANISMS))), MECHANISMS, strict=True))
    if text.lower() not in (*MECHANISMS, *number):
        raise typer.BadParameter(f"{text!r} is none of {', '.join(MECHANISMS)}, nor 0 to 7")
    return number.get(text, text.lower())


def _option(*names: str, text: str, panel: str = _ASSOCIATION, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)


def _key(*names: str, text: str) -> Any:
    return _option(*names, text=text, panel=_KEYS, metavar="KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one meter is reached and asked, as the command line says it. None: as the type has it, else the default."""

    address: Annotated[
        str,
        typer.Argument(
            help="Where the meter is: tcp://host:4059, udp://, hdlc+tcp://, rfc2217://, "
            "serial:///dev/ttyUSB0?baud=9600; or its name in the book or the registry.",
            autocompletion=names_in_book,
        ),
    ]
    meter_type: Annotated[
        str | None, _option("--type", text="A meter type, or a type file: what the options leave open is as it says.")
    ] = None
    client: Annotated[int | None, _option("--client", text="Client SAP (16).", min=1, max=0xFFFF)] = None
    server: Annotated[int | None, _option("--server", text="Logical device (1).", min=1, max=0xFFFF)] = None
    mechanism: Annotated[
        str | None,
        _option(
            "--mechanism",
            text=f"Authentication: {', '.join(MECHANISMS)}, or 0 to 7 (none).",
            parser=_mechanism,
            metavar="NAME",
        ),
    ] = None
    security: Annotated[Security | None, _option("--security", text="How APDUs are protected (none).")] = None
    suite: Annotated[int | None, _option("--suite", text="Security suite (0).", min=0, max=2)] = None
    ciphering: Annotated[Ciphering | None, _option("--ciphering", text="In which APDUs (glo).")] = None
    key_origin: Annotated[
        KeyOrigin | None, _option("--key-origin", text="The key of general-ciphering (identified).")
    ] = None
    signed: Annotated[bool | None, _option("--signed", text="Every APDU in a general-signing one.")] = None
    pre_established: Annotated[bool | None, _option("--pre-established", text="Neither associate nor release.")] = None
    client_title: Annotated[
        str | None, _option("--client-title", text="Our system title, 16 hex digits (this machine's own).")
    ] = None
    server_title: Annotated[
        str | None,
        _option("--server-title", "--system-title", text="The meter's system title: refuse any other meter."),
    ] = None
    max_pdu: Annotated[
        int | None, _option("--max-pdu", text="The longest APDU that we take (65535).", min=64, max=0xFFFF)
    ] = None
    timeout: Annotated[
        float | None,
        _option("--timeout", text="Seconds that the meter may go without an answer (10).", min=0.1, max=600),
    ] = None
    keys: Annotated[
        Path | None,
        _option("--keys", text="All of them: a meter list (.csv), or TOML with encryption_key and so on.", panel=_KEYS),
    ] = None
    encryption_key: Annotated[str | None, _key("--key", "--encryption-key", text="Global unicast encryption key.")] = (
        None
    )
    authentication_key: Annotated[
        str | None, _key("--auth-key", "--authentication-key", text="Authentication key.")
    ] = None
    secret: Annotated[
        str | None, _key("--secret", text="LLS password or HLS secret: text, hex: and hex digits, @FILE or env:NAME.")
    ] = None
    master_key: Annotated[str | None, _key("--master-key", text="Key encryption key, for wrapped keys.")] = None
    signing_key: Annotated[str | None, _key("--signing-key", text="Our private signing key (d).")] = None
    peer_signing_key: Annotated[str | None, _key("--peer-signing-key", text="Its public signing key (x, y).")] = None
    agreement_key: Annotated[str | None, _key("--agreement-key", text="Our private key agreement key (d).")] = None
    peer_agreement_key: Annotated[
        str | None, _key("--peer-agreement-key", text="Its public key agreement key (x, y).")
    ] = None
    counters: Annotated[
        Path | None, _option("--counters", text="Where this machine keeps its own.", panel=_COUNTERS)
    ] = None
    counter: Annotated[
        int | None, _option("--counter", text="Start at this one at least.", panel=_COUNTERS, min=0, max=0xFFFF_FFFF)
    ] = None
    counter_object: Annotated[
        str | None,
        _option("--counter-object", text="OBIS of the meter's, which the public client reads.", panel=_COUNTERS),
    ] = None
    public_client: Annotated[
        int | None,
        _option("--public-client", text="SAP of the public client (16).", panel=_COUNTERS, min=1, max=0xFFFF),
    ] = None
    accept_counter: Annotated[
        bool, _option("--accept-counter", text="Believe the meter's even if it is far above ours.", panel=_COUNTERS)
    ] = False
    trace: Annotated[
        Path | None,
        typer.Option("--trace", help="Write each frame, with time and direction and without passwords, to this file."),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False

    @property
    def given_keys(self) -> dict[str, str]:
        """Keys of the command line by name."""
        given = {name: getattr(self, name) for name in KEY_OPTIONS}
        return {name: text for name, text in given.items() if text is not None}

    def __repr__(self) -> str:
        return f"Access({self.address!r})"


KEY_OPTIONS: Final = (
    "encryption_key",
    "authentication_key",
    "secret",
    "master_key",
    "signing_key",
    "peer_signing_key",
    "agreement_key",
    "peer_agreement_key",
)


def with_access(command: Callable[Concatenate[Access, P], None]) -> Callable[..., None]:
    """The command with an ADDRESS before its own arguments and the options of `Access` behind its own."""

    @functools.wraps(command)
    def warned(access: Access, *given: Any, **named: Any) -> None:
        warn_of_keys(access.given_keys)
        command(access, *given, **named)

    return with_options(Access, warned)
