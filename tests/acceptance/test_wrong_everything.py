"""Whatever is wrong with what an engineer gives, the message names it, and says what it may be and what to try."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import re
import socket
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from many import Many
from terminal import Meters, Terminal, free_port

from headend.reading.explaining import EXPLANATIONS

TEXTS = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
SECRETS = ("encryption_key", "authentication_key", "lls_secret", "hls_secret")
_DROP_FROM_BOUNDING_SET, _DAC_OVERRIDE, _DAC_READ_SEARCH = 24, 1, 2


@dataclass(frozen=True)
class Wrong:
    """`code`: the exit code; `said`: in the message; `symptom`: whose explanation follows, none where that says all."""

    address: str
    code: int
    said: str
    symptom: str | None
    keys: str = "good.toml"
    type_name: str = "is15959-1ph"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where calls are taken and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def ports() -> Iterator[list[str]]:
    """Three serial ports at which nobody is; another program has the last."""
    ends = [pty.openpty() for _ in range(3)]
    fcntl.flock(ends[2][1], fcntl.LOCK_EX)
    yield [os.ttyname(inner) for _, inner in ends]
    for end in (end for both in ends for end in both):
        os.close(end)


def heed_modes() -> None:
    """Let also root open only what modes let him."""
    if os.geteuid() == 0:
        process = ctypes.CDLL(None, use_errno=True)
        for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
            if process.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "a capability can't be given up")


def key_files(folder: Path, row: dict[str, str], other: dict[str, str]) -> None:
    """`good.toml`, and files with one thing wrong."""
    good = {name: row[name] for name in SECRETS}
    wrong: dict[str, dict[str, str]] = {
        "good": {},
        "lls": {"lls_secret": "N0T-MINE"},
        "hls": {"hls_secret": "N0T-MINE-EITHER!"},
        "encryption": {"encryption_key": other["encryption_key"]},
        "authentication": {"authentication_key": other["authentication_key"]},
        "short": {"encryption_key": "0123456789"},
        "forbidden": {},
    }
    for name, change in wrong.items():
        lines = [f'{key} = "{text}"\n' for key, text in (good | change).items()]
        (folder / f"{name}.toml").write_text("".join(lines))
    (folder / "forbidden.toml").chmod(0)
    (folder / "garbled.toml").write_bytes(b"PK\x03\x04\xff\xfe" + row["encryption_key"].encode())
    (folder / "other.csv").write_text("name,address\npole,tcp://127.9.9.9:4059\n")


def explained(wrong: Wrong, code: int, out: str, err: str) -> None:
    """It ends as documented, with one message, its causes in order and what to try."""
    assert (code, out) == (wrong.code, ""), (wrong, err)
    [message] = re.findall(r"^headend: (?!calling|asking|it is)(.*)$", err, re.MULTILINE)
    assert wrong.said in message, (wrong, err)
    assert "Traceback" not in err
    if wrong.symptom is None:
        assert "Likely causes" not in err, (wrong, err)
        return
    of = TEXTS[wrong.symptom]["en"]
    told = [of["what"], "Likely causes", *of["causes"], "Try:", *of["try"]]
    places = [err.find(text) for text in told]
    assert places == sorted(places), (wrong, err)
    assert places[0] > 0, (wrong, err)


def test_each_thing_that_is_wrong_has_its_own_message_causes_and_remedies(
    terminal: Terminal, fleet: Meters, silent: int, ports: list[str]
) -> None:
    row, other = fleet.rows[4], fleet.rows[5]
    key_files(terminal.folder, row, other)
    forbidden_port = terminal.folder / "tty"
    forbidden_port.touch(0)
    meter, hdlc = row["address"], f"hdlc+{row['address']}"
    table = [
        Wrong("tcp://no-such-meter.invalid:4059?timeout=5", 4, "'no-such-meter.invalid' is not known", "no_such_host"),
        Wrong(f"tcp://127.0.0.1:{free_port()}", 4, "refused the connection", "refused"),
        Wrong(f"udp://127.0.0.1:{free_port()}?timeout=1", 4, "refused", "refused"),
        Wrong(f"tcp://127.0.0.1:{silent}?timeout=1", 4, "within 1 s", "silent"),
        Wrong(f"hdlc+tcp://127.0.0.1:{silent}?timeout=1", 4, "SNRM", "silent_line"),
        Wrong(f"{meter}?client=99", 3, "no association for client 99", None),
        Wrong(f"{meter}?server=9", 4, "closed the connection", "hung_up"),
        Wrong(f"{hdlc}?server=9", 4, "closed the connection", "hung_up"),
        Wrong(meter, 7, "authentication failed", "wrong_password", "lls.toml"),
        Wrong(f"{meter}?client=48", 7, "did not accept our proof", "wrong_secret", "hls.toml"),
        Wrong(meter, 7, "deciphering error", "wrong_key", "encryption.toml"),
        Wrong(f"{meter}?client=48", 7, "deciphering error", "wrong_key", "authentication.toml"),
        Wrong(meter, 7, "object undefined", "not_there", type_name="idis"),
        Wrong(meter, 3, "there is no meter type 'nonesuch'", None, type_name="nonesuch"),
        Wrong(f"serial://{ports[0]}?timeout=1&baud=9600&physical=99", 4, "SNRM", "silent_line"),
        Wrong(f"serial://{ports[1]}?timeout=1&mode=e", 4, "no identification", "no_sign_on"),
        Wrong(f"serial://{ports[2]}", 8, "is in use by another program", "port_taken"),
        Wrong("serial:///dev/no-such-port", 4, "/dev/no-such-port can't be opened", "no_port"),
        Wrong("serial:///dev/null", 4, "/dev/null can't be opened", "no_serial_port"),
        Wrong(f"serial://{forbidden_port}", 4, "Permission denied", "port_forbidden"),
        Wrong(meter, 3, "none.toml can't be read: No such file", "no_key_file", "none.toml"),
        Wrong(meter, 3, "forbidden.toml can't be read: Permission denied", "key_file_forbidden", "forbidden.toml"),
        Wrong(meter, 3, "garbled.toml is neither TOML nor", "key_file_garbled", "garbled.toml"),
        Wrong(meter, 3, "encryption key: a key has 16 octets", None, "short.toml"),
        Wrong(meter, 3, "other.csv has no meter with the address", "not_in_list", "other.csv"),
        Wrong("tpc://127.0.0.1:4059", 3, "no such kind of link", None),
    ]
    runs = [Many(terminal) for _ in range(2)]
    for number, wrong in enumerate(table):
        way = ("--type", wrong.type_name, "--keys", wrong.keys, "-v")
        runs[number % 2].run("read", wrong.address, "now", *way)
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda run: run.outcomes(heed_modes), runs))
    secrets = [one[name] for one in (row, other) for name in SECRETS] + ["N0T-MINE", "0123456789"]
    for number, wrong in enumerate(table):
        code, out, err = done[number % 2][number // 2]
        explained(wrong, code, out, err)
        assert not [secret for secret in secrets if secret.lower() in err.lower()], wrong
