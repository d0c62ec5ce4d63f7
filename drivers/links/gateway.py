"""A meter behind a gateway: each APDU goes with the meter's place there (Green Book, clause 10.10)."""

from __future__ import annotations

import asyncio

from drivers.address import Gateway
from drivers.dlms import apdu as apdus
from drivers.links.link import Link
from profiles.errors import LinkTimeout


class GatewayLink:
    """A link to the gateway, made to look like one to the meter. `passed_over`: APDUs that were not from our meter."""

    def __init__(self, link: Link, gateway: Gateway) -> None:
        self._link = link
        self._gateway = gateway
        self.client = link.client
        self.server = link.server
        self.timeout_s = link.timeout_s
        self.passed_over = 0

    async def send(self, apdu: bytes) -> None:
        """Send an APDU to the meter, by way of the gateway."""
        await self._link.send(apdus.GatewayRequest(self._gateway.network, self._gateway.device, apdu).encode())

    async def receive(self) -> bytes:
        """The next APDU of our meter; ProtocolError where the gateway's header is malformed."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout_s
        while clock() < deadline:
            answer = await self._link.receive()
            if answer[0] == apdus.tags.GATEWAY_RESPONSE:
                response = apdus.decode(answer)
                assert isinstance(response, apdus.GatewayResponse)
                if (response.network_id, response.address) == (self._gateway.network, self._gateway.device):
                    return response.apdu
            self.passed_over += 1
        raise LinkTimeout(f"nothing from the meter behind the gateway within {self.timeout_s:g} s")

    async def close(self) -> None:
        """Close the link to the gateway."""
        await self._link.close()
