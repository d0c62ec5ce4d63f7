"""The event status word of a meter, and which of its bits the meter tells of.

The one rule: a bit that nobody knows is kept with its number.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.dlms import axdr
from drivers.session import Session
from profiles.errors import AccessDenied, ProtocolError, SettingsError
from profiles.events import ESW_BITS, ESW_OCTETS, EswBit, decode_esw, encode_esw, esw_bit
from profiles.meter_type import MeterType
from profiles.objects import AttributeRef


@dataclass(frozen=True, slots=True)
class StatusWordReading:
    """`octets`: the word's 16, as `profiles.events.esw_changes` takes them. `filter`: likewise the bits that the meter
    tells of; None where it does not say. `maker`: whose meanings the bits have."""

    octets: bytes
    filter: bytes | None
    maker: str | None

    @property
    def bits(self) -> tuple[EswBit, ...]:
        """What holds now, by bit."""
        return tuple(esw_bit(number, self.maker) for number in sorted(decode_esw(self.octets)))


async def read_status_word(session: Session, meter_type: MeterType) -> StatusWordReading:
    """The word and its filter. SettingsError for a type without one, ProtocolError for what is no such word."""
    status = meter_type.status_word
    if status is None:
        raise SettingsError(f"meter type {meter_type.name} has no event status word")
    word = await _read(session, status.word)
    try:
        mask = await _read(session, status.filter)
    except AccessDenied as denied:
        if denied.retry:
            raise
        mask = None
    return StatusWordReading(word, mask, meter_type.event_maker)


async def _read(session: Session, attribute: AttributeRef) -> bytes:
    """A bit-string of at most 128 bits, those that it lacks not set; or its 16 octets."""
    value = axdr.decode(await session.get(attribute))
    if isinstance(value, bytes) and len(value) == ESW_OCTETS:
        return value
    if isinstance(value, axdr.BitString) and len(value.bits) <= ESW_BITS:
        return encode_esw(number for number, bit in enumerate(value.bits) if bit == "1")
    raise ProtocolError(f"the event status word is no bit-string of at most {ESW_BITS} bits", asked=f"get {attribute}")
