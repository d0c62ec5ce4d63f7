"""What a daemon showed of itself every few seconds: read from its metrics, judged for flatness, and drawn.

The one rule: flat is judged by levels of whole parts of the run, never by single samples: what comes in waves, as
intervals do at each quarter of an hour, must not rise from wave to wave.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from datetime import datetime
from statistics import quantiles
from typing import Final, NamedTuple
from xml.etree import ElementTree

from prometheus_client.parser import text_string_to_metric_families

from headend.report.charts import curve

WIDTH, HEIGHT = 900, 220
STYLE = (
    "text{font:12px sans-serif;fill:#444}.title{font-weight:bold}.grid{stroke:#ddd}.line{fill:none;stroke:#1f6fb2;"
    "stroke-width:1.5}circle.line{fill:#1f6fb2}"
)


class Curve(NamedTuple):
    """What is drawn: the metrics that are added up, by how much they are divided, what it is, its unit, and by how
    much its level may rise from the second third of the run to the last."""

    metrics: tuple[str, ...]
    divisor: float
    title: str
    unit: str
    may_rise: float


CURVES: Final = (
    Curve(("process_resident_memory_bytes",), 2**20, "Memory of the daemon", "MiB", 8),
    Curve(("headend_owed_intervals",), 1, "Lag: intervals due and not settled", "intervals", 100),
    Curve(("headend_queue_rows", "headend_pushes_waiting"), 1, "Queues: rows and pushes in memory", "", 200),
    Curve(("headend_spool_bytes",), 2**20, "Spool", "MiB", 1),
    Curve(("headend_open_sessions",), 1, "Open sessions", "", 50),
)


def scraped(port: int) -> dict[str, float]:
    """The daemon's metrics now; of those with labels the sum."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        values: dict[str, float] = {}
        for family in families:
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
    return values


def values_of(curve: Curve, samples: Sequence[dict[str, float]]) -> list[float | None]:
    """In the curve's unit; None where a sample lacks one of its metrics."""
    found = [[sample.get(name) for name in curve.metrics] for sample in samples]
    return [None if None in each else sum(one or 0.0 for one in each) / curve.divisor for each in found]


def level(values: Sequence[float | None]) -> float:
    """That nine of ten stay below."""
    return quantiles([value for value in values if value is not None], n=10)[-1]


def rise(values: Sequence[float | None]) -> float:
    """From the level of the second third to that of the last; the first third is for warming up."""
    third = len(values) // 3
    return level(values[-third:]) - level(values[third:-third])


def drawing(times: Sequence[datetime], samples: Sequence[dict[str, float]]) -> str:
    """All curves below each other, as an SVG document."""
    whole = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {(HEIGHT + 24) * len(CURVES)}"
    )
    ElementTree.SubElement(whole, "style").text = STYLE
    for place, each in enumerate(CURVES):
        figure = ElementTree.fromstring(curve(times, values_of(each, samples), each.title, each.unit))
        caption, chart = figure
        top = place * (HEIGHT + 24)
        title = ElementTree.SubElement(whole, "text", x="64", y=f"{top + 18}")
        title.set("class", "title")
        title.text = caption.text
        chart.attrib |= {"y": f"{top + 24}", "width": f"{WIDTH}", "height": f"{HEIGHT}"}
        whole.append(chart)
    ElementTree.indent(whole)
    return ElementTree.tostring(whole, encoding="unicode") + "\n"
