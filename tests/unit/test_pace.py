"""The limit of open sessions: kept, shared fairly, and changed while sessions are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from headend.collection.pace import Pace
from headend.seeing.pulse import Pulse


async def test_a_limit_that_falls_and_rises_is_kept_and_those_that_wait_go_in_their_order() -> None:
    pace, ends = Pace(3, 1000), [asyncio.Event() for _ in range(8)]
    begun: list[int] = []

    async def session(number: int) -> None:
        async with pace.place():
            begun.append(number)
            await ends[number].wait()

    async with asyncio.TaskGroup() as tasks:
        sessions = [tasks.create_task(session(number)) for number in range(8)]
        await _settle()
        assert begun == [0, 1, 2]
        pace.limit(1, 1000)
        ends[0].set()
        ends[1].set()
        await _settle()
        assert (begun, pace.open) == ([0, 1, 2], 1)
        ends[2].set()
        await _settle()
        assert (begun, pace.open) == ([0, 1, 2, 3], 1)
        sessions[4].cancel()
        pace.limit(3, 1000)
        await _settle()
        assert (begun, pace.open) == ([0, 1, 2, 3, 5, 6], 3)
        for end in ends:
            end.set()
    assert (begun, pace.open) == ([0, 1, 2, 3, 5, 6, 7], 0)


async def test_a_session_cancelled_as_its_turn_comes_leaves_its_place_to_the_next() -> None:
    pace, end = Pace(1, 1000), asyncio.Event()

    async def session() -> None:
        async with pace.place():
            await end.wait()

    first, second, third = (asyncio.create_task(session()) for _ in range(3))
    await _settle()
    end.set()
    await asyncio.wait({first})
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    await third
    assert pace.open == 0


async def test_segments_that_would_take_every_place_leave_the_next_ones_to_another_that_comes_later() -> None:
    pace, ends = Pace(10, 1000), {name: asyncio.Semaphore(0) for name in "abcdef"}
    begun: list[str] = []

    async def session(of: str, *, urgent: bool = False) -> None:
        async with pace.place(of, urgent=urgent):
            begun.append(of)
            await ends[of].acquire()

    async with asyncio.TaskGroup() as tasks:
        for of in "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee":
            tasks.create_task(session(of))
        await _settle()
        assert begun == [*"aaaaaaaabb"]
        for _ in range(3):
            tasks.create_task(session("f"))
        await _settle()
        for of in "aaaaaaa":
            ends[of].release()
        await _settle()
        assert begun[10:] == [*"cdefcde"], "who has fewest goes first"
        tasks.create_task(session("f", urgent=True))
        for of in "bb":
            ends[of].release()
        await _settle()
        assert begun[17:] == [*"fb"], "who is waited for goes first, then who has fewest"
        for end in ends.values():
            for _ in range(8):
                end.release()
    assert pace.open == 0
    assert Counter(begun) == dict.fromkeys("abcde", 8) | {"f": 4}


def test_a_part_is_late_when_it_says_nothing_for_longer_than_it_may() -> None:
    now = 0.0
    pulse = Pulse(lambda: now)
    pulse.beat("worker", 10)
    pulse.beat("dispatcher", 30)
    now = 20.0
    assert pulse.late() == ["worker"]
    pulse.beat("worker", 10)
    assert pulse.late() == []
    now = 40.0
    pulse.rest("worker")
    assert pulse.late() == ["dispatcher"]


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
