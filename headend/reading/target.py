"""Where ADDRESS leads: the link to the meter, and what is known of the meter already.

The one rule: this is the only place that knows what an ADDRESS may be: a link address, the name of a meter in the
engineer's own book or, where the settings name a database, that of a registered meter; in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.address import Address, parse_address
from headend.book import Book
from headend.own_files import default_book
from profiles.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Target:
    """What a name says of its meter, as far as it does. `system_title`: hex.

    `saved`: gives the keys that are kept under the name, as a key file has them; it may ask for a passphrase, or the
    database. `registered`: the meter is known to the database of the settings.
    """

    address: Address
    meter_type: str | None = None
    system_title: str | None = None
    saved: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)
    registered: bool = False


def target_of(text: str) -> Target:
    """What an ADDRESS stands for. SettingsError says what is wrong with it, StoreError that the database is away."""
    if ":" in text:
        return Target(parse_address(text))
    saved = Book(default_book()).meters().get(text)
    if saved is not None:
        return Target(parse_address(saved.address), saved.meter_type or None, saved.system_title or None, saved.keys)
    from headend.reading.registered import Registered, registered_meter

    found = registered_meter(text)
    if not isinstance(found, Registered):
        raise SettingsError(
            f"{text!r} is neither an address nor a meter in the book{', nor a registered one' if found else ''}",
            remedy="write an address as tcp://host:4059; `headend book list` lists the book"
            + (", `headend meters list` the registry" if found else ""),
        )
    return Target(parse_address(found.address), found.meter_type, found.system_title, found.keys, registered=True)
