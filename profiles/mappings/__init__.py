"""What an MDM wants to hear, in the codes of IEC 61968-9: reading types, qualities, events and controls, as data.

The one rule: what has no known code says so with its reason.
"""

from profiles.mappings.codes import EndDeviceCode, ReadingQuality, ReadingType
from profiles.mappings.mapping import CONTROLS, Grade, Mapped, MdmMapping, ProfileKind, Unmapped
from profiles.mappings.mapping_file import load_mapping, mappings

__all__ = [
    "CONTROLS",
    "EndDeviceCode",
    "Grade",
    "Mapped",
    "MdmMapping",
    "ProfileKind",
    "ReadingQuality",
    "ReadingType",
    "Unmapped",
    "load_mapping",
    "mappings",
]
