"""numpy arrays as parameters: PostgreSQL's binary form of an array in one block, with no Python object an element.

The one rule: int32, int64, bool and datetime64[us] (UTC, as timestamptz) get through; anything else is a TypeError.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import postgres
from psycopg.abc import DumperKey
from psycopg.adapt import AdaptersMap, Dumper, PyFormat
from psycopg.pq import Format

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC, from which PostgreSQL counts, in microseconds since 1970."""

_TYPES: Final = {
    "<i4": ("int4", ">i4"),
    "<i8": ("int8", ">i8"),
    "|b1": ("bool", "u1"),
    "<M8[us]": ("timestamptz", ">i8"),
}


class ArrayDumper(Dumper):
    """One dimension, no NULLs (PostgreSQL source, array_send)."""

    format = Format.BINARY

    def get_key(self, obj: NDArray[Any], format: PyFormat) -> DumperKey:
        return (self.cls, obj.dtype.str)  # type: ignore[return-value]  # any hashable serves

    def upgrade(self, obj: NDArray[Any], format: PyFormat) -> ArrayDumper:
        if obj.dtype.str not in _TYPES or obj.ndim != 1:
            raise TypeError(f"an array of {obj.dtype}, {obj.ndim} dimensions, is no parameter")
        dumper = ArrayDumper(self.cls)
        dumper.oid = postgres.types[_TYPES[obj.dtype.str][0]].array_oid
        return dumper

    def dump(self, obj: NDArray[Any]) -> bytes:
        name, wire = _TYPES[obj.dtype.str]
        if name == "timestamptz":
            obj = obj.astype(np.int64) - POSTGRES_EPOCH_US
        out = np.empty(len(obj), np.dtype([("length", ">i4"), ("value", wire)]))
        out["length"] = np.dtype(wire).itemsize
        out["value"] = obj
        dimensions = 1 if len(obj) else 0
        header = struct.pack(">iiI", dimensions, 0, postgres.types[name].oid)
        return header + struct.pack(">ii", len(obj), 1) * dimensions + out.tobytes()


def register(adapters: AdaptersMap) -> None:
    """Let a connection take numpy arrays as `%(name)b`."""
    adapters.register_dumper(np.ndarray, ArrayDumper)
