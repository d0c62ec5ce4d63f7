"""Receives what meters push over one connection, or from one sender of datagrams, without I/O.

The one rule: octets come from anybody. What is half received is bounded, and what can't be a push ends in an error,
after which the receiver is of no more use: the connection is to be closed. What arrives whole is not looked into here;
`drivers.push.opening` does, with the keys of whom it claims to be from.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from drivers.dlms import apdu as codec
from drivers.dlms.apdu import GatewayRequest, GatewayResponse, tags
from drivers.dlms.block_transfer import BlockTransfer
from drivers.dlms.wrapper import MAX_APDU
from drivers.push.arrival import Arrival, FramingName, Route
from drivers.push.framing import Framing, datagram_framing, make_framing, stream_framing
from profiles.errors import ProtocolError

MAX_TRANSFERS: Final = 4
"""Senders behind one connection whose APDUs may come in blocks at one time; the oldest is given up for one more."""
MAX_BLOCK: Final = 1024
"""Octets of a block of ours: acknowledgements are far shorter."""
MAX_JOINED: Final = 1 << 20
"""Octets of an APDU that comes in blocks, far beyond a day of load profile; so much may be kept for each transfer."""


class PushReceiver:
    """Feed what comes, take `next` until it gives None, and send what `outgoing` has."""

    def __init__(self, peer: str = "", *, datagrams: bool = False, max_apdu: int = MAX_APDU) -> None:
        """`datagrams`: every feed is one datagram. `max_apdu` bounds an APDU that does not come in blocks."""
        self._peer = peer
        self._datagrams = datagrams
        self._max_apdu = max_apdu
        self._framing: Framing | None = None
        """The one that was fed last; a stream has one, datagrams may have one each."""
        self._framings: dict[FramingName, Framing] = {}
        self._transfers: OrderedDict[Route, BlockTransfer] = OrderedDict()
        self._outgoing: list[bytes] = []

    @property
    def incomplete(self) -> bool:
        """Whether an APDU is half received."""
        return self.in_blocks or any(framing.incomplete for framing in self._framings.values())

    @property
    def in_blocks(self) -> bool:
        """Whether blocks are awaited: `idle` asks for them."""
        return any(transfer.incomplete for transfer in self._transfers.values())

    def feed(self, octets: bytes) -> None:
        """Take what came; call `next` until it gives None before feeding more. ProtocolError where it is no framing."""
        if not octets:
            return
        if self._framing is None or self._datagrams:
            name = (datagram_framing if self._datagrams else stream_framing)(octets)
            if name not in self._framings or name in ("wrapper", "bare"):
                # Segments may come in several datagrams: HDLC and M-Bus go on where they were.
                self._framings[name] = make_framing(name, self._max_apdu)
            self._framing = self._framings[name]
        self._framing.feed(octets)

    def next(self) -> Arrival | None:
        """The next whole APDU, or None until more is fed; ProtocolError where what came is none of a push."""
        framing = self._framing
        if framing is None:
            return None
        while (found := framing.next()) is not None:
            self._say(framing.own())
            arrival = self._take(*found)
            if arrival is not None:
                return arrival
        self._say(framing.own())
        if self._datagrams and framing.within_frame:
            raise ProtocolError("a datagram that ends within a frame")
        return None

    def idle(self) -> None:
        """Nothing came in time: ask again for blocks that are missing. ProtocolError when that was done enough."""
        for route, transfer in self._transfers.items():
            for block in transfer.idle():
                self.send(route, block)

    def send(self, route: Route, apdu: bytes) -> None:
        """Answer on the way that an APDU came."""
        if route.gateway is not None:
            tag, network_id, address = route.gateway
            header = GatewayRequest if tag == tags.GATEWAY_RESPONSE else GatewayResponse
            apdu = header(network_id, address, apdu).encode()
        self._say(self._framings[route.framing].frame(route, apdu))

    def outgoing(self) -> list[bytes]:
        """What is to be sent by now: in datagrams each is one of its own."""
        said, self._outgoing = self._outgoing, []
        return said

    def _say(self, octets: bytes) -> None:
        if octets:
            self._outgoing.append(octets)

    def _take(self, route: Route, apdu: bytes) -> Arrival | None:
        if apdu[:1] in _GATEWAY:
            gateway = codec.decode(apdu)
            assert isinstance(gateway, GatewayRequest | GatewayResponse), "the tag was looked at"
            route = replace(route, gateway=(apdu[0], gateway.network_id, gateway.address))
            apdu = gateway.apdu
        if apdu[:1] != _BLOCK:
            return Arrival(apdu, route, self._peer)
        transfer = self._transfers.pop(route, None) or BlockTransfer(MAX_BLOCK, answers=True, limit=MAX_JOINED)
        self._transfers[route] = transfer
        if len(self._transfers) > MAX_TRANSFERS:
            self._transfers.popitem(last=False)
        answers = transfer.handle(apdu)
        whole = transfer.take()
        if whole is not None:
            answers += transfer.acknowledge()
        for answer in answers:
            self.send(route, answer)
        return None if whole is None else Arrival(whole, route, self._peer)


_BLOCK: Final = bytes([tags.GENERAL_BLOCK_TRANSFER])
_GATEWAY: Final = (bytes([tags.GATEWAY_REQUEST]), bytes([tags.GATEWAY_RESPONSE]))
