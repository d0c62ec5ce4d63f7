"""Tables as text, JSON, CSV, Parquet, pictures and reports; errors as explanations."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq
import pytest

from drivers.dlms import axdr
from drivers.reading import LoadPart
from headend.reading.explaining import EXPLANATIONS, REMEDIES, explanation, symptom
from headend.reading.from_meter import load_table, text_of
from headend.reading.output import Form, rendered, to_csv, to_json
from headend.reading.plots import energy_of, plotted, runs
from headend.reading.tables import Column, Readout, Record, Table, plain, unique_keys
from headend.reading.text import to_text
from headend.report.page import page
from profiles import errors
from profiles.intervals import Extra, IntervalBatch, Quality, Suspect
from profiles.objects import Obis

INDIA = ZoneInfo("Asia/Kolkata")
START = datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
"""2026-01-01 00:00 in India."""
QUARTER = timedelta(minutes=15)


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def part(steps: tuple[int, ...], **changes: object) -> LoadPart:
    """Intervals so many quarters after the start."""
    batch = IntervalBatch(
        start=np.array([microseconds(START + step * QUARTER) for step in steps], np.int64),
        interval_s=900,
        quality=np.array([Quality.POWER_FAIL | Quality.CLOCK_SUSPECT, *[0] * (len(steps) - 1)], np.int32),
        values={
            "voltage": np.array([230_150, *[0] * (len(steps) - 1)], np.int64),
            "wh_import": np.array([12_345_678, *[100_000] * (len(steps) - 1)], np.int64),
            "signal_strength": np.array([-71] * len(steps), np.int64),
        },
        nulls={"voltage": np.array([False, *[True] * (len(steps) - 1)])},
        suspects=(Suspect("off the grid of the capture period", b"\x07\xea", b"\x02\x01"),),
    )
    return LoadPart(START, START + 8 * QUARTER, replace(batch, **changes), 0)  # type: ignore[arg-type]


def block_load(*parts: LoadPart) -> Table:
    return load_table(
        "block-load",
        "Block load",
        parts or (part((0, 1)),),
        interval_s=900,
        start=START,
        end=START + 2 * QUARTER,
        zone=INDIA,
    )


def readout(*tables: Table, **changes: object) -> Readout:
    made = Readout(
        address="tcp://[fe80::1]:4059",
        system_title=b"SMA12345",
        serial="SMA1",
        meter_type="is15959-1ph",
        zone="Asia/Kolkata",
        read_at=START,
        tables=tables or (block_load(),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_json_holds_local_starts_si_units_marks_and_suspects() -> None:
    document = json.loads(rendered(readout(), Form.JSON))
    assert document["system_title"] == "534D413132333435"
    assert document["interval_s"] == 900
    assert (document["from"], document["to"]) == ("2026-01-01T00:00:00+05:30", "2026-01-01T00:30:00+05:30")
    assert document["units"] == {"voltage": "V", "wh_import": "Wh"}
    assert document["intervals"] == [
        {
            "start": "2026-01-01T00:00:00+05:30",
            "voltage": 230.15,
            "wh_import": 12345.678,
            "signal_strength": -71,
            "quality": ["clock_suspect", "power_fail"],
        },
        {
            "start": "2026-01-01T00:15:00+05:30",
            "voltage": None,
            "wh_import": 100,
            "signal_strength": -71,
            "quality": [],
        },
    ]
    assert document["suspects"] == [{"reason": "off the grid of the capture period", "stamp": "07ea", "raw": "0201"}]


def test_several_kinds_stand_in_json_by_their_names_beside_what_is_missing() -> None:
    record = Record("clock", "Clock")
    record.add("drift", "ahead", -0.5, "s")
    document = to_json(readout(block_load(), record.table(), missing=("status: read-write denied",)))
    assert document["clock"]["rows"] == [{"drift": -0.5, "quality": []}]
    assert len(document["block-load"]["intervals"]) == 2
    assert document["missing"] == ["status: read-write denied"]


def test_csv_holds_a_line_an_interval() -> None:
    assert list(csv.reader(io.StringIO(to_csv(block_load())))) == [
        ["start", "interval_s", "voltage", "wh_import", "signal_strength", "quality"],
        ["2026-01-01T00:00:00+05:30", "900", "230.15", "12345.678", "-71", "clock_suspect|power_fail"],
        ["2026-01-01T00:15:00+05:30", "900", "", "100", "-71", ""],
    ]


def test_parquet_holds_instants_numbers_marks_and_units() -> None:
    table = pq.read_table(io.BytesIO(rendered(readout(), Form.PARQUET)))
    assert table.column_names == ["start", "voltage", "wh_import", "signal_strength", "quality"]
    first, second = table.to_pylist()
    assert first["start"] == START
    assert str(table.schema.field("start").type) == "timestamp[us, tz=Asia/Kolkata]"
    assert (first["wh_import"], second["voltage"], first["quality"]) == (
        12345.678,
        None,
        ["clock_suspect", "power_fail"],
    )
    assert table.schema.field("wh_import").metadata[b"unit"] == b"Wh"
    assert table.schema.metadata[b"serial"] == b"SMA1"


@pytest.mark.parametrize("form", [Form.CSV, Form.PARQUET])
def test_a_form_of_one_table_refuses_several(form: Form) -> None:
    with pytest.raises(errors.SettingsError, match="holds one table"):
        rendered(readout(block_load(), block_load()), form)


def test_a_table_is_whole_with_units_thousands_decimals_and_marks() -> None:
    text = to_text(readout())
    assert text.splitlines() == [
        "tcp://[fe80::1]:4059 · SMA1 · is15959-1ph · times of Asia/Kolkata",
        "",
        "Block load · 2 intervals of 15 min",
        "",
        "                   voltage   wh import    signal",
        " starts                  V          Wh  strength  quality",
        " " + "─" * 75,
        " 2026-01-01 00:00   230.15  12,345.678       -71  clock suspect, power fail",
        " 2026-01-01 00:15              100.000       -71",
        "",
    ]
    assert "\x1b[" not in text
    assert "\x1b[" in to_text(readout(), colour=True)


def test_a_record_and_a_few_wide_rows_stand_upright() -> None:
    columns = tuple(Column(f"c{place}", f"column {place}", "Wh") for place in range(30))
    wide = Table("billing", "Billing periods", columns, (tuple(range(30)), tuple(range(1000, 1030))))
    lines = to_text(readout(wide)).splitlines()
    assert next(line.split() for line in lines if "column 29" in line) == ["column", "29", "29", "1,029", "Wh"]
    record = Record("clock", "Clock")
    record.add("time", "meter's time", START.astimezone(INDIA))
    record.add("year", "year", 2025)
    record.notes.append("the clock was lost")
    text = to_text(readout(record.table()))
    assert "meter's time  2026-01-01 00:00" in text
    assert "2025" in text, "what counts nothing has no thousands"
    assert "the clock was lost" in text


def test_a_column_in_which_nothing_stands_is_not_drawn_but_kept_in_files() -> None:
    rows = ((START, None, Decimal(1)), (START + QUARTER, None, Decimal(2)))
    columns = (Column("time", "time"), Column("number", "number"), Column("code", "code"))
    table = Table("events", "Events", columns, rows)
    assert "number" not in to_text(readout(table))
    assert "number" in to_csv(table)
    assert "number" in to_text(readout(replace(table, rows=())))


def test_parts_of_a_load_profile_come_together_in_order_each_interval_once() -> None:
    table = block_load(part((4, 5)), part((0, 1)), part((1, 2)))
    starts = [cell for cell in table.values("start") if isinstance(cell, datetime)]
    assert starts == [START + step * QUARTER for step in (0, 1, 2, 4, 5)]


def test_what_no_channel_holds_has_a_column_of_its_own() -> None:
    extras = (
        Extra(microseconds(START), 3, Obis(1, 0, 21, 29, 0), 2, Decimal("1.50"), 30, b"\x12\x00\x0f"),
        Extra(microseconds(START), 1, Obis(0, 0, 96, 99, 9), 2, None, None, b"\x09\x01\xff"),
        Extra(microseconds(START), 4, Obis(1, 0, 1, 6, 0), 5, None, None, b"\x09\x0c", microseconds(START + QUARTER)),
    )
    table = block_load(part((0, 1), extras=extras))
    assert table.values("3/1.0.21.29.0.255/2") == [Decimal("1.5"), None]
    assert table.values("1/0.0.96.99.9.255/2") == ["0901ff", None]
    assert next(one.unit for one in table.columns if one.key == "3/1.0.21.29.0.255/2") == "Wh"
    assert table.values("4/1.0.1.6.0.255/5") == [START + QUARTER, None]
    assert table.columns[-1].title == "Active power import maximum capture time"


def test_energy_of_registers_is_the_difference_to_the_row_before() -> None:
    rows = tuple((START + timedelta(days=day), Decimal(value)) for day, value in enumerate((100, 130, 131)))
    daily = Table("daily", "Daily load", (Column("start", "starts"), Column("wh_import_register", "r", "Wh")), rows)
    found = energy_of(daily)
    assert found is not None
    assert found[2] == [30.0, 1.0]
    assert energy_of(replace(daily, rows=rows[:1])) is None
    assert energy_of(replace(daily, rows=())) is None


def test_a_gap_is_not_bridged() -> None:
    assert runs([0, 1, 2, 5, 6], [1, 2, None, 3, 4], 1) == [(0, 2), (3, 5)]
    assert runs([0, 1, 4], [1, 2, 3], 1) == [(0, 2), (2, 3)]
    assert runs([], [], 1) == []


def test_plots_are_of_curves_and_bars_and_of_nothing_else() -> None:
    picture = plotted(readout(block_load(part(tuple(range(40))))), width=80, colour=False)
    assert "Block load: wh import, Wh" in picture
    assert re.search("[⠁-⣿]", picture)
    assert "\x1b[" not in picture
    with pytest.raises(errors.SettingsError, match="nothing to draw"):
        plotted(readout(Record("clock", "Clock").table()), width=80, colour=False)


class Page(HTMLParser):
    """Tags and attributes of a page, well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_is_one_page_without_script_network_or_markup_of_the_meters() -> None:
    hostile = '<script src="http://example.invalid/x.js">alert(1)</script>'
    record = Record("nameplate", "Nameplate")
    record.add("maker", "Maker", hostile)
    record.notes.append(hostile)
    made = page(readout(record.table(), block_load(part(tuple(range(40)))), serial=hostile, missing=(hostile,)))
    found = Page(made)
    assert "script" not in found.tags
    assert found.links == []
    assert "url(" not in made
    assert "@import" not in made
    assert found.text.count(hostile) >= 4
    assert found.tags.count("polyline") == 1
    assert found.tags.count("circle") == 1, "of voltage there is one value alone"


def test_a_report_names_what_was_read_and_what_was_not() -> None:
    text = Page(page(readout(missing=("status: read-write denied",)))).text
    for words in ("Meter SMA1", "534D413132333435", "Block load · 2 intervals of 15 min", "clock suspect, power fail"):
        assert words in text
    assert "status: read-write denied" in text
    assert "not believed, off the grid of the capture period: 0201" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"SMA1\0\0", "SMA1"),
        (b"\x00\xff", "00ff"),
        (axdr.BitString("0110"), "0110"),
        (True, "yes"),
        (7, 7),
        (None, None),
        (axdr.Structure((1, b"a", [False])), "[1, a, [no]]"),
    ],
)
def test_values_that_are_no_numbers_read_as_text(value: axdr.Value, text: object) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(("text", "plainly"), [("1.500", "1.5"), ("12000", "12000"), ("1E+30", "1" + "0" * 30)])
def test_numbers_are_plain_and_whole_where_they_are(text: str, plainly: str) -> None:
    assert str(plain(Decimal(text))) == plainly


def test_keys_are_words_and_come_once() -> None:
    assert unique_keys(["Voltage L1", "Voltage L1", "Energy, rate 1"]) == [
        "voltage_l1",
        "voltage_l1_2",
        "energy_rate_1",
    ]


# --- explanations ----------------------------------------------------------------------------------------------

KINDS = [
    errors.LinkTimeout("no answer", asked="associate"),
    errors.LinkError("connection refused"),
    errors.LinkError("x is not known"),
    errors.LinkError("the host refused the connection"),
    errors.LinkTimeout("no answer to SNRM"),
    errors.LinkTimeout("no identification within 10 s"),
    *(errors.LinkError("it can't be opened", remedy=remedy) for remedy in REMEDIES),
    errors.LinkError("the meter closed the connection without an answer", asked="associate"),
    errors.ProtocolError("garbage"),
    errors.UnbelievableCounter("far above ours"),
    errors.SecurityError("bad tag"),
    errors.MeterBusy("busy"),
    errors.IdentityMismatch("another"),
    errors.AccessDenied("refused", asked="associate"),
    errors.AccessDenied("refused", asked="associate, HLS pass 3"),
    errors.AccessDenied("authentication failed", asked="associate"),
    errors.AccessDenied("application reference: deciphering error", asked="associate"),
    errors.AccessDenied("read-write denied", asked="get"),
    errors.AccessDenied("object undefined", asked="get"),
    errors.SettingsError("no key was given", remedy="HEADEND_SECRET"),
]


def test_every_explanation_is_of_an_error_and_says_the_same_in_each_language() -> None:
    texts = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    assert {symptom(error) for error in KINDS} == texts.keys()
    for name, of in texts.items():
        assert of.keys() == {"en", "hi"}, name
        for part_of in ("causes", "try"):
            assert len(of["en"][part_of]) == len(of["hi"][part_of]) > 0, name
            for english, hindi in zip(of["en"][part_of], of["hi"][part_of], strict=True):
                options = re.findall(r"--\w+|client=\d+|timeout=\d+|`[^`]+`", english)
                assert all(option in hindi for option in options), english
                assert re.search("[ऀ-ॿ]", hindi)


def test_an_explanation_says_what_failed_then_causes_in_order_then_what_to_try() -> None:
    lines = explanation(errors.LinkTimeout("no answer within 10 s", meter="tcp://a:1"))
    assert lines[0].startswith("headend: tcp://a:1: no answer within 10 s")
    assert lines.index("Likely causes, the likeliest first:") < lines.index("Try:")
    assert "  1. The meter has no power, or the probe or modem is not in its place." in lines
    hindi = [getattr(line, "hindi", line) for line in lines]
    assert hindi[0] == lines[0]
    assert "यह करके देखें:" in hindi


def test_an_error_whose_words_say_all_is_not_explained() -> None:
    assert explanation(errors.SettingsError("'x' is not a time")) == ["headend: 'x' is not a time"]
