"""The seed corpus and what fuzzing once found, without a fuzzer: runs wherever the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
from script import Script, write
from seeds import CORPORA, CORPUS
from targets import TARGETS, check

SEEDS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


def test_every_target_has_seeds_which_are_those_that_the_script_makes() -> None:
    made = {CORPUS / target / name: octets for target, make in CORPORA.items() for name, octets in make().items()}
    assert set(CORPORA) == set(TARGETS)
    assert {path: path.read_bytes() for path in SEEDS} == made


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_seed_is_read_or_refused_and_so_is_every_part_of_it(path: Path) -> None:
    octets = path.read_bytes()
    for size in {len(octets), len(octets) // 2, len(octets) - 1, 1, 0}:
        check(path.parent.name, octets[:size])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("octet", [0x00, 0x01, 0x7E, 0x80, 0xFF])
def test_the_same_octet_over_and_over_is_read_or_refused(target: str, octet: int) -> None:
    check(target, bytes([octet]) * 4096)


def test_a_script_reads_what_was_written_and_nothing_beyond() -> None:
    script = Script(write(3, b"abc", 7, bytes(300), b""))
    assert (script.choose(5), script.piece(), script.choose(5), script.piece(), script.piece()) == (
        3,
        b"abc",
        2,
        bytes(300),
        b"",
    )
    assert script.over
    assert (script.choose(9), script.piece(), script.rest()) == (0, b"", b"")
