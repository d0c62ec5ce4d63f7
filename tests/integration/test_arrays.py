"""numpy arrays as parameters: what the server takes in is what was in the array."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headend.store.database import Connection

ARRAYS = [
    (np.array([-(2**31), 0, 2**31 - 1], np.int32), "integer[]", [-(2**31), 0, 2**31 - 1]),
    (np.array([-(2**63), 2**63 - 1], np.int64), "bigint[]", [-(2**63), 2**63 - 1]),
    (np.array([True, False]), "boolean[]", [True, False]),
    (
        np.array([-1, 1_767_205_800_000_001], "datetime64[us]"),
        "timestamp with time zone[]",
        [
            datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1),
            datetime(2025, 12, 31, 18, 30, 0, 1, tzinfo=UTC),
        ],
    ),
    (np.array([], np.int32), "integer[]", []),
    (np.arange(10, dtype=np.int32)[::3], "integer[]", [0, 3, 6, 9]),
]


@pytest.mark.parametrize(("array", "kind", "elements"), ARRAYS)
async def test_an_array_arrives_whole(
    connection: Connection, array: NDArray[Any], kind: str, elements: list[Any]
) -> None:
    cursor = await connection.execute("SELECT a, pg_typeof(a)::text FROM (SELECT %b) AS t (a)", (array,))
    assert await cursor.fetchone() == (elements, kind)


@pytest.mark.parametrize("array", [np.zeros(2), np.zeros((2, 2), np.int32), np.array(["a"]), np.array([None])])
async def test_other_arrays_are_no_parameters(connection: Connection, array: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="is no parameter"):
        await connection.execute("SELECT %b", (array,))
