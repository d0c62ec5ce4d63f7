"""General block transfer: two sides over channels that lose, double and reorder; single rules octet by octet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.dlms import apdu
from drivers.dlms.apdu import GeneralBlockTransfer
from drivers.dlms.block_transfer import IDLE_LIMIT, MAX_APDU, MAX_WINDOW, BlockTransfer, block_size
from profiles.errors import HeadEndError, ProtocolError

REQUEST = b"\xc0" + bytes(range(1, 40))
ANSWER = b"\xc4" + bytes(reversed(range(100)))
SMALLEST = 8
"""The octets of a block that holds one octet."""


def block(gbt: bytes) -> GeneralBlockTransfer:
    value = apdu.decode(gbt)
    assert isinstance(value, GeneralBlockTransfer)
    return value


def numbers(blocks: Iterable[bytes]) -> list[int]:
    return [block(each).block for each in blocks]


def gbt(
    number: int,
    acknowledged: int = 0,
    data: bytes = b"",
    *,
    last: bool = False,
    streaming: bool = False,
    window: int = 1,
) -> bytes:
    return GeneralBlockTransfer(last, streaming, window, number, acknowledged, data).encode()


FAULTS = ("deliver", "lose", "double", "delay")
Fates = Iterator[str]


@dataclass
class Exchange:
    """A client and a server, joined by a channel that does to each block what `fates` says."""

    client: BlockTransfer
    server: BlockTransfer
    request: bytes = REQUEST
    answer: bytes = ANSWER
    fates: Fates = field(default_factory=lambda: repeat("deliver"))
    plain_request: bool = False
    taken: int = 0
    """How often the server was given the request."""
    idled: int = 0
    carried: list[tuple[str, GeneralBlockTransfer]] = field(default_factory=list)

    def run(self, limit: int = 6000) -> bytes | None:
        """The answer as the client takes it, None where only the request in one piece could be sent again."""
        queue: deque[tuple[str, bytes]] = deque()
        queue.extend(("server", each) for each in self._begin(queue))
        for _ in range(limit):
            if (whole := self.client.take()) is not None:
                return whole
            if not queue:
                self.idled += 1
                again = self.client.idle()
                if not again:
                    return None
                queue.extend(("server", each) for each in again)
                continue
            to, octets = queue.popleft()
            fate = next(self.fates, "deliver")
            if fate in ("double", "delay"):
                queue.append((to, octets))
            if fate in ("deliver", "double"):
                queue.extend(self._deliver(to, octets))
        pytest.fail(f"no end within {limit} steps")

    def _begin(self, queue: deque[tuple[str, bytes]]) -> list[bytes]:
        if not self.plain_request:
            return self.client.start(self.request)
        self.client.expect()
        queue.extend(("client", each) for each in self.server.start(self.answer))
        return []

    def _deliver(self, to: str, octets: bytes) -> list[tuple[str, bytes]]:
        self.carried.append((to, block(octets)))
        if to == "client":
            return [("server", each) for each in self.client.handle(octets)]
        out = self.server.handle(octets)
        if (whole := self.server.take()) is not None:
            assert whole == self.request
            self.taken += 1
            out += self.server.start(self.answer)
        return [("client", each) for each in out]


@pytest.mark.parametrize("server_window", [1, 2, 63])
@pytest.mark.parametrize("client_window", [1, 3, 63])
@pytest.mark.parametrize("max_pdu", [SMALLEST, 20, 0])
def test_a_request_and_its_answer_arrive_whatever_the_windows_and_the_pdu_size(
    client_window: int, server_window: int, max_pdu: int
) -> None:
    client, server = BlockTransfer(max_pdu, client_window), BlockTransfer(max_pdu, server_window, answers=True)
    for _ in range(3):  # one exchange after another, the windows known from the second on
        exchange = Exchange(client, server)
        assert exchange.run() == ANSWER
        assert client.delivered
        assert exchange.taken == 1
        assert exchange.idled == 0


@pytest.mark.parametrize("window", [1, 2, 5, 63])
def test_no_more_blocks_go_in_a_row_than_the_other_side_takes(window: int) -> None:
    exchange = Exchange(BlockTransfer(SMALLEST, window), BlockTransfer(SMALLEST, 7, answers=True))
    exchange.run()
    for side, most in (("client", window), ("server", 7)):
        row = 0
        longest = 0
        for to, each in exchange.carried:
            row = row + 1 if to == side else 0
            longest = max(longest, row)
            assert each.window == {"client": 7, "server": window}[to]
        assert longest == most


def test_the_first_blocks_go_one_by_one_until_the_other_side_has_told_its_window() -> None:
    client, server = BlockTransfer(10, 4), BlockTransfer(10, 3, answers=True)
    first = client.start(bytes(12))
    assert numbers(first) == [1]
    second = client.handle(server.handle(first[0])[0])
    assert numbers(second) == [2, 3, 4]


def test_the_octets_are_those_of_the_standard() -> None:
    """Tag, block-control (last, streaming, window), number, number acknowledged, length, data."""
    client, server = BlockTransfer(12, 5), BlockTransfer(12, 1, answers=True)
    assert [each.hex() for each in client.start(b"\xc0\x01\xc1")] == ["e08500010000" + "03c001c1"]
    server.handle(bytes.fromhex("e0850001000003c001c1"))
    assert server.take() == b"\xc0\x01\xc1"
    assert [each.hex() for each in server.start(b"\xc4" + bytes(6))] == [
        "e04100010001" + "05c400000000",
        "e08100020001" + "020000",
    ]
    assert client.handle(bytes.fromhex("e0010001000105c400000000"))[0].hex() == "e08500020001" + "00"


def test_a_streamed_answer_with_a_lost_block_goes_octet_by_octet_as_other_head_ends_have_it() -> None:
    """A window of 5; block 4 gets lost, is asked for alone, and the next window follows."""
    client = BlockTransfer(0, 5)
    client.expect()
    script = {
        "e005000100000" + "2c402": ["e0850001000100"],
        "e0450002000102" + "0102": [],
        "e0450003000102" + "0304": [],
        "e0450005000102" + "0708": [],
        "e0050006000102" + "090a": ["e0810002000300"],
        "e0010004000202" + "0506": ["e0850003000600"],
        "e0450007000302" + "0b0c": [],
        "e0450008000302" + "0d0e": [],
        "e0850009000301" + "0f": [],
    }
    for came, sent in script.items():
        assert [each.hex() for each in client.handle(bytes.fromhex(came))] == sent
    assert client.take() == b"\xc4\x02" + bytes(range(1, 16))


def test_the_last_block_of_the_request_is_acknowledged_by_the_first_of_the_answer() -> None:
    client, server = BlockTransfer(10, 10), BlockTransfer(10, 10, answers=True)
    exchange = Exchange(client, server, request=bytes(9), answer=bytes(12))
    assert exchange.run() == bytes(12)
    assert [(to, each.block, each.acknowledged, len(each.data)) for to, each in exchange.carried] == [
        ("server", 1, 0, 3),
        ("client", 1, 1, 0),
        ("server", 2, 1, 3),
        ("server", 3, 1, 3),
        ("client", 2, 3, 3),
        ("client", 3, 3, 3),
        ("client", 4, 3, 3),
        ("client", 5, 3, 3),
    ]


def test_an_answer_in_blocks_to_a_request_in_one_piece_arrives() -> None:
    client, server = BlockTransfer(20, 4), BlockTransfer(20, 4, answers=True)
    for _ in range(2):
        assert Exchange(client, server, plain_request=True).run() == ANSWER
    assert Exchange(client, server).run() == ANSWER
    assert Exchange(client, server, plain_request=True).run() == ANSWER


def test_a_server_takes_acknowledgements_that_count_the_request_in_one_piece_as_block_1() -> None:
    server = BlockTransfer(SMALLEST, answers=True)
    sent = numbers(server.start(bytes(300)))
    for number in range(2, 302):
        sent += numbers(server.handle(gbt(number, len(sent), last=True)))
    assert sent == list(range(1, 301))


# --- what gets lost, doubled, late ------------------------------------------------------------------------------


def lossy(*lost: int) -> Fates:
    """The blocks of these positions (0: the first carried) get lost, all others arrive."""
    return iter(["lose" if position in lost else "deliver" for position in range(max(lost) + 1)])


def sides(window: int = 5) -> tuple[BlockTransfer, BlockTransfer]:
    return BlockTransfer(20, window), BlockTransfer(20, window, answers=True)


@pytest.mark.parametrize("window", [1, 2, 5, 63])
@pytest.mark.parametrize("position", range(20))
@pytest.mark.parametrize("tag", [0xC0, 0xC8])
def test_any_one_block_may_get_lost(window: int, position: int, tag: int) -> None:
    exchange = Exchange(*sides(window), request=bytes([tag]) + REQUEST, fates=lossy(position))
    assert exchange.run() == ANSWER
    assert exchange.idled <= 1


@pytest.mark.parametrize("window", [1, 2, 5, 63])
@pytest.mark.parametrize("position", range(20))
def test_any_two_blocks_in_a_row_may_get_lost(window: int, position: int) -> None:
    assert Exchange(*sides(window), fates=lossy(position, position + 1)).run() == ANSWER


def test_only_the_lost_blocks_are_asked_for_and_sent_again() -> None:
    server = BlockTransfer(18, answers=True)
    server.handle(gbt(1, data=b"\xc8request", last=True, window=9))
    sent = server.start(bytes(100))
    client = BlockTransfer(20, 9)
    client.start(b"\xc8request")
    for each in sent[:3] + sent[5:8]:
        assert client.handle(each) == []
    asked = client.handle(sent[8])
    assert [(each.block, each.acknowledged, each.window, each.data) for each in map(block, asked)] == [(2, 3, 2, b"")]
    again = server.handle(asked[0])
    assert again == [each for each in again if block(each).block in (4, 5)]
    assert [block(each).streaming for each in again] == [True, False]
    assert client.handle(again[0]) == []
    (acknowledged,) = map(block, client.handle(again[1]))
    assert (acknowledged.acknowledged, acknowledged.window) == (9, 9)


def test_a_lost_answer_to_a_protected_request_is_sent_again_without_asking_the_meter_twice() -> None:
    exchange = Exchange(*sides(63), request=b"\xc8" + bytes(5), answer=b"\xcc" + bytes(5), fates=lossy(1))
    assert exchange.run() == exchange.answer
    assert exchange.taken == 1


def test_a_request_in_clear_that_comes_again_is_asked_anew_since_it_may_be_a_new_one() -> None:
    server = BlockTransfer(20, answers=True)
    for answer in (b"\xc4 now", b"\xc4 later"):
        assert server.handle(gbt(1, data=b"\xc0 clock", last=True)) == []
        assert server.take() == b"\xc0 clock"
        assert block(server.start(answer)[0]).data == answer


def test_data_that_comes_twice_at_the_end_of_a_turn_is_answered_again() -> None:
    """Its sender has not got our acknowledgement, as other clients show it."""
    server = BlockTransfer(0, answers=True)
    server.handle(gbt(1, data=b"\xc1"))
    acknowledged = server.handle(gbt(2, 1, b"\x01"))
    assert [(block(each).block, block(each).acknowledged) for each in acknowledged] == [(2, 2)]
    assert server.handle(gbt(2, 1, b"\x01")) == acknowledged


def test_a_lost_acknowledgement_whose_sender_numbers_on_leaves_no_gap_behind() -> None:
    client = BlockTransfer(SMALLEST)
    client.start(b"\xc1\x01\x02")
    client.handle(gbt(1, 1, last=True))
    assert block(*client.idle()).block == 3
    assert numbers(client.handle(gbt(3, 3, last=True))) == [4]
    client.handle(gbt(4, 4, b"\xc5", last=True))
    assert client.take() == b"\xc5"


def test_an_acknowledgement_that_comes_twice_is_answered_once() -> None:
    server = BlockTransfer(10, answers=True)
    server.handle(gbt(1, data=b"\xc0", last=True, window=2))
    assert numbers(server.start(bytes(30))) == [1, 2]
    assert numbers(server.handle(gbt(2, 2, last=True, window=2))) == [3, 4]
    assert server.handle(gbt(2, 2, last=True, window=2)) == []
    assert numbers(server.handle(gbt(3, 4, last=True, window=2))) == [5, 6]
    assert server.handle(gbt(2, 2, last=True, window=2)) == []


def test_blocks_out_of_order_are_put_in_order() -> None:
    client = BlockTransfer(20, 5)
    client.expect()
    assert client.handle(gbt(3, data=b"C", streaming=True)) == []
    assert client.handle(gbt(2, data=b"B", streaming=True)) == []
    assert client.handle(gbt(4, data=b"D", last=True)) != []
    assert client.take() is None
    assert client.handle(gbt(1, data=b"A", streaming=True)) == []
    assert client.take() == b"ABCD"
    assert client.take() is None


def test_a_block_that_comes_twice_with_other_data_is_refused() -> None:
    for second in (gbt(1, data=b"lie!", streaming=True), gbt(1, data=b"true", last=True)):
        client = BlockTransfer(20, 5)
        client.expect()
        client.handle(gbt(1, data=b"true", streaming=True))
        assert client.handle(gbt(1, data=b"true", streaming=True)) == []
        with pytest.raises(ProtocolError, match="block 1 came twice, not with the same data"):
            client.handle(second)


def test_an_answer_that_begins_before_the_request_has_ended_is_taken() -> None:
    """The bi-directional transfer of the standard: each block acknowledges one of the other side's."""
    client = BlockTransfer(SMALLEST)
    sent = client.start(b"\xc3\x01\x02")
    for number, data, last in ((1, b"\xc7", False), (2, b"\x01", False), (3, b"\x02", True)):
        assert [(each.block, each.acknowledged) for each in map(block, sent)] == [(number, number - 1)]
        sent = client.handle(gbt(number, number, data, last=last))
    assert sent == []
    assert client.take() == b"\xc7\x01\x02"


def test_nothing_coming_ends_in_an_error_after_a_few_times() -> None:
    client = BlockTransfer(20)
    first = client.start(REQUEST)
    for _ in range(IDLE_LIMIT):
        assert client.idle() == first
    with pytest.raises(ProtocolError, match="nothing more comes after block 0"):
        client.idle()
    assert client.idle() == []


def test_an_answer_that_stops_ends_in_an_error_after_a_few_times() -> None:
    client = BlockTransfer(20)
    client.start(b"\xc0")
    client.handle(gbt(1, 1, b"\xc4"))
    assert [(block(*client.idle()).block, client.take()) for _ in range(IDLE_LIMIT)] == [
        (3, None),
        (4, None),
        (5, None),
    ]
    with pytest.raises(ProtocolError, match="nothing more comes after block 1"):
        client.idle()


def test_a_server_owes_nothing_once_its_answer_is_out() -> None:
    server = BlockTransfer(20, answers=True)
    assert server.idle() == []
    server.handle(gbt(1, data=b"\xc0", last=True))
    assert server.idle() == []
    server.start(b"\xc4")
    assert server.idle() == []


def test_a_server_asks_for_the_rest_of_a_request_and_for_the_confirmation_of_its_answer() -> None:
    server = BlockTransfer(8, answers=True)
    server.handle(gbt(1, data=b"\xc0", streaming=True))
    assert block(*server.idle()).acknowledged == 1
    server.handle(gbt(2, 1, data=b"\x01", last=True))
    assert numbers(server.start(b"\xc4\x01")) == [2]
    assert (block(*server.idle()).block, server.take()) == (3, b"\xc0\x01")


def test_a_client_that_gave_up_is_served_its_next_request() -> None:
    server = BlockTransfer(8, answers=True)
    server.handle(gbt(1, data=b"\xc0first"))
    server.handle(gbt(2, 1, data=b"half"))
    assert server.handle(gbt(1, data=b"\xc0second", last=True)) == []
    assert server.take() == b"\xc0second"
    assert numbers(server.start(b"\xc4\x00")) == [1]
    server.handle(gbt(1, data=b"\xc0third", last=True))
    assert server.take() == b"\xc0third"


# --- pushes -------------------------------------------------------------------------------------------------------


def test_a_push_in_blocks_is_confirmed_block_by_block_and_at_its_end() -> None:
    meter, head_end = BlockTransfer(20), BlockTransfer(0, 3, answers=True)
    push = b"\x0f" + bytes(range(60))
    blocks = meter.start(push)
    while head_end.take() != push:
        assert not meter.delivered
        (answer,) = [answer for each in blocks for answer in head_end.handle(each)] or head_end.acknowledge()
        blocks = meter.handle(answer)
    assert meter.delivered
    assert blocks == []
    assert block(answer).last


def test_a_lost_confirmation_of_a_push_is_sent_again() -> None:
    meter, head_end = BlockTransfer(0), BlockTransfer(0, answers=True)
    blocks = meter.start(b"\xdb" + bytes(50))
    assert [answer for each in blocks for answer in head_end.handle(each)] == []
    assert head_end.take() is not None
    (lost,) = head_end.acknowledge()
    assert [answer for each in meter.idle() for answer in head_end.handle(each)] == [lost]
    assert head_end.take() is None
    assert meter.handle(lost) == []
    assert meter.delivered


def test_a_push_whose_sender_takes_nothing_is_not_answered() -> None:
    """As seen from meters that push over HDLC UI frames: window 0, streaming on to the last block."""
    head_end = BlockTransfer(0, answers=True)
    for push in (b"\x0fone", b"\x0fone", b"\x0ftwo"):
        for number in (1, 2, 3, 4):
            data = push[number - 1 : number]
            assert head_end.handle(gbt(number, data=data, last=number == 4, streaming=True, window=0)) == []
        assert head_end.take() == push
        assert head_end.acknowledge() == []
        assert head_end.idle() == []


def test_a_push_that_lost_a_block_is_told_once_and_the_next_one_arrives() -> None:
    head_end = BlockTransfer(0, answers=True)
    head_end.handle(gbt(1, data=b"\x0fa", streaming=True, window=0))
    with pytest.raises(ProtocolError, match="block 2 of an unconfirmed APDU got lost"):
        head_end.handle(gbt(3, data=b"c", streaming=True, window=0))
    assert head_end.handle(gbt(4, data=b"d", last=True, window=0)) == []
    assert head_end.take() is None
    head_end.handle(gbt(1, data=b"\x0fnext", last=True, window=0))
    assert head_end.take() == b"\x0fnext"


def test_a_push_whose_end_got_lost_is_told_when_nothing_more_comes() -> None:
    head_end = BlockTransfer(0, answers=True)
    head_end.handle(gbt(1, data=b"\x0fa", streaming=True, window=0))
    with pytest.raises(ProtocolError, match="the end of an unconfirmed APDU got lost"):
        head_end.idle()
    assert head_end.idle() == []


def test_a_push_in_the_middle_of_an_answer_is_told_apart() -> None:
    client = BlockTransfer(20)
    client.start(b"\xc0")
    client.handle(gbt(1, 1, b"\xc4an", streaming=True))
    client.handle(gbt(1, 0, b"\x0fpu", streaming=True, window=0))
    client.handle(gbt(2, 0, b"sh", last=True, window=0))
    client.handle(gbt(2, 1, b"swer", last=True))
    assert client.take_unasked() == b"\x0fpush"
    assert client.take_unasked() is None
    assert client.take() == b"\xc4answer"


def test_a_push_before_the_answer_to_a_request_in_one_piece_is_taken_and_then_the_answer() -> None:
    client = BlockTransfer(20)
    client.expect()
    client.handle(gbt(1, data=b"\x0fpu", streaming=True, window=0))
    assert client.take() is None
    client.handle(gbt(2, data=b"sh", last=True, window=0))
    assert client.take() == b"\x0fpush"
    assert numbers(client.handle(gbt(1, data=b"\xc4an"))) == [1]
    client.handle(gbt(2, 1, b"swer", last=True))
    assert client.take_unasked() is None
    assert client.take() == b"\xc4answer"


def test_an_answer_whose_sender_takes_nothing_back_is_taken() -> None:
    client = BlockTransfer(20)
    client.expect()
    assert client.handle(gbt(1, data=b"\xc4an", streaming=True, window=0)) == []
    assert client.handle(gbt(2, data=b"swer", last=True, window=0)) == []
    assert client.take() == b"\xc4answer"


def test_a_push_that_lost_a_block_does_not_end_the_exchange_that_it_came_into() -> None:
    client = BlockTransfer(20)
    client.start(b"\xc0")
    client.handle(gbt(1, 1, b"\xc4an", streaming=True))
    client.handle(gbt(3, 0, b"sh", last=True, window=0))
    client.handle(gbt(2, 1, b"swer", last=True))
    assert client.take_unasked() is None
    assert client.take() == b"\xc4answer"


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (gbt(0, 1, b"\xc4"), "block 0"),
        (gbt(2, 1, b"\xc4")[:-1], "general-block-transfer"),
        (gbt(2, 1, b"\xc4") + b"\x00", "general-block-transfer"),
        (gbt(1, 3, b"\xc4"), "block 3 acknowledged, of 2 sent"),
        (gbt(0xFFFF, 1, b"\xc4"), "block 65535 where 2 is due"),
        (gbt(2 + 2 * MAX_WINDOW + 1, 1, b"\xc4"), "block 129 where 2 is due"),
        (b"\xc4\x01\xc1\x00\x00", "get-response-normal where general-block-transfer is due"),
        (b"", "empty"),
    ],
)
def test_a_garbled_block_is_refused(octets: bytes, reason: str) -> None:
    client = BlockTransfer(20)
    client.start(b"\xc0")
    client.handle(gbt(1, 1, b"\xc4"))
    with pytest.raises(ProtocolError, match=reason):
        client.handle(octets)
    client.start(b"\xc0")  # and the next exchange is as ever
    client.handle(gbt(1, 1, b"\xc4", last=True))
    assert client.take() == b"\xc4"


def test_an_apdu_beyond_the_limit_is_refused_while_it_comes() -> None:
    client = BlockTransfer(0, limit=1000)
    client.expect()
    for number in range(1, 11):
        client.handle(gbt(number, data=bytes(100)))
    with pytest.raises(ProtocolError, match="an APDU of more than 1000 octets"):
        client.handle(gbt(11, data=b"\x00", last=True))
    assert client.take() is None


def test_blocks_kept_until_a_gap_is_filled_count_towards_the_limit() -> None:
    client = BlockTransfer(0, limit=1000)
    client.expect()
    for number in range(2, 12):
        client.handle(gbt(number, data=bytes(100), streaming=True))
    with pytest.raises(ProtocolError, match="an APDU of more than 1000 octets"):
        client.handle(gbt(12, data=bytes(100), streaming=True))


def test_sixteen_mebioctets_are_the_usual_limit() -> None:
    client = BlockTransfer(0, 63)
    client.expect()
    data = bytes(0x8000)
    for number in range(1, MAX_APDU // len(data) + 1):
        client.handle(gbt(number, data=data, streaming=True))
    with pytest.raises(ProtocolError, match=f"more than {MAX_APDU} octets"):
        client.handle(gbt(MAX_APDU // len(data) + 1, data=b"\x00", last=True))


def test_a_transfer_without_an_end_is_ended_by_its_numbers() -> None:
    client = BlockTransfer(0)
    client.expect()
    for number in range(1, 0x10000):
        client.handle(gbt(number, data=b"\x00", streaming=True))
    with pytest.raises(ProtocolError, match="block 0"):
        client.handle(gbt(0, data=b"\x00"))


def test_an_apdu_of_more_than_65535_blocks_is_not_begun() -> None:
    BlockTransfer(SMALLEST).start(bytes(0xFFFF))
    with pytest.raises(ProtocolError, match="does not go in blocks of 1"):
        BlockTransfer(SMALLEST).start(bytes(0x10000))
    with pytest.raises(ProtocolError, match="an APDU of 0 octets"):
        BlockTransfer(SMALLEST).start(b"")


@pytest.mark.parametrize("window", [0, 64, -1])
def test_a_window_that_the_field_does_not_hold_is_refused(window: int) -> None:
    with pytest.raises(ProtocolError, match=f"a window of {window} blocks"):
        BlockTransfer(20, window)


@pytest.mark.parametrize("max_pdu", [1, 7])
def test_a_pdu_that_holds_no_block_is_refused(max_pdu: int) -> None:
    with pytest.raises(ProtocolError, match=f"a PDU of {max_pdu} octets holds no block"):
        BlockTransfer(max_pdu)


@given(st.integers(SMALLEST, 0xFFFF))
@example(134)
@example(135)
@example(263)
@example(264)
@settings(deadline=None, derandomize=True)
def test_a_block_is_as_long_as_the_pdu_allows_and_no_longer(max_pdu: int) -> None:
    assert len(gbt(1, data=bytes(block_size(max_pdu)))) <= max_pdu
    assert len(gbt(1, data=bytes(block_size(max_pdu) + 1))) > max_pdu


# --- any channel, any octets --------------------------------------------------------------------------------------

windows = st.one_of(st.sampled_from([1, 2, MAX_WINDOW]), st.integers(1, MAX_WINDOW))
pdus = st.one_of(st.just(SMALLEST), st.integers(SMALLEST, 200))
requests = st.builds(lambda tag, rest: tag + rest, st.sampled_from([b"\xc0", b"\xc8"]), st.binary(max_size=120))
answers = st.binary(min_size=1, max_size=300)


def fates(*of_each: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of_each), max_size=200)


# Of a request in clear and in several blocks, the second serving may mix with the first: not promised.
promised = st.one_of(
    st.tuples(st.integers(60, 200), st.binary(max_size=200).map(lambda rest: b"\xc8" + rest)),
    st.tuples(pdus, st.just(b"\xc0")),
)


@given(windows, windows, promised, answers, fates(*FAULTS), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=400)
def test_over_any_channel_the_apdus_arrive_whole_or_an_error_comes(
    client_window: int, server_window: int, asked: tuple[int, bytes], answer: bytes, fate: list[str], plain: bool
) -> None:
    max_pdu, request = asked
    exchange = Exchange(
        BlockTransfer(max_pdu, client_window),
        BlockTransfer(max_pdu, server_window, answers=True),
        request,
        answer,
        iter(fate),
        plain,
    )
    try:
        arrived = exchange.run()
    except HeadEndError:
        return
    assert arrived == answer or (plain and arrived is None)


@given(windows, windows, pdus, requests, answers, st.lists(st.integers(0, 60), max_size=2), st.data())
@settings(deadline=None, derandomize=True, max_examples=400)
def test_two_faults_never_stop_an_exchange(
    client_window: int,
    server_window: int,
    max_pdu: int,
    request: bytes,
    answer: bytes,
    positions: list[int],
    data: st.DataObject,
) -> None:
    fate = ["deliver"] * 61
    for position in positions:
        fate[position] = data.draw(st.sampled_from(FAULTS))
    client, server = BlockTransfer(max_pdu, client_window), BlockTransfer(max_pdu, server_window, answers=True)
    for invocation in b"\x00", b"\x01":
        exchange = Exchange(client, server, request[:1] + invocation + request[1:], answer, iter(fate))
        assert exchange.run() == answer
        assert exchange.idled <= len(positions)


@given(windows, windows, st.integers(60, 200), st.binary(max_size=200), answers, fates("deliver", "double"))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_a_channel_that_doubles_makes_no_traffic_beyond_the_doubles(
    client_window: int, server_window: int, max_pdu: int, request: bytes, answer: bytes, fate: list[str]
) -> None:
    def carried(fate: list[str]) -> int:
        client, server = BlockTransfer(max_pdu, client_window), BlockTransfer(max_pdu, server_window, answers=True)
        exchange = Exchange(client, server, b"\xc8" + request, answer, iter(fate))
        assert exchange.run() == answer
        assert exchange.idled == 0
        return len(exchange.carried)

    # Each double of data at the end of a turn is given the answer to it once more, a window at most.
    assert carried(fate) <= carried([]) + (1 + max(client_window, server_window)) * len(fate)


garbled = st.builds(
    gbt,
    st.one_of(st.integers(0, 12), st.integers(0, 0xFFFF)),
    st.one_of(st.integers(0, 12), st.integers(0, 0xFFFF)),
    st.binary(max_size=20),
    last=st.booleans(),
    streaming=st.booleans(),
    window=st.integers(0, MAX_WINDOW),
)


@given(
    st.booleans(), windows, pdus, st.lists(st.one_of(garbled, garbled, st.none(), st.binary(max_size=30)), max_size=60)
)
@settings(deadline=None, derandomize=True, max_examples=500)
def test_any_blocks_in_any_order_end_in_blocks_within_the_window_or_in_our_error(
    answers_first: bool, window: int, max_pdu: int, received: list[bytes | None]
) -> None:
    side = BlockTransfer(max_pdu, window, answers=answers_first)
    if not answers_first:
        side.start(REQUEST)
    for octets in received:
        try:
            sent = side.idle() if octets is None else side.handle(octets)
            if side.take() is not None:
                sent = sent + side.start(ANSWER)
        except HeadEndError:
            continue
        assert len(sent) <= 2 * MAX_WINDOW
        for each in sent:
            assert len(each) <= max_pdu
            assert block(each).block > 0
