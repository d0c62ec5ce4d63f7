"""What a read says of a serial line: how long its octets had to take, and how long it took.

The one rule: both are said of all connections together, the public client's too; a mode E sign-on stands apart.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drivers.links.line_time import LineUse
from headend.words import Words, words


def told_of_line(line: LineUse) -> Words:
    """In one sentence."""
    over = f" ({line.taken_s / line.line_s - 1:+.1%})" if line.line_s else ""
    return words("reading.line_use_opened" if line.opening_s else "reading.line_use", over=over, **asdict(line))


def line_json(line: LineUse) -> dict[str, Any]:
    """Its fields, seconds to the millisecond."""
    return {name: round(value, 3) for name, value in asdict(line).items()}
