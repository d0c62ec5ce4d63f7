"""Where this user's own files lie, and the names of the meters in the book, for who needs no more of it.

The one rule: nothing here looks at keys or loads what opens them, so that the completion of a command line is quick and
asks for nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

BOOK_VARIABLE: Final = "HEADEND_BOOK"
_MOST_OCTETS: Final = 16 * 1024 * 1024


def default_counter_file() -> Path:
    """`$XDG_STATE_HOME/headend/counters.json`, or its place under ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "headend" / "counters.json"


def default_book() -> Path:
    """The file that HEADEND_BOOK names, else `book.json` beside the usual counter file."""
    named = os.environ.get(BOOK_VARIABLE)
    return Path(named) if named else default_counter_file().with_name("book.json")


def names_in_book(beginning: str = "") -> list[str]:
    """The names that begin so, in order; none where there is no book, or no whole one."""
    file = default_book()
    try:
        if not file.is_file() or file.stat().st_size > _MOST_OCTETS:
            return []
        return sorted(name for name in json.loads(file.read_bytes())["meters"] if name.startswith(beginning))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
