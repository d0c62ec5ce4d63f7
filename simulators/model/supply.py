"""The supply: a disconnect control (Blue Book, class 70) behind which nothing flows while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.event_log import SWITCH_CLOSED, SWITCH_OPENED
from simulators.objects import DISCONNECT_CONTROL, Attribute, CosemObject, number_of
from simulators.refusals import Refused, Result
from simulators.state import CONNECTED, DISCONNECTED, READY

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

ALWAYS_CONNECTED: Final = 0
"""The control mode in which nothing opens the switch."""
_RECONNECTED_AT_ONCE: Final = (2, 4)
"""Control modes in which a remote reconnection needs nobody at the meter."""
_FOR_EVER: Final = 2**33
_MOST_OPENINGS: Final = 500
"""What a meter keeps of when its switch was open."""


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    attributes = {
        2: Attribute(lambda meter, _: axdr.boolean(meter.state.control_state == CONNECTED)),
        3: Attribute(lambda meter, _: axdr.enum(meter.state.control_state)),
        4: Attribute(lambda meter, _: axdr.enum(meter.state.control_mode), _set_mode),
    }
    return {
        one.obis: CosemObject(DISCONNECT_CONTROL, attributes, {1: _disconnect, 2: _reconnect}, owner=one.association)
        for one in meter_type.controls.values()
        if one.class_id == DISCONNECT_CONTROL
    }


def open_switch(meter: SimulatedMeter, at: int, state: int) -> None:
    """Open the load switch at this moment (seconds since 1970 UTC, by the meter's clock)."""
    if meter.state.control_state == CONNECTED:
        if len(meter.conditions.open) >= _MOST_OPENINGS:
            raise Refused(Result.OTHER_REASON)
        meter.conditions.open.append((at, _FOR_EVER))
        meter.state.events.append((at, SWITCH_OPENED))
    meter.state.control_state = state


def close_switch(meter: SimulatedMeter, at: int) -> None:
    """Close the load switch at this moment."""
    if meter.state.control_state != CONNECTED:
        opened, _ = meter.conditions.open.pop()
        if at > opened:
            meter.conditions.open.append((opened, at))
        meter.state.events.append((at, SWITCH_CLOSED))
    meter.state.control_state = CONNECTED


def _set_mode(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.state.control_mode = number_of(value, axdr.ENUM, 0, 6)


def _disconnect(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    if meter.state.control_mode == ALWAYS_CONNECTED:
        raise Refused(Result.OTHER_REASON)
    open_switch(meter, int(meter.now()), DISCONNECTED)


def _reconnect(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    if meter.state.control_mode in _RECONNECTED_AT_ONCE or meter.state.control_state == CONNECTED:
        close_switch(meter, int(meter.now()))
    else:
        meter.state.control_state = READY
