"""What a read says of a serial line: how long its octets had to take, and how long it took.

The one rule: both are said of all connections together, the public client's too; a mode E sign-on stands apart.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drivers.links.line_time import LineUse


def told_of_line(line: LineUse) -> str:
    """In one sentence."""
    over = f" ({line.taken_s / line.line_s - 1:+.1%})" if line.line_s else ""
    opening = f"; the sign-on before it {line.opening_s:.2f} s" if line.opening_s else ""
    return (
        f"on the line at {line.baud} baud: {line.sent} octets sent, {line.received} received; "
        f"they take {line.line_s:.2f} s, the read took {line.taken_s:.2f} s{over}{opening}"
    )


def line_json(line: LineUse) -> dict[str, Any]:
    """Its fields, seconds to the millisecond."""
    return {name: round(value, 3) for name, value in asdict(line).items()}
