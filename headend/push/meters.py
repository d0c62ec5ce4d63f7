"""Registered meters as pushes need them: whose keys, which type, which layouts; those of a batch by one query each.

The one rule: what is held in memory is bounded and grows old; who is not registered, or was not visited yet, is
remembered only for moments, so that a meter that is registered now is let in soon, and its blocks are believed soon
after its first visit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from drivers.credentials import CounterRange, Credentials
from drivers.dlms.security import Key
from drivers.push import PushingMeter, PushPolicy
from drivers.reading import Layout
from headend.meter_types import with_quirks
from headend.push.allowance import Allowance
from headend.push.senders import Claim
from headend.store.counters import client_title, reserve
from headend.store.database import Connection, Pool, borrow
from headend.store.layouts import load_layouts
from headend.store.rows import UNIX_EPOCH
from headend.store.statements import statement
from headend.store.writer import EARLIEST_US
from headend.vault import KeyType, StoredKey, Vault
from profiles.errors import SecurityError, StoreError
from profiles.meter_type import MeterType, Profile
from profiles.objects import CaptureObject
from profiles.push_readings import Scalers

LIST_OF: Final = "push:"
"""Before the name of a push: the layout that is the object list of its push setup, as the meter gave it."""
UNKNOWN_S: Final = 20.0
"""For how long somebody is remembered not to be registered, or to have no layouts."""
QUERY_S: Final = 5.0
"""For the database to say who they are; else it counts as away."""
COUNTERS: Final = 16
"""Of ours, reserved at once for the confirmations of one meter."""
STRANGERS: Final = 1000
"""Claims of nobody registered that are remembered: anybody can make up more, and they must not crowd out the meters."""
_LAYOUTS: Final = 4096
_EARLIEST: Final = UNIX_EPOCH + timedelta(microseconds=EARLIEST_US)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KnownMeter:
    """A registered meter that pushes."""

    id: int
    meter_type: MeterType
    pushing: PushingMeter
    key_id: int | None
    """Of its encryption key, which counters belong to."""
    interval_s: int
    commissioned_at: datetime
    layouts: Mapping[str, Layout]
    """Of its profiles, by name."""
    scalers: Mapping[str, Scalers]
    """The same, as pushes take them."""
    lists: Mapping[str, tuple[CaptureObject, ...]]
    """What it pushes, by push, as its push setups say."""
    found_at: float
    """By the event loop's clock."""
    readings: Allowance = field(repr=False)
    alarms: Allowance = field(repr=False)

    def earliest(self, profile: Profile | None) -> datetime:
        """Before this, nothing that it says of a profile is believed."""
        depth = timedelta(days=profile.depth_days if profile is not None else 0)
        return max(self.commissioned_at - depth, _EARLIEST)


class KnownMeters:
    """Finds meters by what pushes claim; `await` it from one task at a time."""

    def __init__(
        self, pool: Pool, vault: Vault, types: Mapping[str, MeterType], *, most: int, for_s: float, per_minute: float
    ) -> None:
        """Up to `most` meters are held for `for_s` seconds; a meter has `per_minute` readings, and as many alarms."""
        self._pool = pool
        self._vault = vault
        self._types = types
        self._most = most
        self._for_s = for_s
        self._per_minute = per_minute
        self._clock = asyncio.get_running_loop().time
        self._held: OrderedDict[Claim, tuple[KnownMeter, float]] = OrderedDict()
        self._strangers: OrderedDict[Claim, float] = OrderedDict()
        self._layouts: dict[tuple[object, ...], Layout] = {}
        """Each once: thousands of meters have the same."""
        self._title = b""
        self._policies: dict[int, PushPolicy] = {}

    def heed(self, *, most: int, for_s: float, per_minute: float) -> None:
        """These hold from now on: everybody is looked up anew."""
        self._most, self._for_s, self._per_minute = most, for_s, per_minute
        self._held.clear()
        self._strangers.clear()

    async def find(self, claims: Iterable[Claim]) -> dict[Claim, KnownMeter | None]:
        """Who they are; None for those that are not registered. StoreError where the database does not say."""
        now = self._clock()
        found: dict[Claim, KnownMeter | None] = {}
        missing = []
        for claim in set(claims):
            meter, until = self._held.get(claim) or (None, self._strangers.get(claim, 0.0))
            if until <= now:
                missing.append(claim)
                continue
            found[claim] = meter
            if meter is not None:
                self._held.move_to_end(claim)
        if missing:
            found |= await self._look_up(missing)
            for claim in missing:
                self._hold(claim, found[claim], now)
        return found

    def _hold(self, claim: Claim, meter: KnownMeter | None, now: float) -> None:
        self.forget([claim])
        moment = now + min(UNKNOWN_S, self._for_s)
        if meter is None:
            self._strangers[claim] = moment
        else:
            self._held[claim] = meter, now + self._for_s if meter.layouts else moment
        while len(self._strangers) > STRANGERS:
            self._strangers.popitem(last=False)
        while len(self._held) > self._most:
            self._held.popitem(last=False)

    def forget(self, claims: Iterable[Claim]) -> None:
        """Look them up anew the next time: their keys may have been changed."""
        for claim in claims:
            self._held.pop(claim, None)
            self._strangers.pop(claim, None)

    async def reserve(self, meters: Iterable[KnownMeter]) -> None:
        """Counters of ours for those that have none left. StoreError."""
        without = {meter.key_id: meter for meter in meters if meter.pushing.credentials.counters.left <= 0}
        key_ids = [key_id for key_id in without if key_id is not None]
        if not key_ids:
            return
        async with _in_time(), borrow(self._pool) as connection:
            ranges = await reserve(connection, key_ids, self._title, COUNTERS)
        for key_id, reserved in ranges.items():
            counters = without[key_id].pushing.credentials.counters
            counters.next, counters.end = reserved.next, reserved.end

    async def _look_up(self, claims: Sequence[Claim]) -> dict[Claim, KnownMeter | None]:
        parameters = {
            "titles": [claim.title for claim in claims if claim.title],
            "devices": [device for claim in claims for device in claim.devices],
            "hosts": [claim.host for claim in claims if claim.host],
        }
        async with _in_time(), borrow(self._pool) as connection:
            self._title = self._title or await client_title(connection)
            rows = await (await connection.execute(statement("push_meters"), parameters)).fetchall()
            registered = [_Registered(*row) for row in rows]
            keys = await self._keys(connection, [one.id for one in registered])
            layouts = await load_layouts(connection, [one.id for one in registered], self._names(registered))
        known = {one.id: self._known(one, keys.get(one.id, {}), layouts.get(one.id, {})) for one in registered}
        index = _Index(registered)
        return {claim: known.get(index.find(claim)) for claim in claims}

    async def _keys(self, connection: Connection, ids: Sequence[int]) -> dict[int, dict[KeyType, StoredKey]]:
        """One record that was altered must not keep the pushes of all others out."""
        try:
            return await self._vault.get(connection, ids)
        except SecurityError as error:
            if len(ids) <= 1:
                log.error("key_unusable", meter_ids=list(ids), reason=error.message)
                return {}
        middle = len(ids) // 2
        return await self._keys(connection, ids[:middle]) | await self._keys(connection, ids[middle:])

    def _names(self, registered: Iterable[_Registered]) -> list[str]:
        """The layouts that pushes of these meters are read by."""
        names: set[str] = set()
        for name in {one.meter_type for one in registered} & set(self._types):
            for push in self._types[name].pushes.values():
                names |= {LIST_OF + push.name, push.name, push.scalers_of or "", push.rows_of or ""}
        return sorted(names)

    def _known(
        self, one: _Registered, keys: Mapping[KeyType, StoredKey], layouts: Mapping[str, Layout]
    ) -> KnownMeter | None:
        try:
            meter_type = self._types[with_quirks(one.meter_type, one.maker, one.firmware)]
        except KeyError:
            log.error("meter_type_unknown", meter=one.name, meter_type=one.meter_type)
            return None
        materials = {key_type: key.material for key_type, key in keys.items() if isinstance(key.material, Key)}
        credentials = Credentials(
            client_title=self._title,
            encryption_key=materials.get("encryption"),
            authentication_key=materials.get("authentication"),
            counters=CounterRange(0, 0),
            master_key=materials.get("master"),
        )
        title = bytes(one.system_title) if one.system_title is not None else b""
        shared = {name: self._once(layout) for name, layout in layouts.items()}
        of_profiles = {name: layout for name, layout in shared.items() if not name.startswith(LIST_OF)}
        now, per_s = self._clock(), self._per_minute / 60
        burst = max(1.0, self._per_minute)
        return KnownMeter(
            one.id,
            meter_type,
            PushingMeter(one.name, title, credentials, self._policy(meter_type)),
            keys["encryption"].id if "encryption" in keys else None,
            one.interval_s,
            one.commissioned_at,
            of_profiles,
            {name: layout.scalers for name, layout in of_profiles.items()},
            {
                name.removeprefix(LIST_OF): one.capture_objects
                for name, one in shared.items()
                if name not in of_profiles
            },
            now,
            Allowance(per_s, burst, now),
            Allowance(per_s, burst, now),
        )

    def _once(self, layout: Layout) -> Layout:
        same = (layout.capture_objects, tuple(layout.scalers.items()), layout.capture_period_s)
        if len(self._layouts) >= _LAYOUTS:
            self._layouts.clear()
        return self._layouts.setdefault(same, layout)

    def _policy(self, meter_type: MeterType) -> PushPolicy:
        """Made once: types live as long as we do."""
        policy = self._policies.get(id(meter_type))
        if policy is None:
            policy = self._policies[id(meter_type)] = PushPolicy.of(meter_type)
        return policy


class _Registered(NamedTuple):
    """A row of `push_meters`."""

    id: int
    name: str
    serial: str
    system_title: bytes | None
    device_id: str | None
    host: str | None
    meter_type: str
    maker: str
    firmware: str
    interval_s: int
    commissioned_at: datetime


class _Index:
    """By what meters are found; a device id or a host that several have says nothing."""

    def __init__(self, registered: Iterable[_Registered]) -> None:
        self._titles: dict[bytes, int] = {}
        self._devices: dict[str, set[int]] = {}
        self._hosts: dict[str, set[int]] = {}
        for one in registered:
            if one.system_title is not None:
                self._titles[bytes(one.system_title)] = one.id
            for name in (one.device_id, one.serial):
                if name is not None:
                    self._devices.setdefault(name, set()).add(one.id)
            if one.host is not None:
                self._hosts.setdefault(one.host, set()).add(one.id)

    def find(self, claim: Claim) -> int:
        """The meter's id; 0, which none has, for nobody."""
        if claim.title:
            return self._titles.get(claim.title, 0)
        for device in claim.devices:
            if device in self._devices:
                return _only(self._devices[device])
        return _only(self._hosts.get(claim.host, set()))


def _only(ids: set[int]) -> int:
    return next(iter(ids)) if len(ids) == 1 else 0


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(QUERY_S):
            yield
    except TimeoutError:
        raise StoreError(f"the database did not say within {QUERY_S:g} s whose pushes came", retry=True) from None
