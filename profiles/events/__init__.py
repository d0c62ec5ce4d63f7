"""Events of IS 15959 meters: the catalogue of event codes and the bits of the event status word, as data.

The one rule: codes and bits that nobody knows are kept with their number.
"""

from profiles.events.catalogue import (
    GROUPS,
    VENDOR,
    Event,
    EventGroup,
    event,
    events,
    group_of_log,
    load_events,
    partner,
)
from profiles.events.esw import (
    ESW,
    ESW_BITS,
    ESW_OCTETS,
    ESWF,
    FIRST_BREATH,
    LAST_GASP,
    EswBit,
    EswChange,
    EswChanges,
    decode_esw,
    encode_esw,
    esw_bit,
    esw_bits,
    esw_changes,
    esw_edges,
    load_esw,
    makers,
)

__all__ = [
    "ESW",
    "ESWF",
    "ESW_BITS",
    "ESW_OCTETS",
    "FIRST_BREATH",
    "GROUPS",
    "LAST_GASP",
    "VENDOR",
    "EswBit",
    "EswChange",
    "EswChanges",
    "Event",
    "EventGroup",
    "decode_esw",
    "encode_esw",
    "esw_bit",
    "esw_bits",
    "esw_changes",
    "esw_edges",
    "event",
    "events",
    "group_of_log",
    "load_esw",
    "load_events",
    "makers",
    "partner",
]
