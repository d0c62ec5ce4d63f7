"""What a simulated meter does by itself when its time has come: calendars, images, limits.

The one rule: nothing runs in between. What has become due since a meter was last asked is done when it is asked next,
as of the moment at which it was due.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import numpy as np

from simulators.model.calendar import activate_passive
from simulators.model.image_transfer import activate
from simulators.model.supply import ALWAYS_CONNECTED, close_switch, open_switch
from simulators.refusals import Refused
from simulators.state import CONNECTED, READY, Limit

if TYPE_CHECKING:
    from simulators.meter import SimulatedMeter

_MINUTE_S: Final = 60
_LOOKED_BACK_S: Final = 7 * 86_400
_RETRY_S: Final = 300
"""After so long a meter closes its switch again, in the modes in which it may."""
_MOST_TRIPS: Final = 20
_RECLOSES: Final = (5, 6)
"""Control modes in which a reconnection at the meter's own will is allowed."""
OVERLOAD: Final = 215


def advance(meter: SimulatedMeter) -> None:
    """Do what is due."""
    now = int(meter.now())
    if meter.state.passive_at is not None and meter.state.passive_at <= now:
        at, meter.state.passive_at = meter.state.passive_at, None
        activate_passive(meter, at)
    if meter.state.image_at is not None and meter.state.image_at <= now:
        meter.state.image_at = None
        with contextlib.suppress(Refused):  # without an image that is verified the schedule finds nothing to do
            activate(meter)
    for limit in meter.state.limits.values():
        _watch(meter, limit, now)


def _watch(meter: SimulatedMeter, limit: Limit, now: int) -> None:
    """Open the switch where the limit was exceeded for too long since it was last looked at."""
    for _ in range(_MOST_TRIPS):
        state, mode = meter.state.control_state, meter.state.control_mode
        if state == READY and mode in _RECLOSES and limit.checked <= now:
            close_switch(meter, limit.checked)
        elif state != CONNECTED or mode == ALWAYS_CONNECTED:
            break
        tripped = _tripped(meter, limit, max(limit.checked, now - _LOOKED_BACK_S), now)
        if tripped is None:
            break
        open_switch(meter, tripped, READY)
        meter.state.events.append((tripped, OVERLOAD))
        limit.checked = tripped + _RETRY_S
    if meter.state.control_state == CONNECTED:
        limit.checked = max(limit.checked, now - limit.over_s)


def _tripped(meter: SimulatedMeter, limit: Limit, since: int, until: int) -> int | None:
    """The first moment in [since, until] at which the power had been above the limit for too long."""
    starts = np.arange(-(-since // _MINUTE_S) * _MINUTE_S, until - _MINUTE_S + 1, _MINUTE_S, dtype=np.int64)
    if not len(starts):
        return None
    of = meter.conditions
    load = of.world.load([of.meter], starts, _MINUTE_S, of.open_spans())
    above = load.w_import[0] > limit.watts
    minutes = -(-limit.over_s // _MINUTE_S)
    run = np.convolve(above, np.ones(minutes, np.int64))[: len(starts)]
    found = np.flatnonzero(run >= minutes)
    return int(starts[found[0]]) + _MINUTE_S if len(found) else None
