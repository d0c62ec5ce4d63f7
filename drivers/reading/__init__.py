"""Reading meters by their type: who a meter is, what its profiles hold, its clock and its status.

The one rule: what the meter says of itself wins over its type, and nothing that it says is dropped or invented: what is
not known keeps its OBIS code or number, what cannot be read keeps its octets.

`Reader` reads by kind; what it is made of can be used alone.
"""

from drivers.reading.layout import Layout, read_layout
from drivers.reading.opening import association_of, check_serial, read_invocation_counter
from drivers.reading.profile import read_profile

__all__ = [
    "Layout",
    "association_of",
    "check_serial",
    "read_invocation_counter",
    "read_layout",
    "read_profile",
]
