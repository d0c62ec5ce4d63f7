"""How often Python looks for cycles of garbage in a process that holds much for long.

The one rule: what is loaded at the start stays, and is not looked through again; the rest is looked through as often as
a tenth of a second's work makes it worth. Reference counts free nearly all; left as it is, looking took a fifth of the
CPU of a push.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 50_000
"""Objects made, less those freed, between two looks at the youngest."""
OLDER: Final = 10
OLDEST: Final = 100


def look_seldom() -> None:
    """From now on. Call it when everything is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDEST)
