"""Where a meter is: `tcp://host:4059?client=32&server=1&timeout=10`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from profiles.errors import SettingsError

DEFAULT_PORT = 4059
"""Registered for DLMS/COSEM over TCP and UDP."""
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """A meter's link address and what of it overrides the meter type."""

    host: str
    port: int = DEFAULT_PORT
    client: int | None = None
    server: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def parse_address(text: str) -> Address:
    """From its URL form; SettingsError says what is wrong with it."""
    remedy = "write it as tcp://host:4059 or tcp://[v6 address]:4059, with ?client=, server=, timeout= where needed"
    try:
        url = urlsplit(text.strip())
        port = url.port
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a meter address: {error}", remedy=remedy) from None
    if url.scheme != "tcp" or not url.hostname or url.path not in ("", "/") or url.username is not None or url.fragment:
        raise SettingsError(f"{text!r} is not a meter address", remedy=remedy)
    client = server = None
    timeout_s = DEFAULT_TIMEOUT_S
    for key, value in parse_qsl(url.query, keep_blank_values=True):
        try:
            if key in ("client", "server"):
                number = int(value)
                if not 1 <= number <= 0xFFFF:
                    raise ValueError
                client, server = (number, server) if key == "client" else (client, number)
            elif key == "timeout":
                timeout_s = float(value)
                if not 0 < timeout_s <= 600:
                    raise ValueError
            else:
                raise SettingsError(f"{text!r}: unknown key {key!r}", remedy=remedy)
        except ValueError:
            raise SettingsError(f"{text!r}: {key}={value} is out of range", remedy=remedy) from None
    return Address(url.hostname, port if port is not None else DEFAULT_PORT, client, server, timeout_s)
