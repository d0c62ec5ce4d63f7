"""A session file on a disk: written, and read again without trusting it.

The one rule: nothing is unpacked, parsed or believed beyond a bound: how many members, how large each may become, and
that each is what the manifest says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NoReturn, TypeVar

from headend.session_file.checks import check_contents
from headend.session_file.contents import FORMAT, Answers, Manifest, Member, SessionFile, Tables
from headend.session_file.texts import hindi_of, in_both
from headend.spool.encoding import from_plain, to_plain
from profiles.errors import SettingsError
from profiles.whole_file import check_file

MANIFEST: Final = "manifest.json"
TABLES: Final = "tables.json"
ANSWERS: Final = "answers.json"
TRANSCRIPT: Final = "transcript.txt"
LIMITS: Final = {MANIFEST: 64 << 10, TABLES: 16 << 20, ANSWERS: 16 << 20, TRANSCRIPT: 128 << 20}
"""Octets that a member may have, unpacked."""
LARGEST: Final = 64 << 20
"""Octets that the whole file may have."""

_EOCD: Final = 22
"""Octets of the end of central directory record, without a comment."""
_LOCATOR: Final = 20
_LARGEST_DIRECTORY: Final = 4096
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""The manifest tells the time; that of the zip has neither a zone nor every second."""

T = TypeVar("T")


def write_session_file(file: IO[bytes], kept: SessionFile) -> None:
    """Write it; the manifest's `members` are made here. SettingsError where it is too large to be read again."""
    octets = {
        TABLES: _to_json(Tables(kept.readout, hindi_of(kept.readout))),
        ANSWERS: _to_json(Answers(kept.answers)),
        TRANSCRIPT: kept.transcript,
    }
    plain = to_plain(kept.manifest)
    plain["members"] = [to_plain(Member(name, len(of), hashlib.sha256(of).hexdigest())) for name, of in octets.items()]
    octets = {MANIFEST: json.dumps(plain, indent=2, ensure_ascii=False).encode(), **octets}
    for name, of in octets.items():
        if len(of) > LIMITS[name]:
            raise SettingsError(f"{name} would have {len(of)} octets", remedy="read less at once: a shorter time")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, of in octets.items():
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.external_attr = 0o600 << 16
            archive.writestr(info, of, zipfile.ZIP_DEFLATED)


def read_session_file(path: Path) -> SessionFile:
    """What was written. SettingsError says what is wrong with any other file."""
    try:
        check_file(path)
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror or error}") from None
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", remedy=error.remedy) from None


def _read(file: IO[bytes]) -> SessionFile:
    _check_directory(file)
    with _damage(), zipfile.ZipFile(file) as archive:
        names = [info.filename for info in archive.infolist()]
        if sorted(names) != sorted(LIMITS):
            raise SettingsError(f"it is no session file: it holds {', '.join(map(_shown, names)) or 'nothing'}")
        octets = {name: _unpacked(archive, name) for name in LIMITS}
    plain = _parsed(MANIFEST, octets[MANIFEST])
    _check_format(plain)
    manifest = _value(MANIFEST, plain, Manifest)
    _check_sums(manifest, octets)
    tables = _value(TABLES, _parsed(TABLES, octets[TABLES]), Tables)
    answers = _value(ANSWERS, _parsed(ANSWERS, octets[ANSWERS]), Answers).answers
    check_contents(manifest, tables, answers, octets[TRANSCRIPT])
    return SessionFile(manifest, in_both(tables.readout, tables.hindi), answers, octets[TRANSCRIPT])


def _check_directory(file: IO[bytes]) -> None:
    """The directory of a zip is read whole before a name of it is known: it has to be as small as ours is."""
    size = file.seek(0, 2)
    if size > LARGEST:
        raise SettingsError(f"{size} octets are more than a session file has ({LARGEST})")
    file.seek(max(0, size - _EOCD - _LOCATOR))
    tail = file.read()
    end = tail[-_EOCD:]
    if len(end) < _EOCD or not end.startswith(b"PK\5\6") or end[-2:] != b"\0\0":
        raise SettingsError(
            "it is no session file, or its end is missing", remedy="copy it again, as a binary file; see its size"
        )
    directory = int.from_bytes(end[12:16], "little")
    if directory > _LARGEST_DIRECTORY or tail[:-_EOCD].startswith(b"PK\6\7"):
        raise SettingsError("it is no session file: its directory is larger than that of four members")


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SettingsError(f"it is damaged: {error}", remedy="copy it again, as a binary file") from None


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SettingsError(f"{name} is packed in a way that session files are not")
    with archive.open(name) as member:
        octets = member.read(LIMITS[name] + 1)
    if len(octets) > LIMITS[name]:
        raise SettingsError(f"{name} unpacks to more than {LIMITS[name]} octets")
    return octets


def _check_format(plain: Any) -> None:
    found = plain.get("format") if isinstance(plain, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise SettingsError(f"{MANIFEST} does not say its format")
    if found != FORMAT:
        raise SettingsError(
            f"it has format {found}, this program knows format {FORMAT}", remedy="open it with a newer headend"
        )


def _check_sums(manifest: Manifest, octets: dict[str, bytes]) -> None:
    said = {member.name: member for member in manifest.members}
    for name in (TABLES, ANSWERS, TRANSCRIPT):
        if name not in said or len(said) != len(manifest.members):
            raise SettingsError(f"{MANIFEST} does not say once what {name} is")
        if said[name].sha256 != hashlib.sha256(octets[name]).hexdigest():
            raise SettingsError(f"{name} is not what {MANIFEST} says: its SHA-256 is another", remedy="copy it again")


def _to_json(value: object) -> bytes:
    return json.dumps(to_plain(value), separators=(",", ":"), ensure_ascii=False).encode()


def _parsed(name: str, octets: bytes) -> Any:
    try:
        return json.loads(octets.decode(), parse_constant=_no_number)
    except RecursionError:
        raise SettingsError(f"{name} is nested too deep") from None
    except ValueError as error:
        raise SettingsError(f"{name} is no JSON: {error}") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _value(name: str, plain: Any, kind: type[T]) -> T:
    try:
        return from_plain(plain, kind)
    except ValueError as error:
        raise SettingsError(f"{name} is not as a session file has it: {_shown(str(error))}") from None


def _shown(text: str) -> str:
    """Of a text that anybody may have written, what is good for a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text[:120])
