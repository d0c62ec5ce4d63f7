"""Asks one place who is there: whether the link answers, and what the public client may read of the meter.

The one rule: nothing is asked that needs a key, and whoever answered is released before the next is asked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from drivers.address import HDLC, Address, Scheme
from drivers.credentials import Credentials
from drivers.dlms.client import Client
from drivers.links.gateway import GatewayLink
from drivers.links.hdlc import HdlcLink
from drivers.links.link import Link
from drivers.links.stream import Spans, Stream
from drivers.links.wrapper import WrapperLink
from drivers.reading import Identity, identify
from drivers.session import session_on
from headend.words import words
from profiles.errors import HeadEndError, LinkError, LinkTimeout, MeterBusy
from profiles.loader import load_meter_type
from profiles.meter_type import Association

ANSWER_S: Final = 5.0
"""A meter that is there may take so long for an answer, however short the wait for silent ones is."""
TYPE: Final = "generic-dlms"
"""By which anybody's nameplate is read."""
PUBLIC: Final = "public"


@dataclass(slots=True)
class Found:
    """Who answers at a place. `who`: None where it tells the public client nothing; `note`: why, and what is odd."""

    address: Address
    who: Identity | None = None
    note: str = ""
    information: int | None = None
    """Most octets of an HDLC frame from the meter, as agreed."""
    window: int | None = None
    sign_on: str = ""
    """Its identification in mode E."""
    ms: int = 0
    also: int = 0
    """At how many further addresses the same meter answers."""

    @property
    def same_as(self) -> tuple[str, ...]:
        """What tells one meter from another; empty where nothing does."""
        who = self.who
        of = () if who is None else (who.serial, who.device_id, who.logical_device_name, who.system_title.hex())
        return of if any(of) else ()


class Lent:
    """A stream that many links use one after the other: closing one of them leaves it open."""

    recorded = False

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def send(self, octets: bytes, hidden: Spans = ()) -> None:
        await self._stream.send(octets, hidden)

    async def receive(self, limit_s: float) -> bytes:
        return await self._stream.receive(limit_s)

    async def close(self) -> None:
        """It is not ours."""


async def ask(stream: Stream, place: Address, timeout_s: float) -> Found | None:
    """Who answers at a place on an open line, None where nobody does within the time-out. LinkError: the line broke."""
    began = time.monotonic()
    found = await (_by_hdlc if place.scheme in HDLC else _by_wrapper)(Lent(stream), place, timeout_s)
    if found is not None:
        found.ms = round((time.monotonic() - began) * 1000)
    return found


async def _by_hdlc(stream: Lent, place: Address, timeout_s: float) -> Found | None:
    kind = _public(place)
    server = place.server or 1
    probe = HdlcLink(stream, client=kind.client_sap, server=server, hdlc=place.hdlc, timeout_s=timeout_s)
    found = Found(place)
    try:
        await probe.connect()
    except LinkTimeout:
        return None
    except MeterBusy as error:
        found.note = error.message
        return found
    parameters = probe.data_link.parameters
    found.information, found.window = parameters.information_receive, parameters.window_receive
    # A second SNRM begins anew, and now there is time for answers. A DISC in between would undo a sign-on.
    link = HdlcLink(stream, client=kind.client_sap, server=server, hdlc=place.hdlc, timeout_s=_patience(timeout_s))
    try:
        await link.connect()
    except HeadEndError as error:
        await probe.close()
        found.note = error.message
        return found
    await _identify(found, _behind_gateway(link, place), kind)
    return found


async def _by_wrapper(stream: Lent, place: Address, timeout_s: float) -> Found | None:
    kind = _public(place)
    alone = place.gateway is None and place.scheme is not Scheme.UDP
    wait_s = _patience(timeout_s) if alone else timeout_s
    link = WrapperLink(stream, client=kind.client_sap, server=place.server or 1, timeout_s=wait_s)
    found = Found(place)
    silent = await _identify(found, _behind_gateway(link, place), kind)
    if silent and not alone:
        return None  # neither a gateway nor a datagram says by itself whether somebody is there
    if silent:
        found.note = words("watch.not_dlms")
    return found


async def _identify(found: Found, link: Link, kind: Association) -> bool:
    """Fill in who it is, or why that is not known; True where nothing came at all."""
    client = Client(kind, Credentials())
    try:
        async with session_on(link, client) as session:
            found.who = await identify(session, TYPE)
    except LinkTimeout as error:
        found.note = error.message
        return not client.server_title and error.asked.startswith("associate")
    except LinkError:
        if found.address.scheme in HDLC or found.address.gateway is not None:
            raise
        found.note = words("watch.public_closed")
    except HeadEndError as error:
        found.note = error.message
    return False


def _public(place: Address) -> Association:
    kind = load_meter_type(TYPE).associations[PUBLIC]
    return kind if place.client is None else replace(kind, client_sap=place.client)


def _patience(timeout_s: float) -> float:
    return max(timeout_s, ANSWER_S)


def _behind_gateway(link: Link, place: Address) -> Link:
    return link if place.gateway is None else GatewayLink(link, place.gateway)
