"""Pushes: what meters send unasked, received over any framing, opened under any cover, told apart from replays.

"""

from __future__ import annotations

from drivers.push.arrival import Arrival, Route, title_of
from drivers.push.opening import Cover, Push, open_push
from drivers.push.policy import CLEAR, PushingMeter, PushPolicy
from drivers.push.window import WIDTH, Freshness, ReplayWindow, accept

__all__ = [
    "CLEAR",
    "WIDTH",
    "Arrival",
    "Cover",
    "Freshness",
    "Push",
    "PushPolicy",
    "PushingMeter",
    "ReplayWindow",
    "Route",
    "accept",
    "open_push",
    "title_of",
]
