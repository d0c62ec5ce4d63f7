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
from headend.reading.from_meter import relay_state
from headend.words import words
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, MethodRef

DISCONNECT_CONTROL: Final = 70
_METHODS: Final = {"off": 1, "on": 2}


async def look(session: Session, meter_type: MeterType) -> View:
    """Whether there is supply, the control state and the control mode."""
    obis = control_of(meter_type, DISCONNECT_CONTROL, "relay").obis
    output, state, mode = [
        axdr.decode(await session.get(AttributeRef(DISCONNECT_CONTROL, obis, index))) for index in (2, 3, 4)
    ]
    told = relay_state(state) or (str(state) if isinstance(state, int) else words("acts.relay_no_state"))
    supply = words("acts.relay_supply_on" if output else "acts.relay_supply_off")
    pairs = {"supply": supply, "state": told, "mode": mode}
    return document_of(pairs, words("acts.relay_told", supply=supply, state=told, mode=mode))


def switching(wanted: str) -> Prepare:
    """Switch it `on` or `off`."""

    async def prepare(_: Session, meter_type: MeterType) -> Deed:
        control = control_of(meter_type, DISCONNECT_CONTROL, "relay")
        act = Act(MethodRef(DISCONNECT_CONTROL, control.obis, _METHODS[wanted]), Datum("integer", 0))

        async def plan(_: Session) -> tuple[Act, ...]:
            return (act,)

        return Deed(
            words(f"acts.relay_title_{wanted}", obis=control.obis),
            meter_type.serial,
            lambda session: look(session, meter_type),
            plan,
            (words(f"acts.relay_order_{wanted}"),),
            words("acts.relay_warning") if wanted == "off" else None,
        )

    return prepare
