"""Captured DLMS/COSEM traffic, found in whatever form it comes, opened and explained.

    octets → streams (text, pcap) → frames (hdlc, wrapper, mbus, bare) → conversation → messages

The one rule: anything may come in. What is not understood is pointed at, everything is bounded by the size of the
input, and no secret comes out.
"""

from __future__ import annotations

from drivers.capture.conversation import Grade, Message, Problem
from drivers.capture.opening import Keys
from drivers.capture.reading import Explained, LinkFrame, explain
from drivers.capture.streams import MAX_OCTETS
from drivers.capture.text import octets_of_hex

__all__ = [
    "MAX_OCTETS",
    "Explained",
    "Grade",
    "Keys",
    "LinkFrame",
    "Message",
    "Problem",
    "explain",
    "octets_of_hex",
]
