"""The raw commands at the example meter of pydlms-client, which nobody here wrote: every way in that it has, by the
wrapper and by HDLC. What we read and change there is told by its own client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from many import Many
from terminal import Terminal

KEYS = {"key": "000102030405060708090A0B0C0D0E0F", "auth-key": "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"}
PASSWORD, SECRET = "open-sesame", "0123456789abcdef"
SERIAL = "PYD0000000001"
SWITCH = ("70", "0.0.96.3.10.255")

Run = Callable[..., Any]
Serve = Callable[..., Any]


@contextmanager
def meter(serve: Serve, folder: Path, scheme: str, *options: str) -> Iterator[str]:
    """The meter; gives its address."""
    hdlc = ("--hdlc",) if scheme == "hdlc+tcp" else ()
    command = ("pydlms", "simulate", "--host", "127.0.0.1", "--port", "0", *hdlc, *options)
    with serve(folder, r"listening on (127\.0\.0\.1:\d+) \(", *command) as (found, _):
        yield f"{scheme}://{found[1]}"


PLAIN = {
    "none": ("--client", "16"),
    "lls": ("--client", "32", "--mechanism", "lls", "--secret", f"hex:{PASSWORD.encode().hex()}"),
    "aes": ("--client", "33", "--mechanism", "aes", "--secret", "@secret"),
    "md5": ("--client", "34", "--mechanism", "md5", "--secret", "@secret"),
    "sha1": ("--client", "35", "--mechanism", "4", "--secret", "@secret"),
}
CIPHERED = {
    "gmac": ("--client", "48", "--mechanism", "gmac", "--security", "both", "--key", "key", "--auth-key", "auth-key"),
}
COUNTER = ("--counter-object", "0.0.43.1.0.255")
THEIR_CLIENTS = [f"32:1:{PASSWORD}", f"33:2:{SECRET}", f"34:3:{SECRET}", f"35:4:{SECRET}"]


@pytest.mark.parametrize("scheme", ["tcp", "hdlc+tcp"])
@pytest.mark.parametrize(
    "ways", [PLAIN, {name: (*way, *COUNTER) for name, way in CIPHERED.items()}], ids=["plain", "ciphered"]
)
def test_it_is_read_and_changed_in_every_way_that_it_has(
    serve: Serve, tmp_path: Path, scheme: str, ways: dict[str, tuple[str, ...]]
) -> None:
    for name, text in (KEYS | {"secret": SECRET}).items():
        (tmp_path / name).write_text(text)
    clients = THEIR_CLIENTS if ways is PLAIN else ["48:5"]
    options = [word for client in clients for word in ("--client", client)]
    if ways is not PLAIN:
        options += ["--key", KEYS["key"], "--auth-key", KEYS["auth-key"]]
    many = Many(Terminal(tmp_path))
    with meter(serve, tmp_path, scheme, *options) as address:
        for number, way in enumerate(ways.values()):
            stamp = f"datetime:2026-01-31T06:15:{number:02}+01:00"
            for command in (
                ("get", address, "register", "voltage-l1", "value"),
                ("profile", address, "1.0.99.1.0.255", "--entries", "2:3"),
                ("set", address, "clock", "clock", "time", stamp, "--yes"),
                ("call", address, *SWITCH, "remote_disconnect", "i8:0", "--serial", SERIAL),
            ):
                many.run(*command, *way, "--json")
        outcomes = many.outcomes()
    for code, _, err in outcomes:
        assert code == 0, err
    documents = [json.loads(out) for _, out, _ in outcomes]
    for number, (voltage, rows, clock, switch) in enumerate(zip(*[iter(documents)] * 4, strict=True)):
        assert voltage["data"] == {"type": "long-unsigned", "value": 2301}
        assert voltage["scaled"] == {"value": 230.1, "unit": "V", "scaler": -1}
        assert rows["rows"] == [["2024-05-01T00:15:00+00:00", 1007], ["2024-05-01T00:30:00+00:00", 1014]]
        assert clock["after"][0]["data"]["datetime"] == f"2026-01-31T06:15:{number:02}+01:00"
        assert switch["before"][0]["data"]["value"] is (number == 0)
        assert switch["after"][0]["data"]["value"] is False


def asked(run: Run, folder: Path, command: str, *arguments: str) -> Any:
    """What one of ours prints as JSON."""
    counters = ("--counters", folder / "counters.json")
    return json.loads(run("headend", command, *arguments, *counters, "--json").stdout)


def test_what_we_set_is_what_its_own_client_reads(run: Run, serve: Serve, tmp_path: Path) -> None:
    with meter(serve, tmp_path, "tcp") as address:
        printed = asked(run, tmp_path, "get", address, "3", "1.0.32.7.0.255", "scaler_unit")
        changed = tmp_path / "scaler.json"
        printed["data"]["value"][0]["value"] = -2
        changed.write_text(json.dumps(printed))
        asked(run, tmp_path, "set", address, "3", "1.0.32.7.0.255", "scaler_unit", f"@{changed}", "--yes")
        asked(run, tmp_path, "set", address, "3", "1.0.32.7.0.255", "value", "u16:23456", "--yes")
        theirs = run("pydlms", "--json", "read", "--obis", "1.0.32.7.0.255", "--class", "3", "--register", address)
        assert json.loads(theirs.stdout)[0]["value"] == 234.56
        listed = json.loads(run("pydlms", "--json", "list", address).stdout)
        ours = asked(run, tmp_path, "objects", address)
        assert [(one["obis"], one["class_id"], one["version"]) for one in ours] == [
            (one["obis"], one["class"], one["version"]) for one in listed
        ]


def test_what_it_refuses_is_said_in_one_line(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("close-sesame")
    many = Many(Terminal(tmp_path))
    with meter(serve, tmp_path, "tcp", "--client", f"32:1:{PASSWORD}") as address:
        many.run("set", address, "3", "1.0.32.7.0.255", "1", "octets:00", "--yes")
        many.run("get", address, "3", "1.0.32.77.0.255", "value")
        many.run("call", address, "3", "1.0.32.7.0.255", "9", "--yes")
        many.run(
            "get", address, "1", "0.0.96.1.0.255", "2", "--client", "32", "--mechanism", "lls", "--secret", "@secret"
        )
        told = many.refusals(
            [(7, "read-write denied"), (7, "object undefined"), (7, "the meter answered "), (7, "refused")]
        )
    assert "close-sesame" not in "".join(told)
