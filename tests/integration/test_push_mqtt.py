"""Pushes through a real broker: acknowledged when they are durable, shared by nodes, back when the broker is."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brokers import Broker
from pushing import LAST_BLOCK, Town, town

from drivers.dlms.wrapper import wrap
from headend.push.listener import Listening
from simulators.push import push

PROCESS = Path(__file__).with_name("push_process.py")
TOPIC = "headend/push/gateway-1/block"


async def connected(place: Town, listening: Listening, *, to: bool = True) -> None:
    broker = listening.broker
    assert broker is not None
    await place.until(lambda: broker.connected is to)


async def publish(broker: Broker, *payloads: bytes) -> None:
    await asyncio.to_thread(broker.publish, TOPIC, *payloads)


async def test_messages_are_stored_and_garbage_is_seen_off(dsn: str, tmp_path: Path, broker: Broker) -> None:
    async with town(dsn, meters=4) as place:
        await place.register()
        async with place.headend(tmp_path, listen=(), mqtt_host="127.0.0.1", mqtt_port=broker.port) as listening:
            await connected(place, listening)
            blocks = [push(meter, "block_load") for meter in place.meters]
            await publish(broker, blocks[0], wrap(1, 64, blocks[1]), b"", b"garbage", blocks[2][:-3])
            await publish(broker, blocks[2], blocks[3], blocks[3])
            await place.kept(5)
            await place.until(lambda: listening.arrivals.refused == 2)
        rows = await place.blocks()
        assert [row["ts"] for row in rows] == [LAST_BLOCK] * 4
        async with place.headend(tmp_path, listen=(), mqtt_host="127.0.0.1", mqtt_port=broker.port) as listening:
            await connected(place, listening)
            await asyncio.sleep(0.3)
            assert listening.broker is not None
            assert listening.broker.messages == 0, "all were acknowledged"


async def test_a_broker_that_comes_back_is_found_again_and_has_kept_what_came_while_we_were_away(
    postgres_dsn: str, tmp_path: Path, broker: Broker
) -> None:
    async with town(postgres_dsn, meters=3) as place:
        await place.register()
        first, second, third = [push(meter, "block_load") for meter in place.meters]
        async with place.headend(tmp_path, listen=(), mqtt_host="127.0.0.1", mqtt_port=broker.port) as listening:
            await connected(place, listening)
            await publish(broker, first)
            await place.until(lambda: stored(place, 1))
            broker.stop()
            await connected(place, listening, to=False)
            broker.start()
            await connected(place, listening)
            await asyncio.sleep(0.2)
            await publish(broker, second)
            await place.until(lambda: stored(place, 2))
        await publish(broker, third)
        broker.stop()
        broker.start()
        async with place.headend(tmp_path, listen=(), mqtt_host="127.0.0.1", mqtt_port=broker.port):
            await place.until(lambda: stored(place, 3))


async def test_nodes_share_what_comes(postgres_dsn: str, tmp_path: Path, broker: Broker) -> None:
    async with town(postgres_dsn, meters=2) as one, town(postgres_dsn, meters=2) as other:
        await one.register()
        other.vault = one.vault
        of = {"listen": (), "mqtt_host": "127.0.0.1", "mqtt_port": broker.port, "max_per_meter_minute": 1000}
        async with (
            one.headend(tmp_path / "one", mqtt_client_id="one", **of) as mine,
            other.headend(tmp_path / "other", mqtt_client_id="other", **of) as theirs,
        ):
            await connected(one, mine)
            await connected(other, theirs)
            await asyncio.sleep(0.2)
            await publish(broker, *(push(meter, "alert") for _ in range(10) for meter in one.meters))
            await one.until(lambda: mine.arrivals.kept + theirs.arrivals.kept == 20)
            assert mine.arrivals.kept
            assert theirs.arrivals.kept


@contextmanager
def process(place: Town, broker: Broker, folder: Path, waits_s: float) -> Iterator[subprocess.Popen[str]]:
    kek = place.kek.hex()
    arguments = [place.dsn, kek, str(folder), str(broker.port), str(waits_s)]
    running = subprocess.Popen([sys.executable, PROCESS, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def told(running: subprocess.Popen[str], count: int) -> None:
    """Until it has received so many."""
    assert running.stdout is not None
    async with asyncio.timeout(30):
        while True:
            line = await asyncio.to_thread(running.stdout.readline)
            assert line, "it ended"
            if line.strip().isdigit() and int(line) >= count:
                return


async def test_what_was_received_when_we_were_killed_comes_again_and_is_stored_once(
    postgres_dsn: str, tmp_path: Path, broker: Broker
) -> None:
    async with town(postgres_dsn, meters=3) as place:
        await place.register()
        with process(place, broker, tmp_path, waits_s=300) as running:
            await told(running, 0)
            await asyncio.sleep(0.5)
            await publish(broker, *(push(meter, "block_load") for meter in place.meters))
            await told(running, 3)
            running.send_signal(signal.SIGKILL)
            running.wait()
        assert await place.blocks() == [], "received, and not committed"
        with process(place, broker, tmp_path, waits_s=0.2) as running:
            await told(running, 3)
            await place.until(lambda: stored(place, 3))
        assert [row["ts"] for row in await place.blocks()] == [LAST_BLOCK] * 3


async def stored(place: Town, count: int) -> bool:
    return len(await place.blocks()) == count
