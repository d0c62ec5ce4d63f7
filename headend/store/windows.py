"""Replay windows of pushes in the database, by (key id, system title), and transactions of those without a counter.

The one rule: they are settled in the transaction that stores what the pushes brought, so that any node that takes the
same push in decides alike (`drivers.push.window`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from hashlib import sha256

from drivers.push.window import WIDTH, Freshness, ReplayWindow, accept
from headend.store.database import Connection
from headend.store.finished import Finished, PushCounter
from headend.store.statements import statement

_Owner = tuple[int, bytes]
"""A key's id and a system title."""


async def settle_pushes(connection: Connection, pushes: Sequence[PushCounter]) -> list[Freshness]:
    """What the windows say of each push, in the order given; they are locked until the transaction ends."""
    counters: dict[_Owner, list[int]] = {}
    for push in pushes:
        counters.setdefault((push.key_id, push.system_title), []).append(push.counter)
    before = await _lock(connection, counters)
    after: dict[_Owner, ReplayWindow] = {}
    said = {}
    for owner, of in counters.items():
        after[owner], freshness = accept(before[owner], of)
        said[owner] = iter(freshness)
    await _keep(connection, {owner: window for owner, window in after.items() if window != before[owner]})
    return [next(said[push.key_id, push.system_title]) for push in pushes]


async def settle_transactions(connection: Connection, pushes: Sequence[Finished]) -> list[bool]:
    """Whether each push was not taken in before, by its transaction-id, in the order given."""
    keys = [(one.contact.meter_id, sha256(one.transaction_id).digest()) for one in pushes]
    parameters = {
        "meters": [meter_id for meter_id, _ in keys],
        "digests": [digest for _, digest in keys],
        "read_at": [one.contact.at for one in pushes],
    }
    cursor = await connection.execute(statement("push_seen"), parameters)
    new = {(meter_id, bytes(digest)) for meter_id, digest in await cursor.fetchall()}
    said = []
    for key in keys:
        said.append(key in new)
        new.discard(key)
    return said


async def _lock(connection: Connection, owners: Collection[_Owner]) -> dict[_Owner, ReplayWindow]:
    found = await _locked(connection, owners)
    if missing := owners - found.keys():
        await connection.execute(statement("windows_make"), _columns(missing))
        found |= await _locked(connection, missing)
    return found


async def _locked(connection: Connection, owners: Collection[_Owner]) -> dict[_Owner, ReplayWindow]:
    cursor = await connection.execute(statement("windows_lock"), _columns(owners))
    return {
        (key_id, bytes(title)): ReplayWindow(highest, bitmap % (1 << WIDTH))
        for key_id, title, highest, bitmap in await cursor.fetchall()
    }


async def _keep(connection: Connection, windows: dict[_Owner, ReplayWindow]) -> None:
    if not windows:
        return
    parameters = _columns(windows) | {
        "highest": [window.highest for window in windows.values()],
        "bitmap": [_signed(window.bitmap) for window in windows.values()],
    }
    await connection.execute(statement("windows_keep"), parameters)


def _columns(owners: Collection[_Owner]) -> dict[str, list[object]]:
    return {"keys": [key_id for key_id, _ in owners], "titles": [title for _, title in owners]}


def _signed(bitmap: int) -> int:
    """The same 64 bits as PostgreSQL's bigint has them."""
    return bitmap - (1 << WIDTH) if bitmap >> (WIDTH - 1) else bitmap
