"""What is asked around opening an association: which one, with which invocation counter, and of whom.

The one rule: what comes in clear is hearsay, and what comes from another meter than the registered one is refused.
"""

from __future__ import annotations

import asyncio
from typing import Final

from drivers.address import Address
from drivers.credentials import Credentials
from drivers.dlms import axdr
from drivers.links.line_time import LineTime
from drivers.links.transcript import Transcript
from drivers.session import Session, open_session
from profiles.errors import IdentityMismatch, ProtocolError, SettingsError
from profiles.meter_type import Association, MeterType
from profiles.objects import AttributeRef, Obis

_DATA: Final = 1
_VALUE: Final = 2


async def read_invocation_counter(
    address: Address,
    meter_type: MeterType,
    counter: Obis,
    *,
    transcript: Transcript | None = None,
    line_time: LineTime | None = None,
) -> int:
    """The highest invocation counter the meter has seen of this association's clients, by the public client.

    It comes in clear, so it is hearsay: the caller bounds what it may do to our own counter. Returns once the meter has
    had the pause that its type asks for before the next association, a minute at most.
    """
    public = meter_type.associations.get("public")
    if public is None:
        raise SettingsError(f"meter type {meter_type.name} has no public association to read its counter by")
    async with open_session(
        address, meter_type, public, Credentials(), transcript=transcript, line_time=line_time
    ) as session:
        value = axdr.decode(await session.get(AttributeRef(_DATA, counter, _VALUE)))
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF_FFFF:
        raise ProtocolError("the invocation counter is no 32-bit number", asked=f"get {counter}")
    await asyncio.sleep(meter_type.session_habit.pause_s)
    return value


async def check_serial(session: Session, meter_type: MeterType, serial: str) -> None:
    """Compare the meter's serial number with the registered one; IdentityMismatch if they differ."""
    value = axdr.decode(await session.get(meter_type.serial))
    found = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    if found.strip("\0 ") != serial:
        raise IdentityMismatch(
            f"serial number {found[:40]!r} answers, {serial!r} is registered",
            asked=f"get {meter_type.serial}",
            remedy="another meter stands at this address: correct the registry, or the meter's address",
        )


def association_of(meter_type: MeterType, address: Address) -> Association:
    """The association that an address asks for by its client SAP, else the type's reading association."""
    if address.client is None:
        return meter_type.associations[meter_type.reading_association]
    for kind in meter_type.associations.values():
        if kind.client_sap == address.client:
            return kind
    known = ", ".join(f"{kind.client_sap} ({kind.name})" for kind in meter_type.associations.values())
    raise SettingsError(
        f"meter type {meter_type.name} has no association for client {address.client}",
        asked="associate",
        remedy=f"it has {known}",
    )
