"""Noise that is a hash of its own coordinates: the same for any slice of them, asked for in any order.

The one rule: no state and no random generator. Each draw is named by what it is for, so that no two draws depend on
each other.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]


def unit(seed: int, purpose: str, *coordinates: ArrayLike) -> Floats:
    """Noise in [0, 1); coordinates are whole numbers that broadcast against each other, their shape is the result's."""
    state: Hashes = np.array(_origin(seed, purpose))
    with np.errstate(over="ignore"):  # numpy minds overflow where coordinates are single numbers
        for coordinate in coordinates:
            state = _mix(state ^ np.asarray(coordinate).astype(np.uint64))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def name_coordinate(name: str) -> int:
    """A name as a coordinate: it stays the same whatever is added beside it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def choose(draw: Floats, shares: ArrayLike) -> Integers:
    """For each draw in [0, 1) the index that it falls on when the line is cut in proportion to `shares`."""
    edges = np.cumsum(np.asarray(shares, np.float64))
    return np.searchsorted(edges[:-1] / edges[-1], draw, side="right").astype(np.int64)


@lru_cache(maxsize=256)
def _origin(seed: int, purpose: str) -> np.uint64:
    digest = hashlib.blake2b(purpose.encode(), digest_size=8, salt=(seed % 2**64).to_bytes(8, "big")).digest()
    return np.uint64(int.from_bytes(digest, "big"))


def _mix(state: Hashes) -> Hashes:
    """One step of splitmix64 (Steele, Lea, Flood 2014); arithmetic modulo 2**64."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
