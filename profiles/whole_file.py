"""Files that are written whole or not at all: beside their place first, then moved there.

The one rule: what stands in the place and is no file (a device, a pipe, a terminal, a folder) is refused, never
replaced by a file, and neither read, since it may never end, nor waited for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def check_file(place: Path) -> None:
    """OSError where something other than a file stands there; nothing at all may."""
    if place.exists() and not place.is_file():
        raise OSError(errno.EINVAL, "it is not a file")


@contextmanager
def written_whole(place: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place, with the permissions `mode`, once the block has ended without an error.

    OSError where it can't be written, or what is there is no file.
    """
    check_file(place)
    unfinished = place.with_name(f".{place.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
