"""Entries of the spool for people and other programs: JSON that names everything.

The one rule: nothing is left out; what can't be read is given as its octets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from headend.spool.encoding import decode
from headend.spool.entries import KINDS
from headend.spool.file import SetAside
from profiles.errors import SpoolError


def exported(entry_id: int, kind: str, octets: bytes, refused: SetAside | None) -> dict[str, Any]:
    """An entry as JSON has it: numbers of `Decimal` as texts, octets in hex, times as ISO 8601, arrays as lists.

    `content` is null where the entry can't be read; `octets` are then the entry as it stands in the file.
    """
    of_kind = {name: entry for entry, name in KINDS.items()}
    told: dict[str, Any] = {"id": entry_id, "kind": kind}
    if refused is not None:
        told |= {"at": refused.at, "origin": refused.origin, "error": refused.error, "failed_at": refused.failed_at}
    try:
        return told | {"content": _plain(decode(octets, of_kind[kind]))}
    except (SpoolError, KeyError):
        return told | {"content": None, "octets": octets.hex()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _key(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _key(parts: tuple[Any, ...]) -> str:
    """`(3, Obis(1, 0, 1, 8, 0, 255), 2)` → `3/1.0.1.8.0.255/2`, octets in hex."""
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in parts)
