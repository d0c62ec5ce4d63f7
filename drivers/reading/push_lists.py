"""What a meter pushes: the object lists of its push setups.

The one rule: the meter's own list wins over its type's; bodies of pushes are values alone, and mean nothing without it.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms.profile_buffer import decode_capture_objects
from drivers.session import Session
from profiles.errors import AccessDenied
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef, CaptureObject

PUSH_SETUP: Final = 40
OBJECT_LIST: Final = 2


async def read_push_lists(session: Session, meter_type: MeterType) -> dict[str, tuple[CaptureObject, ...]]:
    """By the push's name in the type (Blue Book, class 40, attribute 2): one GET for each push setup.

    Left out are those that the meter does not have or does not show, and empty lists. Raises ProtocolError, LinkError.
    """
    found: dict[str, tuple[CaptureObject, ...]] = {}
    for push in meter_type.pushes.values():
        if push.obis is None or push.form != "columns":
            continue
        try:
            octets = await session.get(AttributeRef(PUSH_SETUP, push.obis, OBJECT_LIST))
        except AccessDenied:
            continue
        if objects := decode_capture_objects(octets):
            found[push.name] = objects
    return found
