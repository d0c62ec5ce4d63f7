"""Who may push: the meters of a list or key file, and of the engineer's book, with what opens their pushes.

The one rule: any cover is opened, so that an engineer sees what comes; what the head-end would refuse of it is for
`headend.watch.pushes` to say.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Final

from drivers.credentials import CounterRange, Credentials
from drivers.dlms.security import AUTHENTICATION, BOTH, ENCRYPTION
from drivers.push import (
    CLEAR,
    Arrival,
    Freshness,
    Push,
    PushingMeter,
    PushPolicy,
    ReplayWindow,
    accept,
    keys_of,
)
from headend.book import Book
from headend.book_list import read_list
from headend.counter_file import CounterFile
from headend.keys import ENVIRONMENT, read_key_file, symmetric_key, title_from
from headend.own_files import default_book, default_counter_file
from headend.push.senders import Claim, claim_of, host_of
from profiles.errors import HeadEndError, SecurityError
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType

COUNTERS: Final = 16
"""Of ours, reserved at once for the confirmations of one meter."""
MOST_WINDOWS: Final = 10_000
"""Senders whose counters are remembered."""
_KEYS: Final = ("encryption_key", "authentication_key")

Texts = Callable[[], Mapping[str, str]]
"""Gives keys by name, as `headend.keys` has them; it may ask for the passphrase of the book."""

_type_named = cache(load_meter_type)


def _no_keys() -> Mapping[str, str]:
    return {}


@dataclass(slots=True)
class Pusher:
    """A meter that is known, or who stands for all that are not: without a name. Empty: not known."""

    meter_type: MeterType
    name: str = ""
    title: bytes = b""
    texts: Texts = field(default=_no_keys, repr=False)
    _credentials: Credentials | HeadEndError | None = field(default=None, repr=False)
    """Or why there are none: nobody is asked for a passphrase at every push."""

    def pushing(self, title: bytes, client_title: bytes) -> PushingMeter:
        """What opens its pushes; `title`: that of the sender, where its own is not known. SettingsError for a key."""
        if self._credentials is None:
            try:
                self._credentials = self._from_texts(client_title)
            except HeadEndError as error:
                self._credentials = error
        if isinstance(self._credentials, HeadEndError):
            raise self._credentials
        return PushingMeter(self.name, self.title or title, self._credentials, _any_cover(self.meter_type))

    def _from_texts(self, client_title: bytes) -> Credentials:
        texts, kind = self.texts(), keys_of(self.meter_type)
        keys = [symmetric_key(texts, name, kind) if name in texts else None for name in _KEYS]
        return Credentials(client_title, keys[0], keys[1], None, CounterRange(0, 0))


class Pushers:
    """Finds them by what an APDU claims."""

    def __init__(self, key_file: Path | None, counters: Path | None, type_name: str) -> None:
        """`type_name`: of meters of which no type is known. SettingsError for a file that can't be used."""
        self._counters = CounterFile(counters or default_counter_file())
        self.client_title = self._counters.client_title()
        self._stranger = Pusher(_type_named(type_name))
        self._by_title: dict[bytes, Pusher] = {}
        self._by_serial: dict[str, Pusher] = {}
        self._by_host: dict[str, Pusher] = {}
        self._windows: OrderedDict[tuple[bytes, bool], ReplayWindow] = OrderedDict()
        for saved in Book(default_book()).meters().values():
            self._add(saved.name, saved.address, saved.meter_type, saved.serial, saved.system_title, saved.keys)
        if key_file is not None and key_file.suffix == ".csv":
            for entry in read_list(key_file):
                texts = _given(entry.keys)
                self._add(entry.name, entry.address, entry.meter_type, entry.serial, entry.system_title, texts)
        else:
            found = read_key_file(key_file) if key_file is not None else {}
            self._stranger.title = title_from(found.get("system_title"))
            self._stranger.texts = _given(_of_environment() | found)

    def find(self, arrival: Arrival) -> tuple[Pusher, Claim]:
        """Whose push it is, one without a name for strangers, and what it claims. ProtocolError for garbage."""
        claim = claim_of(arrival)
        if claim.title:
            return self._by_title.get(claim.title, self._stranger), claim
        for device in claim.devices:
            if device in self._by_serial:
                return self._by_serial[device], claim
        return self._by_host.get(claim.host or host_of(arrival.peer), self._stranger), claim

    def repeats(self, push: Push) -> bool:
        """Whether its counter came before, or is too old for anybody to know."""
        if push.replay != "counter" or push.counter is None:
            return False
        sender = (push.title, push.dedicated)
        window, (said,) = accept(self._windows.pop(sender, ReplayWindow()), [push.counter])
        self._windows[sender] = window
        if len(self._windows) > MOST_WINDOWS:
            self._windows.popitem(last=False)
        return said is not Freshness.NEW

    def confirmation(self, push: Push) -> bytes | None:
        """What the meter waits for, None for nothing. HeadEndError where we have no counter or key for it."""
        counters = push.meter.credentials.counters
        if push.awaits_confirmation and push.protection is not None and counters.left <= 0:
            key = push.meter.credentials.encryption_key
            if key is None:
                raise SecurityError("without its key a confirmation can't be protected")
            more = self._counters.reserve(key, COUNTERS)
            counters.next, counters.end = more.next, more.end
        return push.confirmation()

    def _add(self, name: str, address: str, type_name: str, serial: str, title: str, texts: Texts) -> None:
        meter_type = _type_named(type_name) if type_name else self._stranger.meter_type
        pusher = Pusher(meter_type, name, title_from(title or None), texts)
        if pusher.title:
            self._by_title[pusher.title] = pusher
        if serial:
            self._by_serial[serial] = pusher
        if "://" in address:
            self._by_host[host_of(address.partition("://")[2].partition("?")[0])] = pusher


def _given(texts: Mapping[str, str]) -> Texts:
    return lambda: texts


def _of_environment() -> dict[str, str]:
    return {name: os.environ[ENVIRONMENT[name]] for name in _KEYS if os.environ.get(ENVIRONMENT[name])}


def _any_cover(meter_type: MeterType) -> PushPolicy:
    """The policy of a type, but for which covers it lets in."""
    suite = keys_of(meter_type).suite
    controls = frozenset({CLEAR, *(control | suite for control in (AUTHENTICATION, ENCRYPTION, BOTH))})
    return replace(PushPolicy.of(meter_type), controls=controls, signed=False)
