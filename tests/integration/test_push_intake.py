"""Pushes end in the database: in every framing and cover, once, marked where not proven; and callers that do harm."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pushing import LAST_BLOCK, NOW, PUSH_SAP, Town, town
from typer.testing import CliRunner

from drivers.dlms import apdu
from drivers.dlms.apdu import GeneralGloCiphering
from drivers.dlms.wrapper import wrap
from drivers.hdlc.addresses import server_address
from drivers.hdlc.server import unnumbered
from drivers.push.mbus import MAX_DATA, MbusFrame
from headend.cli.meters import app
from headend.meter_types import MeterTypes
from headend.push.discovered import load_discovered
from headend.spool.entries import RawApdu
from headend.store.counters import client_title
from headend.store.database import connect
from headend.store.rows import Source
from profiles.intervals import Quality
from simulators.meter import SimulatedMeter
from simulators.push import event, in_blocks, push, push_kind
from simulators.state import HDLC, TCP, UDP

TYPE_FILES = Path(__file__).parents[2] / "profiles" / "types"


def in_mbus(octets: bytes) -> bytes:
    parts = [octets[at : at + MAX_DATA] for at in range(0, len(octets), MAX_DATA)]
    return b"".join(MbusFrame(1, 64, part, n, n == len(parts) - 1).encode() for n, part in enumerate(parts))


async def call(place: Town, octets: bytes, *, v6: bool = False) -> None:
    """A connection that sends this, and no more."""
    host, port = ("::1", place.listening.tcp_ports[1]) if v6 else ("127.0.0.1", place.listening.tcp_ports[0])
    _, writer = await asyncio.open_connection(host, port)
    writer.write(octets)
    await writer.drain()
    writer.close()


def datagram(place: Town, octets: bytes, *, v6: bool = False) -> None:
    host, port = ("::1", place.listening.udp_ports[1]) if v6 else ("127.0.0.1", place.listening.udp_ports[0])
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.sendto(octets, (host, port))


async def test_a_block_is_the_row_of_its_interval_however_it_came(dsn: str, tmp_path: Path) -> None:
    async with town(dsn, meters=9) as place:
        await place.register()
        async with place.headend(tmp_path):
            of = iter(place.meters)

            def block(meter: SimulatedMeter) -> bytes:
                return push(meter, "block_load")

            await place.send(meter := next(of), block(meter), service=TCP)
            await place.send(meter := next(of), block(meter), service=UDP)
            await place.send(meter := next(of), block(meter), service=HDLC)
            await place.send(meter := next(of), *in_blocks(block(meter), 40), service=TCP)
            await call(place, wrap(1, PUSH_SAP, block(next(of))), v6=True)
            await call(place, unnumbered(PUSH_SAP, server_address(1), block(next(of)), 128))
            await call(place, in_mbus(block(next(of))))
            datagram(place, wrap(1, PUSH_SAP, block(next(of))), v6=True)
            datagram(place, block(next(of)))
            await place.kept(9)
        rows = await place.blocks()
        assert {row["name"]: row["ts"] for row in rows} == {each.identity.name: LAST_BLOCK for each in place.meters}
        assert {(row["source"], row["quality"]) for row in rows} == {(Source.PUSH, 0)}
        assert {row["voltage"] // 10_000 for row in rows} <= set(range(20, 27))


async def test_every_cover_that_a_type_lets_in_is_opened_and_what_is_not_proven_is_marked(
    postgres_dsn: str, tmp_path: Path
) -> None:
    covers = ["clear", "authentication", "encryption", "authentication-and-encryption"]
    liberal = (
        (TYPE_FILES / "is15959-1ph.toml")
        .read_text()
        .replace('covers = ["authentication-and-encryption"]', f"covers = {covers}".replace("'", '"'))
    )
    file = tmp_path / "is15959-1ph.toml"
    file.write_text(liberal)
    async with town(postgres_dsn, meters=6) as place:
        place.types = MeterTypes((file,))
        await place.register()
        async with await connect(place.dsn) as connection:
            for meter in place.meters:
                device = meter.identity.device_id
                await connection.execute(
                    "UPDATE meter SET device_id = %s WHERE name = %s", (device, meter.identity.name)
                )
            ours = await client_title(connection)
        async with place.headend(tmp_path / "spool"):
            for meter, cover in zip(place.meters, covers, strict=False):
                await place.send(meter, push(meter, "block_load", push_kind(meter.meter_type, cover)))
            wrapped = replace(push_kind(place.meter_type), ciphering="general-ciphering", key_origin="identified")
            place.meters[4].client_title = ours
            await place.send(place.meters[4], push(place.meters[4], "block_load", wrapped))
            log = next(log.event_log.code for log in place.meter_type.of_kind("event_log") if log.event_log)
            glo = replace(push_kind(place.meter_type), ciphering="glo")
            await place.send(place.meters[5], event(place.meters[5], log, glo))
            await place.kept(6)
            told = {one.contact.meter_id: one for one in place.store.given}
        marks = {row["name"]: row["quality"] for row in await place.blocks()}
        assert list(marks.values()) == [Quality.NOT_AUTHENTICATED, 0, Quality.NOT_AUTHENTICATED, 0, 0]
        assert [bool(one.push) for one in sorted(told.values(), key=lambda one: one.contact.meter_id)] == [
            False, True, False, True, True, True,
        ]  # fmt: skip
        assert sum(len(one.events) + len(one.profiles) for one in told.values()) == 1, "found by where it calls from"


async def test_a_list_that_only_the_meter_knows_is_read_by_its_push_setup(postgres_dsn: str, tmp_path: Path) -> None:
    async with town(postgres_dsn, meters=2, meter_type="is15959-ltct") as place:
        assert not place.meter_type.pushes["block_load"].columns
        await place.register()
        async with place.headend(tmp_path):
            for meter in place.meters:
                await place.send(meter, push(meter, "block_load"))
                await place.send(meter, push(meter, "daily_load"))
                await place.send(meter, push(meter, "instant"))
            await place.kept(6)
            profiles = Counter(row.profile for one in place.store.given for row in one.profiles)
        assert profiles == {"daily_load": 2, "instantaneous": 2}
        rows = await place.ask("SELECT ts, voltage_l1, quality FROM interval_reading")
        assert [(row["ts"], row["quality"]) for row in rows] == [(LAST_BLOCK, 0)] * 2
        assert all(row["voltage_l1"] for row in rows)
        kept = await place.ask('SELECT profile, "values" FROM profile_reading ORDER BY profile')
        assert all("?" not in key for row in kept for key in row["values"])


async def test_what_is_pushed_twice_is_stored_once_and_confirmed_both_times(dsn: str, tmp_path: Path) -> None:
    confirming = (TYPE_FILES / "is15959-1ph.toml").read_text().replace("confirmed = false", "confirmed = true")
    file = tmp_path / "is15959-1ph.toml"
    file.write_text(confirming)
    async with town(dsn) as place:
        place.types = MeterTypes((file,))
        await place.register()
        async with place.headend(tmp_path / "spool"):
            (meter,) = place.meters
            block = push(meter, "block_load", confirmed=True)
            answers = [await place.send(meter, block, answered=True) for _ in range(2)]
            rows = await place.blocks()
            assert len(rows) == 1, "durable before it was confirmed"
            assert all(answer is not None and answer != block for answer in answers)
            assert answers[0] != answers[1], "each under a counter of its own"
            written = place.intake.written
        assert (written.inserted, written.updated, written.unchanged) == (1, 0, 0)
        (window,) = await place.ask("SELECT highest FROM push_window")
        sent = apdu.decode(block)
        assert isinstance(sent, GeneralGloCiphering)
        assert window["highest"] == int.from_bytes(sent.content[1:5], "big")


async def test_who_is_not_registered_is_kept_once_with_its_first_message_and_let_in_when_registered(
    dsn: str, tmp_path: Path
) -> None:
    async with town(dsn, meters=3) as place:
        async with place.headend(tmp_path, max_discovered=2, cached_s=0.2):
            first = [push(meter, "block_load") for meter in place.meters]
            for meter, block in zip(place.meters, first, strict=True):
                await place.send(meter, block)
                await place.send(meter, push(meter, "alert"))
            await place.until(lambda: place.listening.arrivals.unknown == 6)
            async with await connect(place.dsn) as connection:
                found = {one.system_title: one for one in await load_discovered(connection)}
            assert len(found) == 2, "no more than there is room for"
            assert place.listening.arrivals.quarantine.full
            for meter, block in zip(place.meters, first, strict=True):
                one = found.get(meter.identity.system_title)
                if one is None:
                    continue
                assert one.first_message == block
                assert one.peer.startswith(meter.identity.host)
            assert place.listening.arrivals.kept == 0
            shown = await asyncio.to_thread(CliRunner().invoke, app, ["discovered", "--dsn", place.dsn, "--json"])
            listed = json.loads(shown.stdout)
            assert {bytes.fromhex(one["system_title"]) for one in listed} == set(found)
            assert all(one["messages"] == 2 for one in listed)
            await place.register()
            await asyncio.sleep(0.3)
            for meter in place.meters:
                await place.send(meter, push(meter, "block_load"))
            await place.kept(3)
            async with await connect(place.dsn) as connection:
                assert await load_discovered(connection) == []
        assert len(await place.blocks()) == 3


async def test_a_block_before_the_first_visit_is_not_believed_and_soon_after_it_is(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headend.push.meters.UNKNOWN_S", 0.2)
    async with town(postgres_dsn) as place:
        await place.register()
        await place.ask("UPDATE meter_profile SET profile = 'no ' || profile RETURNING meter_id")
        (meter,) = place.meters
        async with place.headend(tmp_path):
            await place.send(meter, push(meter, "block_load"))
            await place.kept(1)
            assert await place.blocks() == []
            await place.ask("UPDATE meter_profile SET profile = substr(profile, 4) RETURNING meter_id")
            await asyncio.sleep(0.3)
            await place.send(meter, push(meter, "block_load"))
            await place.kept(2)
            assert [row["ts"] for row in await place.blocks()] == [LAST_BLOCK]


async def test_a_push_under_other_keys_is_refused_until_they_are_registered(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headend.push.arrivals.STALE_S", 0.0)
    async with town(postgres_dsn) as place:
        await place.register(encryption_key="00" * 16)
        async with place.headend(tmp_path):
            (meter,) = place.meters
            await place.send(meter, push(meter, "block_load"))
            await place.until(lambda: place.listening.arrivals.refused == 1)
            assert await place.blocks() == []
            await place.register()
            await place.send(meter, push(meter, "block_load"))
            await place.kept(1)
        assert len(await place.blocks()) == 1


async def test_a_storm_of_alarms_delays_no_reading_and_loses_none(postgres_dsn: str, tmp_path: Path) -> None:
    async with town(postgres_dsn, meters=12) as place:
        await place.register()
        async with place.headend(tmp_path, max_per_meter_minute=10_000):
            last_gasps = [
                wrap(1, PUSH_SAP, push(meter, "alert", raised=(85,))) for _ in range(250) for meter in place.meters[:10]
            ]
            blocks = [wrap(1, PUSH_SAP, push(meter, "block_load")) for meter in place.meters[10:]]
            await call(place, b"".join(last_gasps))
            await place.until(lambda: place.listening.arrivals.kept > 300)
            before = place.listening.arrivals.kept
            await call(place, b"".join(blocks))
            await place.kept(2502)
            given = ["block" if one.readings else "alarm" for one in place.store.given]
        counted = Counter(given)
        assert counted == {"block": 2, "alarm": 2500}
        assert before < 2500
        assert len(await place.blocks()) == 2


async def test_more_pushes_than_a_meter_is_allowed_are_refused_and_other_meters_go_on(
    postgres_dsn: str, tmp_path: Path
) -> None:
    async with town(postgres_dsn, meters=2) as place:
        await place.register()
        async with place.headend(tmp_path, max_per_meter_minute=3):
            noisy, quiet = place.meters
            await call(place, b"".join(wrap(1, PUSH_SAP, push(noisy, "block_load")) for _ in range(10)))
            await place.until(lambda: place.listening.arrivals.refused == 7)
            await place.send(noisy, push(noisy, "alert"))
            await place.send(quiet, push(quiet, "block_load"))
            await place.kept(5)


async def test_slow_endless_and_idle_callers_are_cut_off_while_others_are_heard(
    postgres_dsn: str, tmp_path: Path
) -> None:
    async with town(postgres_dsn) as place:
        await place.register()
        async with place.headend(tmp_path, idle_s=1, message_s=0.5, max_connections_per_source=60):
            (meter,) = place.meters
            block = wrap(1, PUSH_SAP, push(meter, "block_load"))
            port = place.listening.tcp_ports[0]
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
            for _, writer in slow:
                writer.write(block[:9])
            endless, endless_writer = await asyncio.open_connection("127.0.0.1", port)
            endless_writer.write(b"\x00\x01\x00\x01\x00\x40\xff\xff" + bytes(30_000))
            too_many = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
            await place.send(meter, push(meter, "block_load"))
            await place.kept(1)
            for reader, _ in [*idle, *slow, *too_many, (endless, endless_writer)]:
                async with asyncio.timeout(10):
                    try:
                        assert await reader.read() == b""
                    except ConnectionResetError:
                        continue
            await place.until(lambda: place.listening.connections == 0)
            assert place.listening.turned_away >= 5
        assert len(await place.blocks()) == 1


def shut(dsn: str, *, allow: bool) -> None:
    """Whether the database takes connections; those that are open end."""
    name = str(conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as server:
        server.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.SQL(str(allow)))
        )
        if not allow:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


async def nothing_waits(place: Town) -> bool:
    return not await place.spool.waits(RawApdu)


async def test_while_the_database_is_away_pushes_wait_in_the_spool_as_they_came(dsn: str, tmp_path: Path) -> None:
    async with town(dsn, meters=5) as place:
        await place.register()
        async with place.headend(tmp_path):
            await asyncio.to_thread(shut, dsn, allow=False)
            try:
                for meter in place.meters:
                    await place.send(meter, push(meter, "block_load"))
                await place.until(lambda: place.listening.arrivals.spooled == 5, 30)
                waiting = await place.spool.oldest(RawApdu, 10, NOW)
                assert {each.value.peer.split(":")[0] for each in waiting} == {
                    meter.identity.host for meter in place.meters
                }
            finally:
                await asyncio.to_thread(shut, dsn, allow=True)
            await place.kept(5)
            await place.until(lambda: nothing_waits(place), 30)
        assert len(await place.blocks()) == 5


async def test_who_waits_for_room_in_a_full_spool_does_not_hang(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headend.push.listener.STOP_S", 0.1)
    async with town(postgres_dsn, meters=2) as place:
        await place.register()
        async with place.headend(tmp_path, spool_mb=0) as listening:
            await asyncio.to_thread(shut, postgres_dsn, allow=False)
            try:
                first, second = place.meters
                await place.send(first, push(first, "block_load"))
                await place.until(lambda: place.spool.full, 30)
                await place.send(second, push(second, "block_load"))
                await place.until(lambda: listening.arrivals.waiting == 1)
                assert [listening.goes_on() for _ in range(2)] == [True, True]
            finally:
                await asyncio.to_thread(shut, postgres_dsn, allow=True)
