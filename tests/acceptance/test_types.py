"""`headend types`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from terminal import HEADEND, LIMIT_S

from profiles.loader import meter_types


def types(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [str(HEADEND), "types", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == code, done.stderr
    return done


def as_json(*arguments: str) -> Any:
    return json.loads(types(*arguments, "--json").stdout)


def test_all_types_are_listed() -> None:
    assert [one["name"] for one in as_json()] == meter_types()
    table = types().stdout
    for name in meter_types():
        assert f" {name} " in table


def test_a_type_is_explained_with_its_doubts_and_quirks() -> None:
    text = types("is15959-ltct").stdout
    for words in (
        "meter_reader",
        "1.0.99.1.0.255",
        "0.4.25.9.0.255",
        "values are primary",
        "zero-filled",
        "- Columns and order",
    ):
        assert words in text
    assert "lt-deviation: The deviation counts" in text
    document = as_json("is15959-ltct")
    billing = document["profiles"]["billing"]["columns"]
    assert len(billing) == 116
    assert billing[2] == {
        "object": "3/1.0.1.8.0.255/2",
        "name": "Active energy import",
        "scaler": None,
        "unit": "Wh",
    }
    assert document["push_rules"]["covers"] == ["authentication-and-encryption"]
    assert {"name", "title", "maker"} == set(document["known_quirks"][0])


def test_the_columns_of_a_profile_and_of_a_push_are_shown() -> None:
    text = types("is15959-1ph", "block_load").stdout
    assert "3/1.0.12.27.0.255/2" in text
    assert as_json("is15959-1ph", "daily_load")["capture_period_s"] == 86_400
    assert as_json("is15959-1ph", "alert")["columns"][3]["object"] == "1/0.0.94.91.18.255/2"
    assert "only the meter knows its columns" in types("generic-dlms", "billing").stdout
    assert "it has nameplate, instantaneous" in types("is15959-1ph", "lode", code=3).stderr


def test_quirks_come_by_name_and_by_nameplate() -> None:
    assert as_json("is15959-1ph+no-release")["session_habit"]["release"] is False
    assert as_json("is15959-ltct", "--maker", "Larsen & Toubro")["quirks"] == ["lt-deviation", "lt-fixed-scalers"]
    assert "--maker needs a meter type" in types("--maker", "L&T", code=2).stderr


def test_a_right_file_is_explained_and_a_wrong_one_refused_by_line_and_key(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('extends = "is15959-1ph"\ntitle = "Ours"\n\n[profiles.block_load]\ncapture_period_s = 1800\n')
    assert "ours: Ours" in types(str(file)).stdout
    file.write_text(file.read_text().replace("1800", "18"))
    refused = types(str(file), code=3).stderr
    assert (
        refused == f"headend: {file}:5: profiles.block_load.capture_period_s: must be a whole number from 60 to 86400\n"
    )
    assert "no meter type 'nothing'" in types("nothing", code=3).stderr
