"""Raw numbers of a profile column to the integers of a channel.

The one rule: an integer that comes out of here is exactly what the meter said, or its row is marked. Nothing saturates
and nothing wraps: what does not fit in 64 bits is NULL.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_INT64: Final = np.iinfo(np.int64)
_MAX_POWER: Final = 18
"""10**18 is the largest power of ten in 64 bits."""
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """One channel's integers (0 where `null`), and where they are not the whole truth; a mask is None where none is.

    `null`: no value. `rounded`: the value is finer than the channel. `overflow`: it does not fit, and is null.
    `foreign`: it is no number, and is null.
    """

    values: NDArray[np.int64]
    null: NDArray[np.bool_] | None = None
    rounded: NDArray[np.bool_] | None = None
    overflow: NDArray[np.bool_] | None = None
    foreign: NDArray[np.bool_] | None = None


def scale(values: NDArray[Any], null: NDArray[np.bool_] | None, power: int) -> Scaled:
    """`values` (a column's, see `profiles.table.Column`) times 10**power, rounded half to even.

    A float counts as the shortest decimal that names it: 230.1 V is 230 100 mV, and not rounded.
    """
    if values.ndim == 1 and values.dtype.kind in "iu":
        return _with_nulls(_scale_integers(values, power), null)
    if values.ndim == 1 and values.dtype.kind == "f":
        return _with_nulls(_scale_floats(values, power), null)
    return _with_nulls(_scale_objects(values.tolist() if values.ndim == 1 else list(values), power), null)


def exact(value: object, scaler: int) -> Decimal | None:
    """A raw number times ten to the power of `scaler`; None for what is no finite number."""
    if isinstance(value, bool | int | float | np.integer | np.floating):
        number = Decimal(int(value)) if isinstance(value, bool | int | np.integer) else Decimal(str(value))
        return _EXACT.scaleb(number, scaler) if number.is_finite() else None
    return None


def _scale_integers(values: NDArray[Any], power: int) -> Scaled:
    overflow = None
    if values.dtype.itemsize == 8 and values.dtype.kind == "u":
        overflow = _some(values > np.uint64(_INT64.max))
    raw = values.astype(np.int64)
    if power < 0:
        return _divide(raw, -power, overflow)
    factor = 10 ** min(power, _MAX_POWER)
    limit = _INT64.max // factor if power <= _MAX_POWER else 0
    fits = 1 << 8 * values.dtype.itemsize <= limit  # whatever the values are
    if not fits and len(raw) and (raw.max() > limit or raw.min() < -limit):
        overflow = _either(overflow, (raw > limit) | (raw < -limit))
    if overflow is not None:
        raw[overflow] = 0
    return Scaled(raw * factor if factor > 1 else raw, null=overflow, overflow=overflow)


def _divide(raw: NDArray[np.int64], power: int, overflow: NDArray[np.bool_] | None) -> Scaled:
    if overflow is not None:
        raw[overflow] = 0
    if power > _MAX_POWER:
        nearest = np.zeros_like(raw)
        if power == _MAX_POWER + 1:  # 64 bits reach past half of 10**19, and no further
            half = 5 * 10**_MAX_POWER
            nearest += (raw > half).astype(np.int64) - (raw < -half)
        return Scaled(nearest, null=overflow, rounded=_some(raw != 0), overflow=overflow)
    divisor = 10**power
    quotient, rest = np.divmod(raw, divisor)
    if not rest.any():
        return Scaled(quotient, null=overflow, overflow=overflow)
    twice = 2 * rest
    quotient += (twice > divisor) | ((twice == divisor) & (quotient & 1 == 1))
    return Scaled(quotient, null=overflow, rounded=rest != 0, overflow=overflow)


def _scale_floats(values: NDArray[Any], power: int) -> Scaled:
    raw = values.astype(np.float64)
    with np.errstate(all="ignore"):
        wanted = np.rint(raw * 10.0**power if power >= 0 else raw / 10.0**-power)
        fits = np.abs(wanted) < 2.0**63
        result = np.where(fits, wanted, 0).astype(np.int64)
        # The integer is the whole truth if it leads back to the very float that the meter sent.
        back = (result / 10.0**power if power >= 0 else result * 10.0**-power).astype(values.dtype)
    overflow = _some(~fits)
    return Scaled(result, null=overflow, rounded=_some(fits & (back != values)), overflow=overflow)


def _scale_objects(values: list[Any], power: int) -> Scaled:
    rows = len(values)
    result = np.zeros(rows, np.int64)
    rounded, overflow, foreign, null = (np.zeros(rows, np.bool_) for _ in range(4))
    for row, value in enumerate(values):
        number = exact(value, power)
        if number is None:
            null[row] = True
            overflow[row] = isinstance(value, float)
            foreign[row] = value is not None and not overflow[row]
            continue
        whole = number.to_integral_value(ROUND_HALF_EVEN, _EXACT)
        if _INT64.min <= whole <= _INT64.max:
            result[row] = int(whole)
            rounded[row] = whole != number
        else:
            null[row] = overflow[row] = True
    return Scaled(result, _some(null), _some(rounded), _some(overflow), _some(foreign))


def _with_nulls(scaled: Scaled, null: NDArray[np.bool_] | None) -> Scaled:
    """The same with the meter's own nulls, which are neither rounded nor too large."""
    if null is None:
        return scaled
    scaled.values[null] = 0
    return Scaled(
        scaled.values,
        _either(scaled.null, null),
        *(None if mask is None else _some(mask & ~null) for mask in (scaled.rounded, scaled.overflow, scaled.foreign)),
    )


def _some(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return mask if mask.any() else None


def _either(one: NDArray[np.bool_] | None, other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return other if one is None else one | other
