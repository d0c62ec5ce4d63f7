"""Where the meter pushes to, against where it should.

The one rule: which destination is right nobody but the person who asks can say; without their word it is only shown.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import axdr
from headend.check.patient import Bedside
from profiles.errors import AccessDenied
from profiles.objects import AttributeRef

PUSH_SETUP: Final = 40
_DESTINATION: Final = 3


async def pushes(bedside: Bedside) -> None:
    """The destination of each push setup of the type that may be read."""
    patient, by_destination = bedside.patient, dict[str, list[str]]()
    for push in patient.meter_type.pushes.values():
        if push.obis is None:
            continue
        try:
            octets = await bedside.session.get(AttributeRef(PUSH_SETUP, push.obis, _DESTINATION))
        except AccessDenied:
            continue
        by_destination.setdefault(_place(octets), []).append(push.name.replace("_", " "))
    wanted = patient.wanted.push_to
    for destination, names in by_destination.items():
        values = {"pushes": ", ".join(names), "destination": destination, "wanted": wanted}
        if wanted is None:
            patient.add("push_unjudged" if destination else "push_unset", **values)
        elif destination == wanted:
            patient.add("push_right", **values)
        else:
            patient.add("push_elsewhere" if destination else "push_nowhere", **values)


def _place(octets: bytes) -> str:
    """HOST:PORT as the meter has it; empty where it has none."""
    value = axdr.decode(octets)
    place = value[1] if isinstance(value, axdr.Structure) and len(value) > 1 else b""
    return place.strip(b"\0 ").decode("latin-1") if isinstance(place, bytes) else str(place or "")
