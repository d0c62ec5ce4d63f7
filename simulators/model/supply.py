"""The supply: a disconnect control (Blue Book, class 70), and the script table that drives it (class 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association
from profiles.objects import Obis
from simulators.objects import DISCONNECT_CONTROL, SCRIPT_TABLE, Attribute, CosemObject, Invoke, number_of
from simulators.refusals import Refused, Result
from simulators.state import CONNECTED, DISCONNECTED, READY

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

SWITCH: Final = Obis(0, 0, 96, 3, 10)
SCRIPTS: Final = Obis(0, 0, 10, 0, 106)

_ALWAYS_CONNECTED: Final = 0
_RECONNECTED_AT_ONCE: Final = (2, 4)
"""Control modes in which a remote reconnection needs nobody at the meter."""
_EXECUTE_METHOD: Final = 2
"""service_id of a script's action."""


def objects() -> dict[Obis, CosemObject]:
    return {
        SWITCH: CosemObject(
            DISCONNECT_CONTROL,
            {
                2: Attribute(lambda meter, _: axdr.boolean(meter.state.control_state == CONNECTED)),
                3: Attribute(lambda meter, _: axdr.enum(meter.state.control_state)),
                4: Attribute(lambda meter, _: axdr.enum(meter.state.control_mode), _set_mode),
            },
            _SWITCHING,
        ),
        SCRIPTS: CosemObject(SCRIPT_TABLE, {2: Attribute(lambda *_: _script_table())}, {1: _execute}),
    }


def _set_mode(meter: SimulatedMeter, _: Association, value: bytes) -> None:
    meter.state.control_mode = number_of(value, axdr.ENUM, 0, 6)


def _disconnect(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    if meter.state.control_mode == _ALWAYS_CONNECTED:
        raise Refused(Result.OTHER_REASON)
    meter.state.control_state = DISCONNECTED


def _reconnect(meter: SimulatedMeter, _: Association, parameters: bytes | None) -> None:
    at_once = meter.state.control_mode in _RECONNECTED_AT_ONCE or meter.state.control_state == CONNECTED
    meter.state.control_state = CONNECTED if at_once else READY


_SWITCHING: Final[dict[int, Invoke]] = {1: _disconnect, 2: _reconnect}
"""Methods of the disconnect control; script n executes method n."""


def _script_table() -> bytes:
    return axdr.array(
        [
            axdr.structure(
                axdr.uint16(method),
                axdr.array(
                    [
                        axdr.structure(
                            axdr.enum(_EXECUTE_METHOD),
                            axdr.uint16(DISCONNECT_CONTROL),
                            axdr.octet_string(bytes(SWITCH)),
                            axdr.int8(method),
                            axdr.int8(0),
                        )
                    ]
                ),
            )
            for method in _SWITCHING
        ]
    )


def _execute(meter: SimulatedMeter, kind: Association, parameters: bytes | None) -> None:
    script = number_of(parameters, axdr.LONG_UNSIGNED, 0, 0xFFFF)
    if script not in _SWITCHING:
        raise Refused(Result.OBJECT_UNDEFINED)
    _SWITCHING[script](meter, kind, axdr.int8(0))
