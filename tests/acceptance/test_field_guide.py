"""The commands of docs/field-guide.md, typed one after the other, say what the guide shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from terminal import HEADEND, Terminal, free_port
from window import Window

GUIDE = Path(__file__).parents[2] / "docs" / "field-guide.md"
PORTS = ("4059", "4060")
"""Those of the guide; the test has others, that are free."""
ENTER, CTRL_C, LEFT_OUT = "⏎", "^C", "…"

_NUMBER = r"(?<![\w./:#-])[-+]?\d[\d.,:+-]*(?:T[\d:+]+)?(?![\w/])"
_VARIES = (
    (r"[┤│].*│", "│"),  # a curve
    (r"└.*┘", "└┘"),
    (r"─+", "─"),
    (r"[▁-█]+", "▁"),
    (_NUMBER, "0"),
    (r"(ahead of|behind) this machine", "off"),  # it tells whole seconds
    (r"tcp://(\S+):\d+", r"tcp://\1"),
    (r"127[.\d]+:\d+", "127"),
    (r" +", " "),
)


@dataclass(frozen=True)
class Block:
    """What is typed and shown in one window, without a break. `lines`: of the guide; what is typed begins with `$`."""

    window: str
    line: int
    lines: list[str]


def blocks(text: str) -> Iterator[Block]:
    for fence in re.finditer(r"^```console(?: window=(\w+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(fence[1] or "main", text[: fence.start()].count("\n") + 2, fence[2].splitlines())


def alike(line: str) -> str:
    """The line without what is another on each day and each machine."""
    for pattern, instead in _VARIES:
        line = re.sub(pattern, instead, line)
    return line.strip()


def pattern_of(lines: list[str]) -> str:
    """What the lines that are shown have to match, each ended by a line's end."""
    pattern = ""
    for line in lines:
        if line == LEFT_OUT:
            pattern += r"(?:[^\n]*\n)*?"
        elif line == CTRL_C:
            pattern += r"[^\n]*"  # a prompt may stand on the same line
        elif line.endswith(ENTER):
            question, answer = answered(line)
            pattern += re.escape(alike(question)) + f"(?: ?{re.escape(answer)})?\n"
        elif line.endswith(LEFT_OUT):
            pattern += re.escape(alike(line.removesuffix(LEFT_OUT))) + r"[^\n]*\n"
        elif line.strip():
            pattern += re.escape(alike(line)) + "\n"
    return pattern


def answered(line: str) -> tuple[str, str]:
    """The question that the program asks, and the answer to it."""
    question, colon, answer = line.removesuffix(ENTER).partition(": ")
    return question + colon.rstrip(), answer


def plays(window: Window, block: Block, ports: dict[str, str]) -> None:
    """Type it, and wait for each thing that it shows."""
    expected: list[str] = []

    def shows(lines: list[str]) -> None:
        pattern, what = re.compile(pattern_of(lines)), f"line {block.line} of the guide and on: {lines[-3:]}"

        def enough(found: list[str]) -> bool:
            fits = pattern.fullmatch("".join(f"{alike(line)}\n" for line in found)) is not None
            if found[-1:] == ["$"] and not fits:
                pytest.fail(f"it ended otherwise than {what}", pytrace=False)
            return fits

        window.waits(enough, what)

    for line in block.lines:
        if line.startswith("$ "):
            if expected:
                shows([*expected, "$"])
            window.wipe()
            command = line.removeprefix("$ ")
            for ours, theirs in ports.items():
                command = command.replace(ours, theirs)
            expected = [command]
            window.types(f"{command}\n")
        elif line == CTRL_C:
            if expected:
                shows(expected)
            expected.append(line)
            window.types("\x03")
        elif line.endswith(ENTER):
            question, answer = answered(line)
            shows([*expected, question])
            expected.append(line)
            window.types(f"{answer}\n")
        else:
            expected.append(line)
    ends = block.window == "main" or CTRL_C in expected
    shows([*expected, "$"] if ends else expected)
    window.wipe()


@pytest.mark.timeout(300)
def test_every_command_of_the_field_guide_does_what_the_guide_shows(terminal: Terminal) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    ports = {port: str(free_port()) for port in PORTS}
    ports["headend simulate"] = f"headend simulate --port {ports['4059']}"
    environment = terminal.environment | {
        "PATH": f"{HEADEND.parent}:{terminal.environment['PATH']}",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "LANG": "C.UTF-8",
    }
    windows: dict[str, Window] = {}
    try:
        for block in blocks(text):
            if block.window not in windows:
                windows[block.window] = Window(terminal.folder, environment)
            plays(windows[block.window], block, ports)
    finally:
        for window in windows.values():
            window.close()
    assert set(windows) == {"main", "meters", "listen"}
    assert text.count("\n```console") == len(list(blocks(text)))
