"""One open association of a meter: what was agreed on, how its APDUs are protected, and the services in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import apdu
from drivers.dlms.apdu import Conformance
from drivers.dlms.block_transfer import BlockTransfer
from profiles.errors import SecurityError
from profiles.objects import MethodRef
from simulators.access import Access
from simulators.channel import Channel
from simulators.objects import ASSOCIATION, CURRENT_ASSOCIATION
from simulators.proof import Proof
from simulators.refusals import Result, not_allowed, not_deciphered, not_supported, too_long
from simulators.services import Services

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

REPLY_TO_HLS: Final = MethodRef(ASSOCIATION, CURRENT_ASSOCIATION, 1)
BLOCK_WINDOW: Final = 8
"""How many blocks of a general block transfer the meter takes in a row."""


class OpenAssociation:
    """`proof` is what the client still owes of an HLS: until it is given, nothing else is served.

    `max_pdu` is the largest APDU that the client takes and the meter makes, `own_max_pdu` the largest that the meter
    takes. `over` is set where the client failed to prove itself.
    """

    def __init__(
        self,
        meter: SimulatedMeter,
        channel: Channel,
        conformance: Conformance,
        *,
        max_pdu: int,
        own_max_pdu: int,
        proof: Proof | None = None,
    ) -> None:
        self.kind = channel.kind
        self.channel = channel
        self.conformance = conformance
        self.proof = proof
        self.over = False
        self._meter = meter
        self._max_pdu = max_pdu
        self._own_max_pdu = own_max_pdu
        self._services = Services(Access(meter, channel.kind, conformance))
        by_blocks = Conformance.GENERAL_BLOCK_TRANSFER in conformance
        self._transfer = BlockTransfer(max_pdu, BLOCK_WINDOW, answers=True) if by_blocks else None

    def serve(self, received: bytes) -> list[bytes]:
        """The answer to a request, in blocks where it is too long; both as they go over the link.

        Excepted, HangUp; ProtocolError where it is no request that is known here.
        """
        answer = self._serve(received)
        if self._transfer is None or len(answer) <= self._max_pdu:
            return [answer]
        return self._transfer.start(answer)

    def serve_block(self, received: bytes) -> list[bytes]:
        """What to say to a block of a general block transfer: further blocks, acknowledgements, the answer."""
        if self._transfer is None:
            raise not_supported()
        blocks = self._transfer.handle(received)
        whole = self._transfer.take()
        return blocks if whole is None else self._transfer.start(self._serve(whole))

    def _serve(self, received: bytes) -> bytes:
        try:
            request = self.channel.open(received)
        except SecurityError:
            raise (not_deciphered() if self.kind.protected else not_allowed()) from None
        if len(request.plain) > self._own_max_pdu and self._transfer is None:
            raise too_long()
        asked = apdu.decode(request.plain)
        if self.proof is None:
            answer = self._services.answer(asked, self._max_pdu - request.overhead)
        elif isinstance(asked, apdu.ActionRequestNormal):
            answer = self._authenticate(asked, self.proof)
        else:
            raise not_allowed()
        return request.cover(self._meter.in_clear(answer))

    def _authenticate(self, asked: apdu.ActionRequestNormal, proof: Proof) -> bytes:
        try:
            if asked.method != REPLY_TO_HLS:
                raise SecurityError("another method before authentication is complete")
            returned = proof.exchange(asked.parameters)
        except SecurityError:
            self.over = True
            return apdu.ActionResponseNormal(asked.invoke_id, Result.READ_WRITE_DENIED).encode()
        self.proof = None
        return apdu.ActionResponseNormal(asked.invoke_id, Result.SUCCESS, returned).encode()
