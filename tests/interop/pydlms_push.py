"""Push to a listener with pydlms-client: a program of its own, since pydlms-client is GPL; no test imports it.

Takes JSON on stdin: port, keys and titles in hex, and jobs: cover, control (security control), framing, apdu in hex.
Each job has a connection of its own. Prints for each what came back, deciphered, in hex; "" where nothing did.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pydlms.apdu.gbt import GbtTransfer, decode_gbt
from pydlms.apdu.xdlms import decode_apdu
from pydlms.hdlc.address import HdlcAddress
from pydlms.hdlc.framing import FrameReader, FrameType, HdlcFrame, encode_frame
from pydlms.mbus import MbusReader, segment_apdu
from pydlms.security.ciphering import unwrap, wrap, wrap_general_glo
from pydlms.security.context import SecurityContext
from pydlms.security.ec import load_public_key
from pydlms.security.general import (
    KeyInfo,
    verify_general_signing,
    wrap_general_ciphering,
    wrap_general_signing,
)
from pydlms.security.suites import SecurityControl
from pydlms.wrapper import encode_wrapper

TIMEOUT_S = 60.0
LLC_RESPONSE = b"\xe6\xe7\x00"
TRANSACTION = bytes(range(1, 9))


class Meter:
    """One meter: its keys, and how it protects."""

    def __init__(self, wanted: dict[str, Any], control: int) -> None:
        keys = {name: bytes.fromhex(octets) for name, octets in wanted["keys"].items()}
        self.headend = bytes.fromhex(wanted["headend"])
        self.control = SecurityControl.from_byte(control) if control else None
        self.context = SecurityContext(
            encryption_key=keys["encryption"],
            authentication_key=keys["authentication"],
            client_system_title=bytes.fromhex(wanted["title"]),
            server_system_title=self.headend,
            invocation_counter=wanted["counter"],
            suite=control & 0x0F,
            master_key=keys["master"],
            signing_key=private(keys["meter signs"]),
            key_agreement_key=private(keys["meter agrees"]),
            peer_signing_key=load_public_key(1, keys["headend signs"]),
            peer_key_agreement_key=load_public_key(1, keys["headend agrees"]),
            policy=control & 0x30,
            general_aad="with-header",
            signing_form="length-prefixed-content",
        )

    def protect(self, cover: str, plain: bytes) -> bytes:
        context, control = self.context, self.control
        infos = {
            "identified": KeyInfo("identified"),
            "wrapped": KeyInfo("wrapped"),
            "one-pass": KeyInfo("agreed", scheme=1),
            "static unified": KeyInfo("agreed", scheme=2),
        }
        if cover == "clear":
            return plain
        if cover == "signed":
            return wrap_general_signing(context, plain, self.headend, TRANSACTION)
        if cover == "ciphered, then signed":
            return wrap_general_signing(context, wrap_general_glo(context, plain, control), self.headend, TRANSACTION)
        if cover == "glo":
            return wrap(context, plain, control)
        if cover == "general-glo":
            return wrap_general_glo(context, plain, control)
        return wrap_general_ciphering(context, plain, self.headend, infos[cover], TRANSACTION, control)

    def open(self, cover: str, answer: bytes) -> bytes:
        if cover == "clear" or not answer:
            return answer
        if cover == "signed":
            return verify_general_signing(self.context, answer)[1]
        return unwrap(self.context, answer).plaintext


def private(octets: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(octets, "big"), ec.SECP256R1())


def in_wrapper(connection: socket.socket, apdu: bytes, answered: bool) -> bytes:
    connection.sendall(encode_wrapper(1, 64, apdu))
    return received(connection) if answered else b""


def in_blocks(connection: socket.socket, apdu: bytes, answered: bool) -> bytes:
    transfer = GbtTransfer(window=4)
    for block in transfer.send(apdu, 30):
        connection.sendall(encode_wrapper(1, 64, block))
    while transfer.sending:
        for block in transfer.receive(decode_gbt(received(connection))).send:
            connection.sendall(encode_wrapper(1, 64, block))
    return received(connection) if answered else b""


def in_ui_frames(connection: socket.socket, apdu: bytes, answered: bool) -> bytes:
    lsdu, meter, client = LLC_RESPONSE + apdu, HdlcAddress(1, 17, 2), HdlcAddress(64)
    parts = [lsdu[at : at + 50] for at in range(0, len(lsdu), 50)]
    for index, part in enumerate(parts):
        frame = HdlcFrame(client, meter, FrameType.UI, part, index < len(parts) - 1)
        connection.sendall(encode_frame(frame))
    if not answered:
        return b""
    reader, whole = FrameReader(), b""
    while True:
        for frame in reader.feed(connection.recv(4096)):
            whole += frame.info
            if not frame.segmented:
                return whole[3:]


def in_mbus(connection: socket.socket, apdu: bytes, answered: bool) -> bytes:
    for frame in segment_apdu(apdu, max_data=40):
        connection.sendall(frame)
    reader = MbusReader()
    while answered:
        for answer in reader.feed(connection.recv(4096)):
            return bytes(answer)
    return b""


def received(connection: socket.socket) -> bytes:
    """The APDU of the next wrapper frame."""
    header = exactly(connection, 8)
    return exactly(connection, int.from_bytes(header[6:8], "big"))


def exactly(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        piece = connection.recv(count - len(octets))
        if not piece:
            raise ConnectionError("the listener closed the connection")
        octets += piece
    return octets


FRAMINGS: dict[str, Callable[[socket.socket, bytes, bool], bytes]] = {
    "wrapper": in_wrapper,
    "blocks": in_blocks,
    "UI frames": in_ui_frames,
    "M-Bus": in_mbus,
}


def push(wanted: dict[str, Any], job: dict[str, Any]) -> str:
    meter, plain = Meter(wanted, job["control"]), bytes.fromhex(job["apdu"])
    notification = decode_apdu(plain)
    assert notification.to_bytes() == plain, "pydlms-client would write it otherwise"
    octets = meter.protect(job["cover"], plain)
    with socket.create_connection(("127.0.0.1", wanted["port"]), TIMEOUT_S) as connection:
        answer = FRAMINGS[job["framing"]](connection, octets, getattr(notification, "confirmed", False))
    return meter.open(job["cover"], answer).hex()


def main() -> None:
    wanted = json.load(sys.stdin)
    json.dump([push(wanted, job) for job in wanted["jobs"]], sys.stdout)


if __name__ == "__main__":
    main()
