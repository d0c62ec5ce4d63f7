"""Meters that push block load, authenticated and encrypted, and a listener that knows them: what pushes are measured
on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification
from drivers.dlms.security import GeneralProtection, Key, Parties
from drivers.dlms.wrapper import wrap
from drivers.reading import Layout
from headend.intake import Intake, Store
from headend.meter_types import MeterTypes
from headend.push.listener import Listening, open_listener
from headend.settings import Push
from headend.spool.spool import open_spool
from headend.store.database import Pool, connect
from headend.store.layouts import save_layouts
from headend.vault import Kek, NewKey, Vault
from profiles.datetimes import encode_local
from profiles.objects import CaptureObject, ScalerUnit

BEGIN = datetime(2026, 1, 4, 18, 30, tzinfo=UTC)
NOW = BEGIN + timedelta(days=1)
TYPE = MeterTypes()["is15959-1ph"]
PUSH = TYPE.pushes["block_load"]
SENDER = Path(__file__).with_name("push_sender.py")


class Pushing:
    """One meter's side."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.title = b"BNC" + number.to_bytes(5, "big")
        self.encryption, self.authentication = Key(secrets.token_bytes(16)), Key(secrets.token_bytes(16))
        parties = Parties(self.title, b"", itertools.count(1).__next__)
        self._protection = GeneralProtection(parties, 0x30, self.encryption, self.authentication)

    def push(self, slot: int) -> bytes:
        stamp = encode_local(BEGIN + timedelta(seconds=900 * slot + 7), TYPE.zone, TYPE.deviation)
        body = axdr.structure(
            axdr.octet_string(b"BN%08d" % self.number),
            axdr.octet_string(bytes(PUSH.obis or b"")),
            axdr.octet_string(stamp),
            axdr.uint16(2300 + slot),
            *(axdr.uint32(self.number * 10 + slot) for _ in range(4)),
            axdr.uint16(150),
            axdr.uint16(151),
        )
        return wrap(1, 64, self._protection.protect(DataNotification(slot, body).encode()))


async def registered(dsn: str, count: int) -> tuple[list[Pushing], Vault]:
    """So many meters, with their keys and layouts."""
    meters, vault = [Pushing(number) for number in range(1, count + 1)], Vault(Kek(secrets.token_bytes(32)))
    columns = PUSH.columns[3:]
    layout = Layout(
        (CaptureObject(*TYPE.clock), *(column.captured for column in columns)),
        {(one.captured[0], one.captured[1], 2): ScalerUnit(-1, one.unit or 0) for one in columns},
        900,
    )
    async with await connect(dsn) as connection:
        cursor = await connection.execute(
            "INSERT INTO meter "
            "(name, serial, system_title, address, meter_type, division, commissioned_at, interval_s) "
            "SELECT 'm' || n, 's' || n, t, 'tcp://127.0.0.1', %s, '', %s, 900 "
            "FROM unnest(%s::int[], %s::bytea[]) AS u (n, t) RETURNING id, system_title",
            (TYPE.name, BEGIN, [meter.number for meter in meters], [meter.title for meter in meters]),
        )
        ids = {bytes(title): meter_id for meter_id, title in await cursor.fetchall()}
        keys = [NewKey(ids[meter.title], "encryption", meter.encryption) for meter in meters]
        keys += [NewKey(ids[meter.title], "authentication", meter.authentication) for meter in meters]
        await vault.put(connection, keys)
        await save_layouts(connection, dict.fromkeys(ids.values(), layout), "block_load", BEGIN)
    return meters, vault


@contextlib.asynccontextmanager
async def listening(pool: Pool, vault: Vault, store: Store, folder: Path) -> AsyncIterator[tuple[Listening, Intake]]:
    """On a free TCP port, with an intake before the store."""
    settings = Push(listen=("tcp://127.0.0.1:0",))
    async with open_spool(folder, max_mb=100, min_free_mb=1) as spool:
        intake = Intake(store, spool, clock=lambda: NOW)
        async with (
            intake.open(),
            open_listener(settings, pool, vault, MeterTypes(), intake, spool, clock=lambda: NOW) as listener,
        ):
            yield listener, intake


async def send(port: int, pushes: Sequence[bytes], file: Path, *, connections: int = 20, seconds: float = 0) -> float:
    """By another process, evenly over so many seconds or as fast as they are taken; returns when all are sent.

    Each of the connections has every so manieth. The result: when it began, by time.monotonic().
    """
    parts = [b"".join(pushes[at::connections]).hex() for at in range(connections)]
    await asyncio.to_thread(file.write_text, json.dumps(parts))
    sender = await asyncio.create_subprocess_exec(
        sys.executable, SENDER, str(port), str(file), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    assert sender.stdout is not None
    begun = float(await sender.stdout.readline())
    assert await sender.wait() == 0
    return begun
