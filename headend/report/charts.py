"""Load curves and bars as SVG, to stand inside an HTML page.

The one rule: what the meter did not say is a gap, and every chart names its unit, its scale and its ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import pairwise
from math import floor, log10
from typing import Final

from headend.reading.plots import runs

_WIDTH: Final = 900
_HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 30
_MARKS: Final = 6


def curve(times: Sequence[datetime], values: Sequence[float | None], title: str, unit: str) -> str:
    """A line through neighbours. Empty where there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    seconds = [(time - times[0]).total_seconds() for time in times]
    step = min((later - earlier for earlier, later in pairwise(seconds)), default=1.0)
    low, high = _scale(known)
    span = max(seconds[-1], 1.0)
    lines = []
    for first, end in runs(seconds, values, step):
        points = [
            (_x(seconds[place] / span), _y(value, low, high))
            for place in range(first, end)
            if (value := values[place]) is not None
        ]
        lines.append(_line(points))
    marks = [(seconds[place] / span, times[place]) for place in range(0, len(times), max(1, len(times) // _MARKS))]
    return _frame("".join(lines), marks, low, high, title, unit)


def _line(points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        return f'<circle class="line" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="1.5"/>'
    return f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def bars(times: Sequence[datetime], values: Sequence[float | None], title: str, unit: str) -> str:
    """A bar for each. Empty where there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(0.0, *known), _scale([0.0, *known])[1]
    wide = (_WIDTH - _LEFT - _RIGHT) / len(values)
    ground = _y(0, low, high)
    shapes = []
    for place, value in enumerate(values):
        if value is not None:
            top = _y(value, low, high)
            shapes.append(
                f'<rect class="bar" x="{_LEFT + (place + 0.1) * wide:.1f}" y="{min(top, ground):.1f}" '
                f'width="{wide * 0.8:.1f}" height="{abs(ground - top):.1f}"/>'
            )
    every = max(1, len(times) // _MARKS)
    marks = [((place + 0.5) / len(times), times[place]) for place in range(0, len(times), every)]
    return _frame("".join(shapes), marks, low, high, title, unit)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """From zero, or from just below where all is far above it, as voltages are, to a round number above the largest."""
    low, high = min(values), max(values)
    bottom = 0.0 if 0 <= low <= high * 0.7 else low - max(high - low, abs(high) * 0.01) * 0.1
    room = max(high - bottom, 1e-9)
    step = 10 ** floor(log10(room)) / 2
    return bottom, (floor(high / step) + 1) * step


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / max(high - low, 1e-9) * (_HEIGHT - _TOP - _BOTTOM)


def _frame(shapes: str, marks: Sequence[tuple[float, datetime]], low: float, high: float, title: str, unit: str) -> str:
    grid = []
    for place in range(5):
        value = low + (high - low) * place / 4
        y = _y(value, low, high)
        grid.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.6g}</text>')
    for share, time in marks:
        text = f"{time:%d %b %H:%M}" if time.hour or time.minute else f"{time:%d %b}"
        grid.append(f'<text x="{_x(share):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{text}</text>')
    name = escape(f"{title}, {unit}" if unit else title)
    return (
        f'<figure><figcaption>{name}</figcaption><svg role="img" aria-label="{name}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(grid)}{shapes}</svg></figure>'
    )
