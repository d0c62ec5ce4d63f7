"""What waits in the spool comes back as it was: every kind of thing, to the bit, and older entries for ever."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headend.spool.encoding import decode, encode
from headend.spool.entries import RawApdu, weight
from headend.store.finished import Contact, Finished, MeterEvent
from headend.store.rows import MeterIntervals, Source
from profiles.errors import SpoolError
from profiles.intervals import IntervalBatch

INDIA = timezone(timedelta(hours=5, minutes=30))
AT = datetime(2026, 1, 31, 6, 15, tzinfo=UTC)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
    Decimal: st.decimals(allow_nan=False),
    datetime: st.datetimes(timezones=st.sampled_from([UTC, INDIA])),
}


def of_hint(hint: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a type hint of `Finished`, all its optional fields filled; those that lost an interval two deep."""
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is np.ndarray:
        dtype = np.dtype(get_args(arguments[1])[0])
        numbers = st.booleans() if dtype.kind == "b" else st.integers(np.iinfo(dtype).min, np.iinfo(dtype).max)
        return st.lists(numbers, max_size=5).map(lambda values: np.array(values, dtype))
    if kind in (UnionType, Union):
        rest = [
            of_hint(each, depth) for each in arguments if each is not NoneType and (each, depth) != (IntervalBatch, 3)
        ]
        return st.one_of(st.none(), *rest) if NoneType in arguments else st.one_of(*rest)
    if kind is tuple and arguments[-1] is Ellipsis:
        return st.lists(of_hint(arguments[0], depth), max_size=2).map(tuple)
    if kind is tuple:
        return st.tuples(*(of_hint(each, depth) for each in arguments))
    if issubclass(kind, Mapping):
        return st.dictionaries(*(of_hint(each, depth) for each in arguments), max_size=2)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    fields = {name: of_hint(each, depth + (kind is IntervalBatch)) for name, each in get_type_hints(kind).items()}
    return st.builds(kind, **fields)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    elif dataclasses.is_dataclass(one):
        for each in dataclasses.fields(one):
            assert_same(getattr(one, each.name), getattr(other, each.name))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, Decimal):
        assert one.as_tuple() == other.as_tuple()
    elif isinstance(one, datetime):
        assert (one, one.utcoffset()) == (other, other.utcoffset())
    else:
        assert one == other


@settings(max_examples=100, deadline=None)
@given(of_hint(Finished))
def test_every_kind_of_what_came_in_is_read_back_to_the_bit(finished: Finished) -> None:
    assert_same(decode(encode(finished), Finished), finished)


@given(of_hint(RawApdu))
def test_an_apdu_is_read_back_with_its_time_its_link_and_its_peer(apdu: RawApdu) -> None:
    assert decode(encode(apdu), RawApdu) == apdu


def test_what_lost_one_interval_a_thousand_times_is_kept_a_thousand_deep() -> None:
    batch = None
    for value in range(1500):
        batch = IntervalBatch(
            np.zeros(1, np.int64), 900, np.ones(1, np.int32), {"voltage": np.array([value])}, {}, revisions=batch
        )
    assert batch is not None
    read = decode(encode(Finished(Contact(1, AT), (MeterIntervals(1, batch, AT, Source.PUSH),))), Finished)
    chain: IntervalBatch | None = read.readings[0].batch
    values = []
    while chain is not None:
        values.append(int(chain.values["voltage"][0]))
        chain = chain.revisions
    assert values == list(range(1499, -1, -1))


def test_an_entry_of_the_first_form_is_read_for_ever() -> None:
    plain = (
        b'{"contact":{"meter_id":7,"at":"2026-01-31T06:15:00+00:00","error":"no answer"},"readings":[{"meter_id":7,'
        b'"batch":[{"start":2,"interval_s":900,"quality":2,"values":[["voltage",2]],"nulls":[["voltage",2]]}],'
        b'"read_at":"2026-01-31T06:15:00+00:00","source":2}],"events":[{"meter_id":7,"log":"power","code":101,'
        b'"occurred_at":"2026-01-31T06:00:00+00:00","nth":0,"sequence":null,"values":[["1/0.0.96.11.2.255/2",[0,"1.50"]]],'
        b'"quality":0,"read_at":"2026-01-31T06:15:00+00:00","source":2}],"received":[[[3,"4d4d4d"],4000000000]]}'
    )
    arrays = b"".join(
        np.array(values, kind).tobytes()
        for values, kind in (([5, 6], "<i8"), ([0, 1], "<i4"), ([-1, 2**62], "<i8"), ([False, True], "?"))
    )
    entry = zlib.compress(b"\x01" + len(plain).to_bytes(4, "big") + plain + arrays)
    read = decode(entry, Finished)
    assert read.contact == Contact(7, AT, "no answer")
    batch = read.readings[0].batch
    assert (batch.start.tolist(), batch.values["voltage"].tolist()) == ([5, 6], [-1, 2**62])
    assert (batch.quality.tolist(), batch.nulls["voltage"].tolist()) == ([0, 1], [False, True])
    assert read.events == (
        MeterEvent(
            7,
            "power",
            101,
            AT - timedelta(minutes=15),
            0,
            None,
            {"1/0.0.96.11.2.255/2": Decimal("1.50")},
            0,
            AT,
            Source.SCHEDULED,
        ),
    )
    assert read.received == {(3, b"MMM"): 4_000_000_000}
    assert zlib.decompress(encode(read)) == zlib.decompress(entry)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda octets: octets[:-9],
        lambda octets: octets + b"\x00",
        lambda octets: b"",
        lambda octets: zlib.compress(b"\x02" + zlib.decompress(octets)[1:]),
        lambda octets: zlib.compress(zlib.decompress(octets)[:-1]),
        lambda octets: zlib.compress(zlib.decompress(octets).replace(b'"meter_id"', b'"metre_id"')),
        lambda octets: zlib.compress(zlib.decompress(octets).replace(b'"start":96', b'"start":99')),
    ],
)
def test_a_spoiled_entry_is_refused_and_never_half_read(spoil: Any) -> None:
    batch = IntervalBatch(np.arange(96), 900, np.zeros(96, np.int32), {}, {})
    octets = encode(Finished(Contact(1, AT), (MeterIntervals(1, batch, AT, Source.PUSH),)))
    with pytest.raises(SpoolError, match="can't be read"):
        decode(spoil(octets), Finished)


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(SpoolError, match="too large"):
        decode(zlib.compress(bytes(65 << 20), 1), Finished)


def test_a_batch_counts_rows_of_all_kinds_and_each_meter_once() -> None:
    batch = IntervalBatch(np.arange(96), 900, np.zeros(96, np.int32), {}, {})
    event = MeterEvent(1, "power", 101, AT, 0, None, {}, 0, AT, Source.PUSH)
    finished = Finished(Contact(1, AT), (MeterIntervals(1, batch, AT, Source.PUSH),), events=(event, event))
    assert weight(finished) == 99
