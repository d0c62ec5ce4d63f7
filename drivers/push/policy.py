"""What is registered of a meter that pushes: its keys, and how its type lets pushes be covered.

The one rule: what is not named here is refused. Meters in the field push in clear, or encrypted without a tag and with
a counter that is always 0; that is let in only where their type says so, and flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from drivers.credentials import Credentials
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION, Key
from profiles.meter_type import Association, Cover, MeterType

CLEAR: Final = 0x00
"""The security control of what is not ciphered."""
_CONTROLS: Final[Mapping[Cover, int]] = MappingProxyType(
    {
        "clear": CLEAR,
        "authentication": AUTHENTICATION,
        "encryption": ENCRYPTION,
        "authentication-and-encryption": BOTH,
    }
)


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """How pushes of a meter type may be covered."""

    controls: Set[int] = frozenset({0x30})
    """Security control octets that are let in: 0x30 authenticated and encrypted, 0x10 authenticated, 0x20 encrypted
    only, each plus the suite; 0x00 in clear."""
    signed: bool = False
    """A signature is demanded as well."""
    constant_counter: bool = False
    """The sender leaves its invocation counter as it is, so that it tells no replays."""
    confirmed: bool = True
    """Whether a confirmed data-notification gets its confirmation; meters with push setup version 0 know none."""

    @classmethod
    def of(cls, meter_type: MeterType) -> PushPolicy:
        """What the rules of a type say, in the suite of the association under whose keys its meters push."""
        rules, suite = meter_type.push_rules, keys_of(meter_type).suite
        controls = (_CONTROLS[cover] for cover in rules.covers)
        return cls(
            frozenset(control | suite if control else CLEAR for control in controls),
            signed=rules.signed,
            constant_counter=not rules.counter_rises,
            confirmed=rules.confirmed,
        )

    def __str__(self) -> str:
        names = " or ".join("clear" if control == CLEAR else f"0x{control:02x}" for control in sorted(self.controls))
        return names + (" with a signature" if self.signed else "")


def keys_of(meter_type: MeterType) -> Association:
    """The association under whose keys the meters of a type push."""
    return meter_type.associations[meter_type.push_rules.keys_of or meter_type.reading_association]


@dataclass(frozen=True, slots=True)
class PushingMeter:
    """A registered meter: how it is called, its system title, what it takes to open its pushes, what they must be."""

    name: str
    title: bytes
    """8 octets; empty where it is not known, which lets in nothing that is protected and names nobody."""
    credentials: Credentials
    policy: PushPolicy = PushPolicy()
    dedicated_key: Key | None = None
    """For pushes in an association that is open elsewhere."""
