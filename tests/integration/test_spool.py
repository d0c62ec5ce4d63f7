"""The spool on a real disk: what is in it survives, in its order, within its bounds, whatever is killed or full."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from hashlib import shake_128
from pathlib import Path

import pytest
import spooling
from spooling import BATCH, BEGUN, apdus

from headend.spool.entries import RawApdu
from headend.spool.spool import Spool, open_spool
from headend.store.finished import Contact, Finished
from profiles.errors import SpoolError

MB = 1 << 20


def spool_in(folder: Path, *, max_mb: int = 64, min_free_mb: int = 1) -> AbstractAsyncContextManager[Spool]:
    return open_spool(folder, max_mb=max_mb, min_free_mb=min_free_mb)


async def all_apdus(spool: Spool) -> list[RawApdu]:
    return [each.value for each in await spool.oldest(RawApdu, 10_000, BEGUN)]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, spooling.__file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_entries_come_back_in_the_order_in_which_they_were_kept_by_kind_and_until_they_are_removed(
    tmp_path: Path,
) -> None:
    contacts = [Finished(Contact(meter, BEGUN)) for meter in (5, 3, 4)]
    async with spool_in(tmp_path / "new") as one, spool_in(tmp_path / "new") as other:
        await one.append(apdus(0, 2))
        await other.append(contacts)
        await one.append(apdus(2, 1))
        assert await all_apdus(other) == apdus(0, 3)
        assert [each.value for each in await one.oldest(Finished, 2, BEGUN)] == contacts[:2]
        assert (await other.look()).waiting == {"apdu": 3, "finished": 3}
        waiting = await one.oldest(RawApdu, 2, BEGUN)
        await other.remove([each.id for each in waiting])
        assert await all_apdus(one) == apdus(2, 1)
    async with spool_in(tmp_path / "new") as again:
        assert await all_apdus(again) == apdus(2, 1)
        assert await again.waits(Finished)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()} == {0o600}


async def test_a_spool_of_its_full_size_refuses_whole_batches_keeps_what_it_has_and_takes_more_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with spool_in(tmp_path, max_mb=8) as spool:
        kept, refused = await fill(spool)
        assert re.search(r"is full: it holds \d of 8 MB", str(refused))
        assert refused.retry
        assert spool.full
        assert (await spool.look()).octets < 8 * MB
        assert spool.full, "there is no more room than before"
        assert await all_apdus(spool) == random_apdus(0, kept)
        assert on_disk(tmp_path) < 28 * MB, "the log beside it is bounded"
        await spool.remove([each.id for each in await spool.oldest(RawApdu, 30, BEGUN)])
        await spool.look()
        assert not spool.full
        await spool.append(random_apdus(kept, 10))
        await spool.remove([each.id for each in await spool.oldest(RawApdu, 10_000, BEGUN)])
        await spool.shrink()
        assert (await spool.look()).octets < MB
    assert (tmp_path / "spool.db").stat().st_size < MB, "the disk has it back"


async def fill(spool: Spool) -> tuple[int, SpoolError]:
    """Append until it refuses: how many are in it, and what it said."""
    kept = 0
    try:
        while True:
            await spool.append(random_apdus(kept, 10))
            kept += 10
    except SpoolError as error:
        return kept, error


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def random_apdus(first: int, count: int) -> list[RawApdu]:
    """Of 16 KB that deflate makes no smaller."""
    return [
        RawApdu(each.at, each.link, each.peer, shake_128(each.octets).digest(16_384)) for each in apdus(first, count)
    ]


async def test_the_disk_is_never_filled_beyond_its_floor(tmp_path: Path) -> None:
    async with spool_in(tmp_path, min_free_mb=1_000_000_000) as spool:
        with pytest.raises(SpoolError, match=r"1000000000 are left to others \(spool.min_free_mb\)"):
            await spool.append(apdus(0, 1))
        assert spool.full
        assert not await spool.waits(RawApdu)


async def test_a_disk_that_takes_no_more_loses_nothing_that_was_kept_and_is_used_again_when_it_does(
    tmp_path: Path,
) -> None:
    child = start(tmp_path, 2 * MB)
    said, _ = await asyncio.to_thread(child.communicate, timeout=30)
    *before, refused, last = said.splitlines()
    assert child.returncode == 0
    assert len(before) > 3
    assert refused.startswith("refused True")
    kept = BATCH * len(before)
    assert last == f"kept {kept + BATCH} False"
    async with spool_in(tmp_path) as spool:
        assert await all_apdus(spool) == [
            *(each for n in range(len(before)) for each in apdus(n * BATCH, BATCH, 4000)), *apdus(kept, BATCH),
        ]  # fmt: skip


async def test_what_a_killed_process_was_told_is_kept_is_there_whole_and_in_order(tmp_path: Path) -> None:
    told = 0
    async with spool_in(tmp_path) as spool:
        for turn in range(5):
            child = start(tmp_path)
            assert child.stdout is not None
            for _ in range(20 + 7 * turn):
                line = await asyncio.to_thread(child.stdout.readline)
                assert line
            await asyncio.sleep(0.003 * turn)
            child.kill()
            rest = await asyncio.to_thread(child.stdout.read)
            child.wait()
            count = int((line + rest).splitlines()[-1].split()[1])
            waiting = await spool.oldest(RawApdu, 10_000, BEGUN)
            assert [each.value for each in waiting] == apdus(0, len(waiting))
            assert len(waiting) % BATCH == 0
            assert len(waiting) >= count
            await spool.remove([each.id for each in waiting])
            told += count
    assert told > 1000


async def test_one_process_at_a_time_replays_and_a_killed_one_makes_way(tmp_path: Path) -> None:
    child = start(tmp_path, "claim")
    assert child.stdout is not None
    assert (await asyncio.to_thread(child.stdout.readline)).strip() == "True"
    async with spool_in(tmp_path) as spool:
        async with spool.claim(RawApdu) as mine, spool.claim(Finished) as other_kind:
            assert (mine, other_kind) == (False, True)
        child.kill()
        child.communicate()
        async with spool.claim(RawApdu) as mine:
            assert mine
        async with spool.claim(RawApdu) as mine:
            assert mine


async def test_an_entry_whose_octets_rotted_is_set_aside_with_the_reason_and_the_others_come(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        await spool.append(apdus(0, 3))
        with sqlite3.connect(tmp_path / "spool.db") as rot:
            rot.execute("UPDATE entry SET octets = substr(octets, 2) WHERE id = 2")
        assert await all_apdus(spool) == [*apdus(0, 1), *apdus(2, 1)]
        assert (await spool.look()).waiting == {"apdu": 2}
    with sqlite3.connect(tmp_path / "spool.db") as file:
        assert "can't be read" in file.execute("SELECT error FROM entry WHERE id = 2").fetchone()[0]


@pytest.mark.parametrize("spoil", ["damaged", "newer", "no folder"])
async def test_a_spool_that_cannot_be_used_is_refused_at_once_with_its_place(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "spool"
    async with spool_in(folder):
        pass
    if spoil == "damaged":
        (folder / "spool.db").write_bytes(b"no database" * 1000)
    elif spoil == "newer":
        with sqlite3.connect(folder / "spool.db") as newer:
            newer.execute("PRAGMA user_version = 2")
    else:
        (folder := tmp_path / "file").touch()
    with pytest.raises(SpoolError) as refused:
        async with spool_in(folder):
            pass
    assert str(folder) in str(refused.value)
    assert refused.value.remedy
    assert not refused.value.retry or spoil == "no folder"
