"""What docs/reference.md and the sample settings say is what the program does."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

from pydantic import BaseModel
from typer.main import get_command

from headend.cli.main import app
from headend.demo.compare import DifferenceError
from headend.meter_list import COLUMNS
from headend.settings import Settings, load_settings
from headend.store.rows import Source
from profiles import errors
from profiles.intervals import Quality

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def test_every_exit_code_is_explained() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HeadEndError)]
    used = {0, 2, 130, DifferenceError.exit_code} | {kind.exit_code for kind in kinds}
    section = REFERENCE.split("## Exit codes")[1].split("##")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == used


def test_every_command_and_no_other_is_listed() -> None:
    names = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        names |= {f"{name} {each}" for each in below} or {name}
    section = REFERENCE.split("## Commands")[1].split("**Addresses.**")[0]
    listed = set()
    for cell in re.findall(r"^\| (`headend .*?) \|", section.replace("\\|", "/"), re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        words = first.split()
        listed |= {" ".join(words[1:3]) if " ".join(words[1:3]) in names else words[1]} | {
            f"{words[1]} {other.split()[0]}" for other in others
        }
    assert listed == names


def test_the_page_of_commands_says_what_their_help_says() -> None:
    page = runpy.run_path(str(ROOT / ".ci" / "commands.py"))["page"]
    assert (ROOT / "docs" / "commands.md").read_text() == page(), "`make docs` makes it anew"


def test_every_column_of_the_meter_list_is_explained() -> None:
    section = REFERENCE.split("## Meter list")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(COLUMNS)


def test_every_quality_bit_and_source_is_explained() -> None:
    section = REFERENCE.split("`quality` is a sum of bits")[1]
    for mark in Quality:
        assert re.search(rf"\b{mark.value} {mark.name.lower().replace('_', ' ')}", section.replace("\n", " "))  # type: ignore[union-attr]
    for source in Source:
        assert f"{source.value} {source.name.lower().replace('_', ' ')}" in section


def test_the_sample_settings_hold_every_key_with_its_default() -> None:
    sample = ROOT / "config" / "headend.toml"
    assert load_settings(sample) == Settings()
    spelt_out = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", sample.read_text(), flags=re.MULTILINE))
    for name, field in Settings.model_fields.items():
        default = field.default
        if not isinstance(default, BaseModel):
            continue
        for key, value in default.model_dump(mode="json").items():
            if value is not None:
                assert spelt_out[name][key] == value, f"{name}.{key}"
            else:
                assert key in spelt_out[name]
