"""Reading meters by their type: who a meter is, what its profiles hold, its clock and its status.

The one rule: what the meter says of itself wins over its type, and nothing that it says is dropped or invented: what is
not known keeps its OBIS code or number, what cannot be read keeps its octets.

`Reader` reads by kind; what it is made of can be used alone.
"""

from drivers.reading.clock import ClockReading, read_clock
from drivers.reading.events import NO_CODE, EventRows, Since, read_events
from drivers.reading.identity import Guess, Identity, guess_type, identify
from drivers.reading.layout import Layout, read_layout
from drivers.reading.listed import listed_profiles
from drivers.reading.load import LoadPart, read_load
from drivers.reading.opening import association_of, check_serial, read_invocation_counter
from drivers.reading.profile import Buffer, read_profile
from drivers.reading.push_lists import read_push_lists
from drivers.reading.reader import Reader
from drivers.reading.status_word import StatusWordReading, read_status_word
from drivers.reading.values import ProfileRows, ValueColumn, read_values

__all__ = [
    "NO_CODE",
    "Buffer",
    "ClockReading",
    "EventRows",
    "Guess",
    "Identity",
    "Layout",
    "LoadPart",
    "ProfileRows",
    "Reader",
    "Since",
    "StatusWordReading",
    "ValueColumn",
    "association_of",
    "check_serial",
    "guess_type",
    "identify",
    "listed_profiles",
    "read_clock",
    "read_events",
    "read_invocation_counter",
    "read_layout",
    "read_load",
    "read_profile",
    "read_push_lists",
    "read_status_word",
    "read_values",
]
