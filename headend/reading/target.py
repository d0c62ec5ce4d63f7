"""Where ADDRESS leads: the link to the meter, and what is known of the meter already.

The one rule: this is the only place of `headend read` that knows what an ADDRESS may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.address import Address, parse_address


@dataclass(frozen=True, slots=True)
class Target:
    """`meter_type` and `keys` (by name, as `headend.keys` has them) as far as they are known by the name."""

    address: Address
    meter_type: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    registered: bool = False
    """Known to a database of the settings: the utility's own, on which acts go another way."""


def target_of(text: str) -> Target:
    """What an ADDRESS stands for: a link address. SettingsError says what is wrong with it."""
    return Target(parse_address(text))
