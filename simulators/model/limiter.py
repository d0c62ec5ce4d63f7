"""Limiters (Blue Book, class 71): once a client has set a threshold, more than that for too long opens the load switch.

What is due is done in `simulators.due`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from drivers.dlms import axdr
from profiles.meter_type import Association, MeterType
from profiles.objects import Obis
from simulators.event_log import LIMIT_SET
from simulators.model.scripts import SWITCH
from simulators.objects import LIMITER, REGISTER, Attribute, CosemObject, number_of
from simulators.quantities import Sort
from simulators.refusals import Refused, Result
from simulators.state import Limit

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_MONITORED: Final = Obis(1, 0, 1, 7, 0)
_USUAL_OVER_S: Final = 60
_NEVER: Final = axdr.octet_string(b"\xff" * 9 + b"\x80\x00\xff")
_RATED_A: Final = 60
_MOST_WATTS: Final = 10**9


def objects(meter_type: MeterType) -> dict[Obis, CosemObject]:
    return {
        one.obis: _limiter(one.obis, one.association) for one in meter_type.controls.values() if one.class_id == LIMITER
    }


def limit_of(meter: SimulatedMeter, obis: Obis) -> Limit:
    """The limiter as it is set; by default what the service is rated for, which is no limit."""
    world = meter.conditions.world.sites
    place = meter.identity.index
    rated = _RATED_A * world.nominal_v[place] * world.phases[place] * world.current_ratio[place]
    return meter.state.limits.get(obis) or Limit(int(rated), _USUAL_OVER_S)


def _limiter(obis: Obis, owner: str) -> CosemObject:
    actions = axdr.structure(*(axdr.structure(axdr.octet_string(bytes(SWITCH)), axdr.uint16(n)) for n in (1, 2)))
    monitored = axdr.structure(axdr.uint16(REGISTER), axdr.octet_string(bytes(_MONITORED)), axdr.int8(2))
    attributes = {
        2: Attribute(lambda *_: monitored),
        3: Attribute(lambda meter, _: _threshold(meter, obis)),
        4: Attribute(lambda meter, _: _threshold(meter, obis), partial(_set_threshold, obis)),
        5: Attribute(lambda meter, _: _threshold(meter, obis)),
        6: Attribute(lambda meter, _: axdr.uint32(limit_of(meter, obis).over_s), partial(_set_duration, obis)),
        7: Attribute(lambda meter, _: axdr.uint32(limit_of(meter, obis).over_s)),
        8: Attribute(lambda *_: axdr.structure(axdr.uint16(0), _NEVER, axdr.uint32(0))),
        9: Attribute(lambda *_: axdr.array([])),
        10: Attribute(lambda *_: axdr.boolean(False)),
        11: Attribute(lambda *_: actions),
    }
    return CosemObject(LIMITER, attributes, owner=owner)


def _scale(meter: SimulatedMeter) -> float:
    """W in one count of the register that is watched."""
    _, scaler = meter.identity.maker.step(Sort.POWER)
    return float(10.0**scaler)


def _threshold(meter: SimulatedMeter, obis: Obis) -> bytes:
    return axdr.uint32(round(limit_of(meter, obis).watts / _scale(meter)))


def _set_threshold(obis: Obis, meter: SimulatedMeter, _: Association, value: bytes) -> None:
    watts = round(number_of(value, axdr.DOUBLE_LONG_UNSIGNED, 1, 0xFFFF_FFFF) * _scale(meter))
    if watts > _MOST_WATTS:
        raise Refused(Result.OTHER_REASON)
    limit = limit_of(meter, obis)
    limit.watts = watts
    _keep(meter, obis, limit)


def _set_duration(obis: Obis, meter: SimulatedMeter, _: Association, value: bytes) -> None:
    limit = limit_of(meter, obis)
    limit.over_s = number_of(value, axdr.DOUBLE_LONG_UNSIGNED, 1, 86_400)
    _keep(meter, obis, limit)


def _keep(meter: SimulatedMeter, obis: Obis, limit: Limit) -> None:
    limit.checked = int(meter.now())
    meter.state.limits[obis] = limit
    meter.conditions.watts = limit.watts
    meter.note(LIMIT_SET)
