"""How fast a profile buffer becomes columns in UTC: ours, three other decoders, and numpy with nothing around it.

All on the same octets in one run: 3 000 rows of {date-time, 2 × uint16, 4 × uint32}, the shape of 31 days of quarter
hours. "The limit" is a structured dtype written for exactly these rows, with every tag and length checked and the
date-times turned into UTC at a fixed offset, and without what makes it fit for a meter: no learning of layouts, no
check of the calendar, no wildcards, no zone, no status.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dlms_cosem.cosem import CosemAttribute
from dlms_cosem.cosem import Obis as PeerObis
from dlms_cosem.enumerations import CosemInterface
from dlms_cosem.parsers import ProfileGenericBufferParser

from drivers.dlms.profile_buffer import decode_profile
from profiles.datetimes import instants
from profiles.objects import CaptureObject, Obis

ROWS = 3_000
NAMES = ("1.0.12.27.0", "1.0.11.27.0", "1.0.1.29.0", "1.0.9.29.0", "1.0.2.29.0", "1.0.10.29.0")
OBJECTS = (CaptureObject(8, Obis(0, 0, 1, 0, 0), 2), *(CaptureObject(3, Obis.parse(name), 2) for name in NAMES))
PEER = Path(__file__).with_name("decode_peer.py")
RESULTS: dict[str, float] = {}
"""Rows a second by decoder, in the order of the tests."""


def cells(row: int) -> list[bytes]:
    wall = datetime(2026, 1, 1) + timedelta(minutes=15 * (row + 1))
    date = struct.pack(">HBBB", wall.year, wall.month, wall.day, wall.isoweekday())
    stamp = date + bytes((wall.hour, wall.minute, 0, 0xFF, 0x80, 0, 0))
    return [
        b"\x09\x0c" + stamp,
        *(b"\x12" + struct.pack(">H", value) for value in (23_000 + row % 97, row % 61)),
        *(b"\x06" + struct.pack(">I", value) for value in (row % 1_009, row % 1_013, row % 7, row % 11)),
    ]


def array(rows: Iterator[list[bytes]]) -> bytes:
    return b"\x01\x82" + ROWS.to_bytes(2, "big") + b"".join(b"\x02\x07" + b"".join(row) for row in rows)


PLAIN = array(cells(row) for row in range(ROWS))


def compressed(share: float) -> bytes:
    """The same rows with every stamp but the first, and a share of the values, left out as null-data."""
    rng = random.Random(7)

    def rows() -> Iterator[list[bytes]]:
        for row in range(ROWS):
            yield [
                b"\0" if row and (not column or rng.random() < share) else cell
                for column, cell in enumerate(cells(row))
            ]

    return array(rows())


def ours(buffer: bytes) -> int:
    table = decode_profile(buffer, OBJECTS)
    found = instants(table.columns[0].values, "Asia/Kolkata", "ignore")
    return len(found.utc)


RECORD = np.dtype(
    {
        "names": ["stamp", "a", "b", "c", "d", "e", "f"],
        "formats": ["(12,)u1", ">u2", ">u2", ">u4", ">u4", ">u4", ">u4"],
        "offsets": [4, 17, 20, 23, 28, 33, 38],
        "itemsize": 42,
    }
)
TAGS = np.array([0, 1, 2, 3, 16, 19, 22, 27, 32, 37])
TAG_OCTETS = np.frombuffer(bytes.fromhex("0207090c121206060606"), np.uint8)
MONTHS = (
    np.arange("1970-01", "2100-01", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64) * 86_400_000_000
)


def limit(buffer: bytes) -> int:
    octets = np.frombuffer(buffer, np.uint8, offset=4).reshape(ROWS, 42)
    assert (octets[:, TAGS] == TAG_OCTETS).all()
    records = np.frombuffer(buffer, RECORD, offset=4)
    columns = [records[name] for name in "abcdef"]
    stamp = records["stamp"]
    year = stamp[:, :2].view(">u2")[:, 0]
    utc = MONTHS[(year - 1970) * 12 + stamp[:, 2] - 1]
    minutes = (stamp[:, 3] * np.int64(24) + stamp[:, 5]) * 60 + stamp[:, 6]
    utc += (minutes * 60 + stamp[:, 7]) * 1_000_000 - (86_400 + 19_800) * 1_000_000
    return len(utc) * len(columns) // 6


def dlms_cosem(buffer: bytes) -> int:
    names = ("1.0.12.27.0.255", *NAMES)
    attributes = [
        CosemAttribute(CosemInterface.REGISTER if column else CosemInterface.CLOCK, PeerObis.from_string(name), 2)
        for column, name in enumerate(names)
    ]
    return len(ProfileGenericBufferParser(attributes, 15).parse_bytes(buffer))


def test_the_limit_and_ours_give_the_same_instants() -> None:
    octets = np.frombuffer(PLAIN, RECORD, offset=4)["stamp"]
    found = instants(octets, "Asia/Kolkata", "ignore")
    first = datetime(2025, 12, 31, 18, 45)
    assert found.ok.all()
    assert np.array(found.utc, "datetime64[us]").tolist() == [
        first + timedelta(minutes=15 * row) for row in range(ROWS)
    ]


@pytest.mark.parametrize(
    ("name", "decoder", "buffer"),
    [
        ("bare numpy (the limit)", limit, PLAIN),
        ("ours, rows alike", ours, PLAIN),
        ("ours, stamps null", ours, compressed(0.0)),
        ("ours, stamps and 1 in 10 values null", ours, compressed(0.1)),
        ("ours, stamps and 1 in 2 values null", ours, compressed(0.5)),
        ("dlms-cosem", dlms_cosem, PLAIN),
    ],
)
def test_decode(benchmark: Any, name: str, decoder: Callable[[bytes], int], buffer: bytes) -> None:
    assert benchmark(decoder, buffer) == ROWS
    RESULTS[name] = ROWS / benchmark.stats.stats.min


@pytest.mark.parametrize("peer", ["gurux", "pydlms"])
def test_decode_in_a_process_of_its_own(peer: str) -> None:
    done = subprocess.run([sys.executable, PEER, peer], input=PLAIN, capture_output=True, check=True, timeout=120)
    rows, seconds = done.stdout.split()
    assert int(rows) == ROWS
    RESULTS[peer] = ROWS / float(seconds)


def test_rows_alike_are_decoded_at_half_the_limit_or_better(capsys: pytest.CaptureFixture[str]) -> None:
    best = RESULTS["bare numpy (the limit)"]
    with capsys.disabled():
        print(f"\n{'decoder':40}{'rows/s':>14}{'of the limit':>14}")
        for name, rate in RESULTS.items():
            print(f"{name:40}{rate:14,.0f}{rate / best:13.1%}")
    assert RESULTS["ours, rows alike"] >= best / 2
