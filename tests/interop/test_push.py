"""Pushes made by gurux-dlms and pydlms-client, programs of their own: under every cover that they have, our receiver
opens them, and pydlms-client opens our confirmations.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.credentials import CounterRange, Credentials
from drivers.dlms import axdr
from drivers.dlms.apdu import DataNotification, DataNotificationConfirm, EventNotification
from drivers.dlms.security import SUITES, Key, PrivateKey
from drivers.push import CLEAR, Arrival, Push, PushingMeter, PushPolicy, PushReceiver, open_push, title_of
from drivers.push.listener import serve_pushes
from drivers.push.reception import Limits
from profiles.objects import AttributeRef, Obis

GURUX, PYDLMS = (Path(__file__).with_name(name) for name in ("gurux_push.py", "pydlms_push.py"))
METER, HEADEND = b"GRX00001", b"HES00001"
EK, AK, MASTER = bytes(range(16)), bytes(range(0xD0, 0xE0)), bytes(range(64, 80))
OURS, OURS_TOO, THEIRS, THEIRS_TOO = (PrivateKey.generate(SUITES[1]) for _ in range(4))
BODY = axdr.structure(axdr.uint32(5852), axdr.visible_string("GRX"), axdr.octet_string(bytes(range(60))))
CONFIRMED = DataNotification(0x4000_0007, BODY, bytes.fromhex("07ea0102ff030405ff800000"))
EVENT = EventNotification(AttributeRef(1, Obis(0, 0, 94, 91, 18), 2), axdr.bit_string("1000" * 32))
LIMIT_S = 100.0

COVERS = [
    ("clear", 0x00),
    ("general-glo", 0x10),
    ("general-glo", 0x20),
    ("general-glo", 0x30),
    ("general-glo", 0x31),
    ("identified", 0x30),
    ("wrapped", 0x30),
    ("one-pass", 0x31),
    ("static unified", 0x31),
    ("signed", 0x01),
    ("ciphered, then signed", 0x31),
]


def meter(control: int, *, signed: bool = False) -> PushingMeter:
    credentials = Credentials(
        HEADEND,
        Key(EK),
        Key(AK),
        counters=CounterRange(1, 1000),
        signing_key=OURS,
        agreement_key=OURS_TOO,
        peer_signing_key=THEIRS.public,
        peer_agreement_key=THEIRS_TOO.public,
        master_key=Key(MASTER),
    )
    return PushingMeter("theirs", METER, credentials, PushPolicy(frozenset({control}), signed=signed))


async def run(program: Path, wanted: object) -> Any:
    """What the program says to `wanted`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            told, _ = await process.communicate(json.dumps(wanted).encode())
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return json.loads(told)


async def test_pushes_of_gurux_are_opened_in_every_framing_and_under_every_control() -> None:
    jobs = [
        {
            "framing": framing,
            "security": control,
            "counter": 7,
            "title": METER.hex(),
            "encryption_key": EK.hex(),
            "authentication_key": AK.hex(),
            "date_time": date_time,
            "body": BODY.hex(),
        }
        for framing in ("WRAPPER", "HDLC", "PDU")
        for control in (0x00, 0x10, 0x20, 0x30)
        for date_time in (False, True)
    ]
    for job, frames in zip(jobs, await run(GURUX, jobs), strict=True):
        receiver = PushReceiver(datagrams=job["framing"] == "PDU")
        arrivals = []
        for octets in map(bytes.fromhex, frames):
            receiver.feed(octets)
            arrivals += list(iter(receiver.next, None))
        (arrival,) = arrivals
        control = int(str(job["security"]))
        assert title_of(arrival.apdu) == (METER if control else b"")
        push = open_push(arrival, meter(control))
        assert isinstance(push.notification, DataNotification)
        assert push.notification.data == BODY
        assert push.notification.date_time[:9].hex() == ("07ea0102ff03040500" if job["date_time"] else "")
        assert push.authenticated == bool(control & 0x10)
        assert push.counter == (7 if control else None)


@pytest.mark.parametrize("framing", ["wrapper", "blocks", "UI frames", "M-Bus"])
async def test_pushes_of_pydlms_are_kept_and_it_opens_our_confirmations(framing: str) -> None:
    jobs = [
        {"cover": cover, "control": control, "framing": framing, "apdu": CONFIRMED.encode().hex()}
        for cover, control in COVERS
    ]
    jobs.append({"cover": "glo", "control": 0x30, "framing": framing, "apdu": EVENT.encode().hex()})
    kept: list[Push] = []

    async def lookup(arrival: Arrival) -> PushingMeter:
        job = jobs[len(kept)]
        control = int(str(job["control"]))
        signed = "signed" in str(job["cover"])
        return meter(CLEAR if control & 0x30 == 0 else control, signed=signed)

    async def keep(push: Push) -> None:
        kept.append(push)

    limits = Limits(idle_s=LIMIT_S, message_s=LIMIT_S)
    async with serve_pushes("127.0.0.1", lookup=lookup, on_push=keep, tcp_port=0, udp_port=None, limits=limits) as our:
        wanted = {
            "port": our.tcp_ports[0],
            "title": METER.hex(),
            "headend": HEADEND.hex(),
            "counter": 3,
            "keys": {
                "encryption": EK.hex(),
                "authentication": AK.hex(),
                "master": MASTER.hex(),
                "meter signs": THEIRS.octets.hex(),
                "meter agrees": THEIRS_TOO.octets.hex(),
                "headend signs": OURS.public.octets.hex(),
                "headend agrees": OURS_TOO.public.octets.hex(),
            },
            "jobs": jobs,
        }
        answers = await run(PYDLMS, wanted)
        async with asyncio.timeout(LIMIT_S):
            while len(kept) < len(jobs):  # noqa: ASYNC110 - the last one is not confirmed
                await asyncio.sleep(0.01)
    confirmation = DataNotificationConfirm(CONFIRMED.invoke_id).encode().hex()
    assert answers == [confirmation] * len(COVERS) + [""]
    assert [push.notification for push in kept] == [CONFIRMED] * len(COVERS) + [EVENT]
    for push, (cover, control) in zip(kept, [*COVERS, ("glo", 0x30)], strict=True):
        assert push.authenticated == (control & 0x10 != 0 or cover == "signed")
        assert (push.counter is None) == (cover in ("clear", "wrapped", "one-pass", "static unified", "signed"))
