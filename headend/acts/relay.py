"""The relay (class 70): show it, open it, close it.

The one rule: by remote_disconnect and remote_reconnect alone, so that the meter's control mode decides.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import axdr
from drivers.dlms.axdr import Datum
from drivers.session import Session
from headend.acts.deed import Act, Deed, View
from headend.acts.field import Prepare, control_of, document_of
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, MethodRef

DISCONNECT_CONTROL: Final = 70
_STATES: Final = {0: "disconnected", 1: "connected", 2: "ready for reconnection"}
_METHODS: Final = {"off": 1, "on": 2}


async def look(session: Session, meter_type: MeterType) -> View:
    """Whether there is supply, the control state and the control mode."""
    obis = control_of(meter_type, DISCONNECT_CONTROL, "relay").obis
    output, state, mode = [
        axdr.decode(await session.get(AttributeRef(DISCONNECT_CONTROL, obis, index))) for index in (2, 3, 4)
    ]
    told = _STATES.get(state, str(state)) if isinstance(state, int) else "in no state"
    supply = "on" if output else "off"
    return document_of(
        {"supply": supply, "state": told, "mode": mode}, f"supply {supply}, relay {told}, control mode {mode!r}"
    )


def switching(wanted: str) -> Prepare:
    """Switch it `on` or `off`."""

    async def prepare(_: Session, meter_type: MeterType) -> Deed:
        control = control_of(meter_type, DISCONNECT_CONTROL, "relay")
        act = Act(MethodRef(DISCONNECT_CONTROL, control.obis, _METHODS[wanted]), Datum("integer", 0))

        async def plan(_: Session) -> tuple[Act, ...]:
            return (act,)

        return Deed(
            f"relay {control.obis}: {wanted}",
            meter_type.serial,
            lambda session: look(session, meter_type),
            plan,
            (f"order: {'reconnect' if wanted == 'on' else 'disconnect'}",),
            "an open relay cuts the customer off" if wanted == "off" else "",
        )

    return prepare
