"""Pushes: what meters send unasked, received over any framing, opened under any cover, told apart from replays.

octets --PushReceiver--> Arrival --open_push, with the keys of whom it claims to be from--> Push
"""

from __future__ import annotations

from drivers.push.arrival import Arrival, Route, title_of
from drivers.push.opening import Cover, Push, open_push
from drivers.push.policy import CLEAR, PushingMeter, PushPolicy, keys_of
from drivers.push.receiver import PushReceiver
from drivers.push.window import WIDTH, Freshness, ReplayWindow, accept

__all__ = [
    "CLEAR",
    "WIDTH",
    "Arrival",
    "Cover",
    "Freshness",
    "Push",
    "PushPolicy",
    "PushReceiver",
    "PushingMeter",
    "ReplayWindow",
    "Route",
    "accept",
    "keys_of",
    "open_push",
    "title_of",
]
