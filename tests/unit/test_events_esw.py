"""The event status word: bits, edges, and what they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import events as catalogue
from profiles.errors import ProtocolError, SettingsError
from profiles.events import (
    ESW_BITS,
    ESW_OCTETS,
    FIRST_BREATH,
    LAST_GASP,
    decode_esw,
    encode_esw,
    esw_bit,
    esw_bits,
    esw_changes,
    esw_edges,
    event,
    load_esw,
)

BUNDLED = Path(catalogue.__file__).with_name("esw.csv")
NOTHING = bytes(ESW_OCTETS)
WORDS = st.binary(min_size=ESW_OCTETS, max_size=ESW_OCTETS)


def test_bit_0_is_the_most_significant_of_the_first_octet() -> None:
    assert decode_esw(bytes.fromhex("80000000000000000000000000000000")) == {0}
    assert decode_esw(bytes.fromhex("00000000000000000000040000000000")) == {LAST_GASP}
    assert decode_esw(bytes.fromhex("00000000000000000000020000000000")) == {FIRST_BREATH}
    assert decode_esw(bytes.fromhex("00000000000000000000000000000001")) == {127}


@pytest.mark.parametrize("octets", [b"", bytes(15), bytes(17)])
def test_a_word_of_another_length_is_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError, match="16 octets"):
        decode_esw(octets)
    with pytest.raises(ProtocolError, match="16 octets"):
        esw_changes(NOTHING, octets)


@given(st.frozensets(st.integers(0, ESW_BITS - 1)))
def test_encoding_and_decoding_are_inverse(bits: frozenset[int]) -> None:
    assert decode_esw(encode_esw(bits)) == bits


def test_the_map_is_the_one_that_four_sources_agree_on() -> None:
    low = {0: 1, 1: 3, 2: 5, 3: 7, 4: 9, 5: 11, 6: 51, 7: 53, 8: 55, 9: 63, 10: 65, 11: 67, 12: 205}
    high = {51: 69, 81: 201, 82: 203, 83: 251, 84: None, 85: None, 86: None, 87: None}
    assert {number: bit.occurrence for number, bit in esw_bits().items()} == low | high


def test_every_bit_is_named_as_the_event_that_it_stands_for() -> None:
    for bit in esw_bits().values():
        if bit.occurrence is not None:
            assert (bit.english, bit.hindi) == (event(bit.occurrence).english, event(bit.occurrence).hindi)


def test_setting_a_state_is_its_occurrence_and_clearing_it_its_restoration() -> None:
    magnet = encode_esw({81})
    [change] = esw_changes(NOTHING, magnet).occurrences
    assert (change.bit.bit, change.event) == (81, event(201))
    changes = esw_changes(magnet, NOTHING)
    assert changes.occurrences == ()
    assert [change.event for change in changes.restorations] == [event(202)]


def test_what_stays_set_is_not_told_again() -> None:
    word = encode_esw({0, 3, 81})
    changes = esw_changes(word, word)
    assert (changes.occurrences, changes.restorations) == ((), ())


def test_last_gasp_and_first_breath_tell_by_being_set_only() -> None:
    gasp, breath = encode_esw({LAST_GASP}), encode_esw({FIRST_BREATH})
    assert [change.bit.english for change in esw_changes(NOTHING, gasp).occurrences] == ["Last gasp"]
    changes = esw_changes(gasp, breath)
    assert [change.bit.english for change in changes.occurrences] == ["First breath"]
    assert changes.restorations == ()


def test_any_change_of_the_load_switch_bit_is_an_occurrence() -> None:
    switch = encode_esw({84})
    for before, after in ((NOTHING, switch), (switch, NOTHING)):
        changes = esw_changes(before, after)
        assert [(change.bit.bit, change.event) for change in changes.occurrences] == [(84, None)]
        assert changes.restorations == ()


def test_a_bit_of_unknown_meaning_is_told_with_its_number() -> None:
    [change] = esw_changes(NOTHING, encode_esw({100})).occurrences
    assert change.event is None
    assert "100" in change.bit.english
    assert "100" in change.bit.hindi


def test_a_makers_map_moves_bits_for_that_maker_alone() -> None:
    word = encode_esw({82})
    assert [change.event for change in esw_changes(NOTHING, word).occurrences] == [event(203)]
    assert [change.event for change in esw_changes(NOTHING, word, "extended-esw").occurrences] == [event(251)]
    assert 83 not in esw_bits("extended-esw")
    assert esw_bit(90, "extended-esw").english == "Memory faulty"
    assert esw_bits("nobody") is esw_bits()


@given(WORDS, WORDS)
def test_every_changed_bit_is_told_unless_it_is_a_pulse_that_ended(before: bytes, after: bytes) -> None:
    changes = esw_changes(before, after)
    told = {change.bit.bit for change in changes.occurrences + changes.restorations}
    was, now = decode_esw(before), decode_esw(after)
    pulses = {bit.bit for bit in esw_bits().values() if bit.edge == "pulse"}
    assert told == (was ^ now) - ((was - now) & pulses)
    assert {change.bit.bit for change in changes.restorations} <= was - now


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_the_edges_of_many_meters_are_those_of_each(pairs: list[tuple[bytes, bytes]]) -> None:
    before, after = (
        np.frombuffer(b"".join(pair[side] for pair in pairs), np.uint8).reshape(-1, ESW_OCTETS) for side in (0, 1)
    )
    rose, fell = esw_edges(before, after)
    assert (rose.dtype, rose.shape) == (np.bool_, (len(pairs), ESW_BITS))
    for row, (was, now) in enumerate(pairs):
        assert set(np.flatnonzero(rose[row])) == decode_esw(now) - decode_esw(was)
        assert set(np.flatnonzero(fell[row])) == decode_esw(was) - decode_esw(now)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",1,state,3,4", ",0,state,3,4", ":3: bit 0 stands in line 2 already"),
        (",1,state,3,4", ",128,state,3,4", ":3: bit: '128' is not a whole number from 0 to 127"),
        (",1,state,3,4", ",1,level,3,4", ":3: edge: 'level' is none of"),
        (",1,state,3,4", ",1,absent,3,4", ":3: edge: 'absent' is none of"),
        (",1,state,3,4", ",1,state,4,3", ":3: occurrence: event 4 is not a known occurrence"),
        (",1,state,3,4", ",1,state,3,2", ":3: occurrence: event 3 has the partner 4, not 2"),
        (",1,state,3,4", ",1,state,3,", ":3: occurrence: event 3 has the partner 4, not None"),
        (",1,state,3,4", ",1,state,156,", ":3: occurrence: event 156 is not a known occurrence"),
    ],
)
def test_a_wrong_line_is_refused_by_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "esw.csv"
    text = BUNDLED.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_esw(path)
    assert str(refused.value).startswith(f"{path}{message}")
