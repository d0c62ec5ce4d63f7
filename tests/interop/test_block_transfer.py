"""General block transfer against other implementations: ours as a meter, as a client, and with blocks that get lost."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest

from drivers.dlms import apdu, axdr
from drivers.dlms.apdu import GetRequestNormal, GetResponseNormal, SetRequestNormal, SetResponseNormal
from drivers.dlms.block_transfer import BlockTransfer, block_size
from drivers.dlms.wrapper import Unwrapper, wrap

Run = Callable[..., CompletedProcess[str]]
Serve = Callable[..., AbstractContextManager[Any]]

GURUX_CLIENT = Path(__file__).with_name("gurux_block_client.py")
PYDLMS_PEER = Path(__file__).with_name("pydlms_block_peer.py")
LIMIT_S = 30.0
MAX_PDU = 200
VALUE = bytes(range(256)) * 5


class Meter:
    """A meter of one attribute that uses general block transfer alone, for one client."""

    def __init__(self, window: int) -> None:
        self.written: bytes | None = None
        self.blocks_taken = 0
        self._blocks = BlockTransfer(MAX_PDU, window, answers=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        self._listener.settimeout(LIMIT_S)
        connection, _ = self._listener.accept()
        with self._listener, connection:
            connection.settimeout(LIMIT_S)
            frames = Unwrapper()
            while octets := connection.recv(0x10000):
                frames.feed(octets)
                while frame := frames.next():
                    for each in self._answer(frame.apdu):
                        connection.sendall(wrap(1, 16, each))

    def _answer(self, received: bytes) -> list[bytes]:
        if received[0] != 0xE0:
            return self._blocks.start(self._serve(received))
        self.blocks_taken += 1
        sent = self._blocks.handle(received)
        request = self._blocks.take()
        return sent if request is None else sent + self._blocks.start(self._serve(request))

    def _serve(self, octets: bytes) -> bytes:
        request = apdu.decode(octets)
        if isinstance(request, SetRequestNormal):
            self.written = request.data
            return SetResponseNormal(request.invoke_id, 0).encode()
        assert isinstance(request, GetRequestNormal)
        return GetResponseNormal(request.invoke_id, axdr.octet_string(VALUE)).encode()


@contextmanager
def serving(meter: Meter) -> Iterator[None]:
    thread = threading.Thread(target=meter.serve)
    thread.start()
    try:
        yield
    finally:
        thread.join(LIMIT_S)


@pytest.mark.parametrize("window", [1, 5, 63])
def test_the_gurux_client_reads_what_our_blocks_carry(run: Run, window: int) -> None:
    meter = Meter(1)
    wanted = {"host": "127.0.0.1", "port": meter.port, "max_pdu": MAX_PDU, "window": window, "write": None}
    with serving(meter):
        assert json.loads(run("python", GURUX_CLIENT, given=json.dumps(wanted)).stdout) == VALUE.hex()
    blocks = -(-len(GetResponseNormal(0xC1, axdr.octet_string(VALUE)).encode()) // block_size(MAX_PDU))
    assert meter.blocks_taken == -(-(blocks - 1) // window)  # one acknowledgement a window, after the first block


def test_the_gurux_client_writes_in_two_blocks_that_we_put_together(run: Run) -> None:
    """Not more than two: from the third on, version 1.0.203 acknowledges block 65535."""
    meter = Meter(5)
    written = VALUE[:300]
    wanted = {"host": "127.0.0.1", "port": meter.port, "max_pdu": MAX_PDU, "window": 1, "write": written.hex()}
    with serving(meter):
        assert json.loads(run("python", GURUX_CLIENT, given=json.dumps(wanted)).stdout) is None
    assert meter.written == axdr.octet_string(written)
    assert meter.blocks_taken == 2


class Side(Protocol):
    def start(self, whole: bytes) -> list[bytes]: ...
    def handle(self, gbt: bytes) -> list[bytes]: ...
    def take(self) -> bytes | None: ...
    def idle(self) -> list[bytes]: ...


class PydlmsSide:
    """The other implementation's side of one exchange, in its own process."""

    def __init__(self, port: int, window: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._lines = self._connection.makefile("rwb")
        self._whole: bytes | None = None
        self._write({"window": window, "block_size": block_size(MAX_PDU)})

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def start(self, whole: bytes) -> list[bytes]:
        return self._order({"start": whole.hex()})

    def handle(self, gbt: bytes) -> list[bytes]:
        return self._order({"handle": gbt.hex()})

    def idle(self) -> list[bytes]:
        return self._order({"idle": True})

    def take(self) -> bytes | None:
        whole, self._whole = self._whole, None
        return whole

    def _write(self, order: dict[str, Any]) -> None:
        self._lines.write(json.dumps(order).encode() + b"\n")
        self._lines.flush()

    def _order(self, order: dict[str, Any]) -> list[bytes]:
        self._write(order)
        answer = json.loads(self._lines.readline())
        if answer["apdu"] is not None:
            self._whole = bytes.fromhex(answer["apdu"])
        return [bytes.fromhex(each) for each in answer["send"]]


def exchange(client: Side, server: Side, request: bytes, answer: bytes, lost: int | None) -> bytes | None:
    """Carry a request and its answer; the block at position `lost` never arrives."""
    queue = deque((server, each) for each in client.start(request))
    for position in range(200):
        if not queue:
            queue.extend((server, each) for each in client.idle())
        to, octets = queue.popleft()
        if position == lost:
            continue
        back = client if to is server else server
        queue.extend((back, each) for each in to.handle(octets))
        if (whole := client.take()) is not None:
            return whole
        if (whole := server.take()) is not None:
            assert whole == request
            queue.extend((client, each) for each in server.start(answer))
    return None


@pytest.fixture(scope="module")
def pydlms(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], PydlmsSide]]:
    sides: list[PydlmsSide] = []
    with serve(tmp_path_factory.mktemp("pydlms"), r"listening on (\d+)", sys.executable, PYDLMS_PEER) as (found, _):

        def side(window: int) -> PydlmsSide:
            for each in sides:
                each.close()
            sides.append(PydlmsSide(int(found[1]), window))
            return sides[-1]

        yield side
        for each in sides:
            each.close()


@pytest.mark.parametrize("lost", [None, 0, *range(2, 12)])
@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 5), (5, 1), (5, 5), (63, 63)])
def test_our_client_gets_on_with_the_pydlms_meter(
    pydlms: Callable[[int], PydlmsSide], ours: int, theirs: int, lost: int | None
) -> None:
    """But for the first acknowledgement: that meter takes a block 1 that is repeated for a push."""
    client = BlockTransfer(MAX_PDU, ours)
    assert exchange(client, pydlms(theirs), b"\xc1" + VALUE[:900], b"\xc5" + VALUE, lost) == b"\xc5" + VALUE


@pytest.mark.parametrize("lost", [None, *range(12)])
@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 5), (5, 1), (5, 5), (63, 63)])
def test_the_pydlms_client_gets_on_with_our_meter(
    pydlms: Callable[[int], PydlmsSide], ours: int, theirs: int, lost: int | None
) -> None:
    server = BlockTransfer(MAX_PDU, ours, answers=True)
    assert exchange(pydlms(theirs), server, b"\xc1" + VALUE[:900], b"\xc5" + VALUE, lost) == b"\xc5" + VALUE
