"""What waits in the spool, as octets, and back: exactly, and never by pickle.

The form follows the dataclasses' own type hints: JSON for everything but arrays, whose octets stand after it. Only what
differs from its default is written, by name, so that a field that is added later (with a default) reads older entries.

    octets 0     version, 1
    octets 1-4   length of the JSON, big-endian
    then         the JSON, the arrays (little-endian, as the JSON counts their elements); all of it deflated

The one rule: what is read back equals what was written; what can't be read is a SpoolError, never half an entry.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from profiles.errors import SpoolError
from profiles.intervals import IntervalBatch

VERSION: Final = 1
LARGEST: Final = 64 << 20
"""Octets of one entry, inflated; more is no entry of ours."""
_HEAD: Final = 5
_UNREADABLE: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What comes of trying to read what was not written here."""

T = TypeVar("T")


def encode(value: object) -> bytes:
    """A `Finished` or another dataclass of plain values. Raises TypeError for what its hints don't allow."""
    arrays: list[bytes] = []
    plain = json.dumps(_plain(value, type(value), arrays), separators=(",", ":")).encode()
    head = bytes([VERSION]) + len(plain).to_bytes(4, "big")
    return zlib.compress(b"".join((head, plain, *arrays)), 1)


def decode(octets: bytes, kind: type[T]) -> T:
    """The value of that dataclass. Raises SpoolError."""
    try:
        whole = _inflate(octets)
        if whole[0] != VERSION:
            raise ValueError(f"its version is {whole[0]}, this program knows {VERSION}")
        end = _HEAD + int.from_bytes(whole[1:_HEAD], "big")
        arrays = _Arrays(whole, end)
        value: T = _value(json.loads(whole[_HEAD:end]), kind, arrays)
        if arrays.at != len(whole):
            raise ValueError("octets are left over")
    except (*_UNREADABLE, zlib.error) as error:
        raise SpoolError(
            f"an entry of the spool can't be read: {type(error).__name__}: {error}",
            remedy="`headend spool export` writes it out as it is",
            retry=False,
        ) from error
    return value


def to_plain(value: object) -> Any:
    """A dataclass without arrays as JSON has it. Raises TypeError for what its hints don't allow."""
    arrays: list[bytes] = []
    plain = _plain(value, type(value), arrays)
    if arrays:
        raise TypeError(f"{type(value).__name__} has arrays, which JSON has not")
    return plain


def from_plain(plain: Any, kind: type[T]) -> T:
    """What `to_plain` was given. Raises ValueError for anything else."""
    try:
        value: T = _value(plain, kind, _Arrays(b"", 0))
    except _UNREADABLE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return value


def _inflate(octets: bytes) -> bytes:
    inflater = zlib.decompressobj()
    whole = inflater.decompress(octets, LARGEST)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("it is cut off, or too large")
    return whole


class _Arrays:
    """The arrays behind the JSON, in the order in which they were written."""

    def __init__(self, octets: bytes, at: int) -> None:
        self._octets = octets
        self.at = at

    def take(self, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        array = np.frombuffer(self._octets, dtype.newbyteorder("<"), count, self.at).astype(dtype)
        self.at += array.nbytes
        return array


class _Field(NamedTuple):
    name: str
    hint: Any
    plain_default: Any
    """Its default as JSON; `_NONE` where it has none."""


_NONE: Final = object()


@cache
def _fields(kind: type[Any]) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    found = []
    for each in dataclasses.fields(kind):
        default: Any = _NONE
        if each.default is not dataclasses.MISSING:
            default = _plain(each.default, hints[each.name], [])
        elif each.default_factory is not dataclasses.MISSING:
            default = _plain(each.default_factory(), hints[each.name], [])
        found.append(_Field(each.name, hints[each.name], default))
    return tuple(found)


@cache
def _shape(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The hint's origin and its arguments: `Mapping[str, int]` → (Mapping, (str, int)), `int` → (int, ())."""
    return get_origin(hint) or hint, get_args(hint)


@cache
def _columns(kind: type[Any]) -> tuple[Any, ...]:
    """The hints of a named tuple's columns."""
    return tuple(get_type_hints(kind).values())


def _elements(arguments: tuple[Any, ...], values: Sequence[Any]) -> Sequence[Any]:
    """The hint of each value of a `tuple[int, ...]` or a `tuple[int, bytes]`."""
    return arguments[:1] * len(values) if arguments[-1] is Ellipsis else arguments


_TO_PLAIN: Final[Mapping[Any, Callable[[Any], Any]]] = {
    int: int,
    float: float,
    bool: bool,
    str: str,
    bytes: bytes.hex,
    Decimal: str,
    datetime: datetime.isoformat,
}
_FROM_PLAIN: Final[Mapping[Any, Callable[[Any], Any]]] = {
    int: int,
    float: float,
    bool: bool,
    str: str,
    bytes: bytes.fromhex,
    Decimal: Decimal,
    datetime: datetime.fromisoformat,
}


def _plain(value: Any, hint: Any, arrays: list[bytes]) -> Any:
    kind, arguments = _shape(hint)
    if kind in _TO_PLAIN:
        return _TO_PLAIN[kind](value)
    if kind is tuple:
        return [_plain(each, of, arrays) for each, of in zip(value, _elements(arguments, value), strict=True)]
    if kind is UnionType or kind is Union:
        return _plain_of_union(value, arguments, arrays)
    if kind is np.ndarray:
        dtype = _dtype(arguments)
        arrays.append(value.astype(dtype.newbyteorder("<"), casting="safe", copy=False).tobytes())
        return len(value)
    if issubclass(kind, Mapping):
        return [[_plain(key, arguments[0], arrays), _plain(each, arguments[1], arrays)] for key, each in value.items()]
    if issubclass(kind, Enum):
        return value.value
    if issubclass(kind, IntervalBatch):
        return _plain_batch(value, arrays)
    if issubclass(kind, tuple):
        return [_plain(each, of, arrays) for each, of in zip(value, _columns(kind), strict=True)]
    if dataclasses.is_dataclass(kind):
        return _plain_fields(value, _fields(value.__class__), arrays)
    raise TypeError(f"a value of {hint} has no form in the spool")


def _plain_fields(value: Any, fields: tuple[_Field, ...], arrays: list[bytes]) -> dict[str, Any]:
    plain = {}
    for name, hint, default in fields:
        of = _plain(getattr(value, name), hint, arrays)
        if default is _NONE or of != default:
            plain[name] = of
    return plain


def _plain_of_union(value: Any, kinds: tuple[Any, ...], arrays: list[bytes]) -> Any:
    """None as it is; one of several kinds of value as a list of its kind's place among them and itself."""
    if value is None:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        return _plain(value, others[0], arrays)
    kind_of = str if isinstance(value, str) else type(value)
    place = next((place for place, kind in enumerate(others) if kind is kind_of), None)
    if place is None:
        raise TypeError(f"{type(value).__name__} is none of {others}")
    return [place, _plain(value, others[place], arrays)]


def _plain_batch(batch: IntervalBatch, arrays: list[bytes]) -> list[dict[str, Any]]:
    """The batch and what lost against it, one after the other: nested, a hostile meter could make it too deep."""
    fields = tuple(each for each in _fields_of_batch() if each.name != "revisions")
    chain: IntervalBatch | None = batch
    plain = []
    while chain is not None:
        plain.append(_plain_fields(chain, fields, arrays))
        chain = chain.revisions
    return plain


def _value(plain: Any, hint: Any, arrays: _Arrays) -> Any:
    kind, arguments = _shape(hint)
    if kind in _FROM_PLAIN:
        return _FROM_PLAIN[kind](plain)
    if kind is tuple:
        return tuple([_value(each, of, arrays) for each, of in zip(plain, _elements(arguments, plain), strict=True)])
    if kind is UnionType or kind is Union:
        return _value_of_union(plain, arguments, arrays)
    if kind is np.ndarray:
        return arrays.take(plain, _dtype(arguments))
    if issubclass(kind, Mapping):
        return {_value(key, arguments[0], arrays): _value(each, arguments[1], arrays) for key, each in plain}
    if issubclass(kind, Enum):
        return kind(plain)
    if issubclass(kind, IntervalBatch):
        return _batch(plain, arrays)
    if issubclass(kind, tuple):
        return kind(*[_value(each, of, arrays) for each, of in zip(plain, _columns(kind), strict=True)])
    return kind(**_field_values(plain, _fields(kind), arrays))


def _field_values(plain: dict[str, Any], fields: tuple[_Field, ...], arrays: _Arrays) -> dict[str, Any]:
    unknown = plain.keys() - {each.name for each in fields}
    if unknown:
        raise ValueError(f"a newer program wrote it: {', '.join(sorted(unknown))} is not known")
    return {each.name: _value(plain[each.name], each.hint, arrays) for each in fields if each.name in plain}


def _value_of_union(plain: Any, kinds: tuple[Any, ...], arrays: _Arrays) -> Any:
    if plain is None:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        return _value(plain, others[0], arrays)
    place, of = plain
    return _value(of, others[place], arrays)


def _batch(plain: list[dict[str, Any]], arrays: _Arrays) -> IntervalBatch:
    fields = _fields_of_batch()
    chain = [_field_values(each, fields, arrays) for each in plain]
    batch: IntervalBatch | None = None
    for each in reversed(chain):
        batch = IntervalBatch(**each, revisions=batch)
    if batch is None:
        raise ValueError("a batch without intervals")
    return batch


def _fields_of_batch() -> tuple[_Field, ...]:
    return _fields(IntervalBatch)


def _dtype(arguments: tuple[Any, ...]) -> np.dtype[Any]:
    """Of the hint `NDArray[np.int64]`, which is `np.ndarray[Any, np.dtype[np.int64]]`."""
    dtype: np.dtype[Any] = np.dtype(get_args(arguments[1])[0])
    return dtype
