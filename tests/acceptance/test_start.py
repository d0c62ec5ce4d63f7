"""What starts at once loads nothing heavy; and bash completes commands, words and the names of saved meters."""

from __future__ import annotations

import json
import subprocess
import sys

from many import Many
from terminal import Terminal

HEAVY = ("numpy", "psycopg", "pyarrow", "cryptography", "serial", "rich", "structlog", "paho", "headend.book")
"""What a help text or a completion has no use for."""
LOADED = """
import contextlib, io, json, os, sys
from headend.cli.main import main
sys.argv[0], said = "headend", io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    main()
print(json.dumps([said.getvalue(), sorted(sys.modules)]))
"""


def loading(terminal: Terminal, *arguments: str, **environment: str) -> tuple[str, set[str]]:
    """What the program says, and the modules that it loaded for that."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=terminal.folder,
        env=terminal.environment | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said, modules = json.loads(done.stdout)
    return said, set(modules)


def completed(terminal: Terminal, line: str) -> tuple[list[str], set[str]]:
    """What bash is offered at the end of this line, and the modules loaded for that."""
    words = line.split(" ")
    asked = {"_HEADEND_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    said, modules = loading(terminal, **asked)
    return said.split(), modules


def test_help_and_completion_load_nothing_heavy_and_names_of_the_book_are_completed_without_its_passphrase(
    terminal: Terminal,
) -> None:
    many = Many(terminal)
    for name in ("pole-17", "pole-18", "pump"):
        many.run("book", "add", name, "tcp://127.0.0.1:4059", "--lls-secret", "env:PASSWORD", PASSWORD="SECRET12",
                 HEADEND_BOOK_PASSPHRASE="correct horse battery")  # fmt: skip
    assert [code for code, _, _ in many.outcomes()] == [0, 0, 0]

    for arguments, told in (("--help",), "Commands:"), (("read", "--help"), "--last"), (("check", "-h"), "--days"):
        said, modules = loading(terminal, *arguments)
        assert told in said
        assert not modules & set(HEAVY), arguments

    for line, offered in (
        ("headend re", {"read", "relay"}),
        ("headend read po", {"pole-17", "pole-18"}),
        ("headend relay pu", {"pump"}),
        ("headend get pole-18", {"pole-18"}),
        ("headend book remove p", {"pole-17", "pole-18", "pump"}),
        ("headend read pole-17 b", {"block-load", "billing"}),
        ("headend relay pole-17 o", {"on", "off"}),
        ("headend read pole-17 now --re", {"--report"}),
    ):
        found, modules = completed(terminal, line)
        assert offered <= set(found), line
        assert not modules & set(HEAVY), line

    book = terminal.folder / "state" / "headend" / "book.json"
    book.write_text("[]")
    assert completed(terminal, "headend read po")[0] == []
