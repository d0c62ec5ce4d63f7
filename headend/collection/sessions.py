"""Sessions of visits: the association with a meter, and what it takes to be let in.

The one rule: before anything is read the meter that answers is the one that the registry has, and no invocation counter
goes out that was not reserved, for good, before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from drivers.address import Address, parse_address
from drivers.credentials import Credentials
from drivers.dlms.security import Key
from drivers.reading import association_of, check_serial, read_invocation_counter
from drivers.session import Session, open_session
from headend.collection.clock import may_set, set_clock, setting_association
from headend.collection.planning import Planner
from headend.collection.visit import Visit
from headend.settings import Clock, Collection
from headend.store import counters
from headend.store.database import Pool, borrow
from headend.vault import KeyType
from profiles.errors import HeadEndError, SecurityError, StoreError
from profiles.meter_type import Association, MeterType

SECRETS: Final[Mapping[int, KeyType]] = {1: "lls_secret", 2: "hls_secret"}

log = structlog.get_logger(__name__)


class Sessions:
    """Opens associations, reads meters in them, sets their clocks."""

    def __init__(
        self, settings: Collection, clocks: Clock, pool: Pool, planner: Planner, *, clock: Callable[[], datetime]
    ) -> None:
        """`clocks`: when meters' clocks are set."""
        self._settings = settings
        self._clocks = clocks
        self._pool = pool
        self._planner = planner
        self._clock = clock

    def heed(self, settings: Collection, clocks: Clock) -> None:
        """These hold from now on; sessions that are open go on as they began."""
        self._settings = settings
        self._clocks = clocks

    async def visit(self, visit: Visit, title: bytes) -> None:
        """Read a meter in one session, and set its clock in another where that has to be.

        Raises what ends a session, and what keeps the block load from being read.
        """
        if visit.fault is not None:
            raise visit.fault
        assert visit.meter_type is not None, "else it has a fault"
        loop = asyncio.get_running_loop()
        half_time = loop.time() + self._settings.session_timeout_s / 2

        def enough() -> bool:
            return loop.time() > half_time

        address = parse_address(visit.meter.address)
        async with self._opened(visit, address, association_of(visit.meter_type, address), title) as session:
            await visit.read(session, self._clock, enough=enough)
        if may_set(visit.clock_check, self._clocks):
            await self._set_clock(visit, address, title)

    async def _set_clock(self, visit: Visit, address: Address, title: bytes) -> None:
        """What keeps a clock from being set is no reason to call the visit a failure. Raises StoreError."""
        assert visit.meter_type is not None
        kind = setting_association(visit.meter_type)
        if kind is None:
            return
        await asyncio.sleep(visit.meter_type.session_habit.pause_s)
        try:
            async with self._opened(visit, address, kind, title) as session:
                meter = visit.meter
                args = (session, visit.meter_type, meter.name, meter.interval_s, self._clocks, self._clock)
                to = await set_clock(*args)
            if to is not None:
                visit.clock_was_set(to)
        except StoreError:
            raise
        except HeadEndError as error:
            log.warning("clock_not_set", meter=visit.meter.name, reason=str(error.at(meter=visit.meter.name)))

    @contextlib.asynccontextmanager
    async def _opened(self, visit: Visit, address: Address, kind: Association, title: bytes) -> AsyncIterator[Session]:
        """An association with the meter that the registry has, not with another one."""
        assert visit.meter_type is not None
        address = replace(address, client=kind.client_sap)
        credentials = await self._credentials(visit, visit.meter_type, kind, address, title)

        async def refill() -> None:
            await self._reserve(visit, title)

        def last_received(heard_title: bytes) -> int:
            if not kind.needs_keys:
                return -1
            heard = (visit.key("encryption").id, heard_title)
            return max(visit.highest.get(heard, -1), visit.received.get(heard, -1))

        async with open_session(
            address,
            visit.meter_type,
            kind,
            credentials,
            server_title=visit.meter.system_title or b"",
            last_received=last_received,
            refill=refill if kind.needs_keys else None,
        ) as session:
            visit.let_in = True
            try:
                if not (kind.ciphered and visit.meter.system_title):
                    await check_serial(session, visit.meter_type, visit.meter.serial)
                yield session
            finally:
                # Settled even if the rest fails: what was heard once is a replay from now on.
                heard = session.association
                if kind.ciphered:
                    visit.received[visit.key("encryption").id, heard.server_title] = heard.last_received

    async def _reserve(self, visit: Visit, title: bytes) -> None:
        async with borrow(self._pool) as connection:
            await self._planner.reserve(connection, [visit], title)
        if visit.counters.left <= 0:
            remedy = "change the encryption key, which starts it anew"
            raise SecurityError("the invocation counter has reached its end", remedy=remedy)

    async def _credentials(
        self, visit: Visit, meter_type: MeterType, kind: Association, address: Address, title: bytes
    ) -> Credentials:
        secret = visit.key(SECRETS[kind.mechanism]).material if kind.mechanism in SECRETS else None
        if not kind.needs_keys:
            return Credentials(secret=secret)
        encryption, authentication = visit.key("encryption"), visit.key("authentication").material
        assert isinstance(encryption.material, Key)
        assert isinstance(authentication, Key)
        if visit.learn_counter and kind.invocation_counter is not None:
            seen = await read_invocation_counter(address, meter_type, kind.invocation_counter)
            visit.heard_counter = True
            async with borrow(self._pool) as connection:
                await counters.learn(connection, encryption.id, title, seen, max_step=self._settings.counter_step)
                await self._planner.reserve(connection, [visit], title)
        return Credentials(title, encryption.material, authentication, secret, visit.counters)
