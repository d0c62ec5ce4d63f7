"""The spool's file: SQLite in WAL mode with `synchronous=FULL`, shared by all processes of one machine.

The one rule: a call ends with all of it on the disk, or with none of it and a SpoolError. A bound on size and a floor
of free disk are kept before anything is written; several processes may append, list and remove at once, and one of
them at a time replays (`claim`). Calls block: all of them belong into one thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from headend.spool.entries import Row
from profiles.errors import SpoolError

NAME: Final = "spool.db"
VERSION: Final = 1
BUSY_S: Final = 10.0
"""How long another process may hold the file."""
MOST_AT_ONCE: Final = 10_000
"""Entries of one read."""
ROW_OVERHEAD: Final = 256
"""Octets that an entry takes beside its own, at most: columns, indexes, the rest of a page."""
MB: Final = 1 << 20
REMOVAL: Final = 1 * MB
"""Of the disk, kept free beside the floor: to remove entries is written to the log first as well."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
REMOVED_AT_ONCE: Final = 200
"""Entries that go by one transaction, which is to fit into `REMOVAL`."""


class Found(NamedTuple):
    """An entry that waits."""

    id: int
    weight: int
    octets: bytes


class SetAside(NamedTuple):
    """An entry that was refused without hope; `octets` counts them."""

    id: int
    kind: str
    at: str
    origin: str
    octets: int
    error: str
    failed_at: str


@dataclass(frozen=True, slots=True)
class Size:
    """`waiting` entries by kind, `octets` that they and what was set aside take, of at most `limit`."""

    waiting: Mapping[str, int]
    octets: int
    limit: int
    oldest_at: datetime | None = None
    """Since when the first of those that wait does; None: none waits."""


class SpoolFile:
    """The file in `folder`, which is made where it is missing; readable by its owner alone."""

    def __init__(self, folder: Path, *, max_mb: int, min_free_mb: int) -> None:
        self._folder = folder
        self._limit = max_mb * MB
        self._min_free = min_free_mb * MB
        self._claims: dict[str, int] = {}
        with self._errors():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._connection = sqlite3.connect(folder / NAME, timeout=BUSY_S, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Give back the file and all claims."""
        for kind in list(self._claims):
            self.release(kind)
        with self._errors():
            self._connection.close()

    def append(self, rows: Sequence[Row]) -> None:
        """All of them, in this order, or none."""
        self.check_room(sum(len(row.octets) + ROW_OVERHEAD for row in rows))
        with self._transaction():
            self._connection.executemany(_sql("append"), [row._asdict() for row in rows])

    def check_room(self, octets: int) -> None:
        """Raises SpoolError where so many more have no place."""
        with self._errors():
            used, unused = self._pages()
        if used + octets > self._limit:
            raise SpoolError(f"the spool in {self._folder} is full: it holds {used // MB} of {self._limit // MB} MB")
        needed = self._min_free + REMOVAL + max(0, octets - unused) + octets  # written to the log first
        with self._errors():
            free = self._free(used + unused)
            if free < needed:
                self._connection.execute(_sql("empty_log")).fetchall()
                free = self._free(used + unused)
        if free < needed:
            raise SpoolError(
                f"the disk of the spool in {self._folder} is full: {free // MB} MB are free, and "
                f"{self._min_free // MB} are left to others (spool.min_free_mb)"
            )

    def oldest(self, kind: str, weight: int) -> list[Found]:
        """Those that wait longest, until their weights reach `weight`: at least one if any waits."""
        found: list[Found] = []
        with self._errors():
            cursor = self._connection.execute(_sql("oldest"), {"kind": kind, "limit": MOST_AT_ONCE})
            for row in map(Found._make, cursor):
                if found and weight < row.weight:
                    break
                found.append(row)
                weight -= row.weight
            cursor.close()
        return found

    def any_waiting(self, kind: str) -> bool:
        """Whether any waits, whichever process put it there."""
        with self._errors():
            return bool(self._connection.execute(_sql("any_waiting"), {"kind": kind}).fetchone()[0])

    def remove(self, ids: Sequence[int]) -> None:
        """Forget what is stored; some of it may be gone when a disk refuses the rest."""
        for first in range(0, len(ids), REMOVED_AT_ONCE):
            with self._errors():
                if shutil.disk_usage(self._folder).free < REMOVAL:
                    self._connection.execute(_sql("empty_log")).fetchall()
            with self._transaction():
                some = ids[first : first + REMOVED_AT_ONCE]
                self._connection.executemany(_sql("remove"), [{"id": each} for each in some])

    def set_aside(self, ids: Sequence[int], error: str, at: datetime) -> None:
        """Let them wait for a person instead."""
        rows = [{"id": each, "error": error, "failed_at": at.isoformat()} for each in ids]
        with self._transaction():
            self._connection.executemany(_sql("set_aside"), rows)

    def retry(self, ids: Sequence[int]) -> int:
        """Let what was set aside wait for the database again, in its old place; how many of them there were."""
        return self._change("retry", ids)

    def drop(self, ids: Sequence[int]) -> int:
        """Forget what was set aside for ever; how many of them there were."""
        return self._change("drop", ids)

    def list_set_aside(self, after: int = 0, limit: int = MOST_AT_ONCE) -> list[SetAside]:
        """What was set aside, by number, from the one after `after` on."""
        with self._errors():
            rows = self._connection.execute(_sql("set_aside_list"), {"after": after, "limit": limit}).fetchall()
        return [SetAside._make(row) for row in rows]

    def octets(self, entry_id: int) -> tuple[str, bytes] | None:
        """Kind and octets of an entry; None where there is none."""
        with self._errors():
            row: tuple[str, bytes] | None = self._connection.execute(_sql("octets"), {"id": entry_id}).fetchone()
        return row

    def size(self) -> Size:
        """What waits, and how much room it takes."""
        with self._errors():
            rows: list[tuple[str, int, str]] = self._connection.execute(_sql("counts")).fetchall()
            used, _ = self._pages()
        oldest = min((datetime.fromisoformat(at) for _, _, at in rows), default=None)
        return Size({kind: entries for kind, entries, _ in rows}, used, self._limit, oldest)

    def shrink(self) -> bool:
        """Give some unused pages back to the disk; whether there are more."""
        with self._errors():
            _, unused = self._pages()
            self._connection.execute("PRAGMA incremental_vacuum(4096)").fetchall()
            _, left = self._pages()
        return 0 < left < unused

    def claim(self, kind: str) -> bool:
        """Whether this process may replay entries of that kind now; it may until `release`, or its end."""
        with self._errors():
            lock = os.open(self._folder / f"{kind}.replay", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
        self._claims[kind] = lock
        return True

    def release(self, kind: str) -> None:
        """Let other processes replay."""
        os.close(self._claims.pop(kind))

    def _prepare(self) -> None:
        with self._errors():
            self._connection.executescript(_sql("open"))
        with self._transaction():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise SpoolError(
                    f"a newer program made {self._folder / NAME} (form {version})",
                    remedy="run that program, or set spool.folder to another folder",
                    retry=False,
                )
            for name in ("schema_entry", "schema_waiting", "schema_set_aside", "schema_version"):
                self._connection.execute(_sql(name))

    def _free(self, size: int) -> int:
        """Octets of the disk that are free, and not needed to bring what is in the log to its place in the file."""
        return shutil.disk_usage(self._folder).free - max(0, size - (self._folder / NAME).stat().st_size)

    def _pages(self) -> tuple[int, int]:
        """Octets in use, and octets of the file that are not."""
        size, count, unused = self._connection.execute(_sql("pages")).fetchone()
        return (count - unused) * size, unused * size

    def _change(self, name: str, ids: Sequence[int]) -> int:
        with self._transaction():
            return sum(self._connection.execute(_sql(name), {"id": each}).rowcount for each in ids)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has undone it by itself
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            damaged = getattr(error, "sqlite_errorcode", 0) in _DAMAGED
            remedy = f"move {self._folder / NAME} and its -wal away and start again" if damaged else ""
            raise SpoolError(f"the spool in {self._folder}: {error}", remedy=remedy, retry=not damaged) from error
        except OSError as error:
            raise SpoolError(
                f"the spool in {self._folder}: {error.strerror or error}",
                remedy="see the folder of spool.folder",
            ) from error


@cache
def _sql(name: str) -> str:
    """The statement in `sql/<name>.sql`."""
    return (files("headend.spool") / "sql" / f"{name}.sql").read_text()
