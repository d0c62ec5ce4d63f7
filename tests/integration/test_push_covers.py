"""Pushes under general-ciphering: opened where the vault holds the key that they are under, else refused."""

from __future__ import annotations

import secrets
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import get_args

from pushing import LAST_BLOCK, town

from drivers.dlms.security import EndToEndProtection, Key, KeyByWrapping, Parties, SharedKey
from drivers.dlms.security.key_agreement import KeySource
from headend.store.counters import client_title
from headend.store.database import connect
from headend.vault import NewKey
from profiles.meter_type import KeyOrigin
from simulators.meter import SimulatedMeter
from simulators.push import push, push_kind

COUNTERS = count(500)


def under(meter: SimulatedMeter, source: KeySource, recipient: bytes, *, title: bytes = b"", tag: bool = True) -> bytes:
    """Its block, with general-ciphering under a key from elsewhere."""
    us = Parties(title or meter.identity.system_title, recipient, COUNTERS.__next__)
    clear = push(meter, "block_load", push_kind(meter.meter_type, "clear"))
    return EndToEndProtection(us, 0x30 if tag else 0x20, source, meter.keys.authentication).protect(clear)


async def test_a_wrapped_or_identified_key_opens_a_push_once_and_no_other_key_does(dsn: str, tmp_path: Path) -> None:
    async with town(dsn, meters=2) as place:
        await place.register()
        async with await connect(place.dsn) as connection:
            ours = await client_title(connection)
            cursor = await connection.execute("SELECT id FROM meter ORDER BY name")
            masters = [meter.keys.master for meter in place.meters]
            ids = [meter_id for (meter_id,) in await cursor.fetchall()]
            keys = [NewKey(one, "master", key) for one, key in zip(ids, masters, strict=True)]
            await place.vault.put(connection, keys)
        async with place.headend(tmp_path):
            wrapping, identifying = place.meters
            good, origins = [], get_args(KeyOrigin)[:2]
            for meter, origin in zip((identifying, wrapping), origins, strict=True):
                meter.client_title = ours
                kind = replace(push_kind(meter.meter_type), ciphering="general-ciphering", key_origin=origin)
                good.append((meter, push(meter, "block_load", kind)))
            stranger = Key(secrets.token_bytes(16))
            altered = bytearray(good[1][1])
            altered[-1] ^= 1
            hostile = [
                bytes(altered),
                under(wrapping, KeyByWrapping(stranger), ours),
                under(wrapping, KeyByWrapping(masters[1]), ours),
                under(wrapping, SharedKey(stranger), ours),
                under(wrapping, KeyByWrapping(masters[0]), b"OTHERHES"),
                under(wrapping, KeyByWrapping(masters[0]), ours, title=identifying.identity.system_title),
                under(wrapping, KeyByWrapping(masters[0]), ours, tag=False),
            ]
            for apdu in hostile:
                await place.send(wrapping, apdu)
            await place.until(lambda: place.listening.arrivals.refused == len(hostile))
            assert await place.blocks() == []

            for _ in range(2):
                for meter, apdu in good:
                    await place.send(meter, apdu)
            await place.send(wrapping, under(wrapping, KeyByWrapping(masters[0]), ours))
            await place.kept(5)
            assert place.listening.arrivals.refused == len(hostile)
            written = place.intake.written
        assert [(row["ts"], row["quality"]) for row in await place.blocks()] == [(LAST_BLOCK, 0)] * 2
        assert (written.inserted, written.unchanged, written.repeated) == (2, 1, 2)
        assert len(await place.ask("SELECT FROM push_seen")) == 2
        assert len(await place.ask("SELECT FROM push_window WHERE highest > 0")) == 1
