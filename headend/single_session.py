"""One session with one meter without a database: what `headend read` and the raw commands open.

Counters come from this machine's counter file; what the meter's public client says of them is hearsay and may not
push ours further than a step, unless the engineer accepts it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.address import Address
from drivers.credentials import CounterRange, Credentials
from drivers.links.line_time import LineTime
from drivers.links.transcript import Transcript
from drivers.reading import read_invocation_counter
from drivers.session import Session, open_session
from headend.counter_file import CounterFile
from headend.keys import credentials_from, symmetric_key, title_from
from headend.own_files import default_counter_file
from profiles.errors import UnbelievableCounter
from profiles.meter_type import Association, MeterType

COUNTER_RUN: Final = 64
COUNTER_STEP: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Counting:
    """How invocation counters go on: `file` (the usual one if None), at least from `first`."""

    file: Path | None = None
    first: int = 0
    accept: bool = False
    """Believe the meter's word in clear even if it is far above ours."""


@contextlib.asynccontextmanager
async def open_single_session(
    address: Address,
    meter_type: MeterType,
    kind: Association,
    keys: Mapping[str, str],
    counting: Counting,
    *,
    client_title: bytes = b"",
    server_title: str | None = None,
    transcript: Transcript | None = None,
    line_time: LineTime | None = None,
) -> AsyncIterator[Session]:
    """Connect, associate and, on the way out, release and close; `keys` as `headend.keys.key_texts` gives them.

    `client_title`: in place of this machine's own. `server_title` (hex): refuse any other meter. Raises SettingsError
    for a key that is missing, UnbelievableCounter, and whatever `open_session` does.
    """
    counters = CounterFile(counting.file or default_counter_file())
    title = title_from(server_title or keys.get("system_title"))
    credentials = await _credentials(
        address, meter_type, kind, keys, counting, counters, client_title, transcript, line_time
    )

    async def refill() -> None:
        assert credentials.encryption_key is not None
        more = counters.reserve(credentials.encryption_key, COUNTER_RUN)
        credentials.counters.next, credentials.counters.end = more.next, more.end

    def last_received(title: bytes) -> int:
        return counters.last_received(credentials.encryption_key, title) if credentials.encryption_key else -1

    async with open_session(
        address,
        meter_type,
        kind,
        credentials,
        server_title=title,
        last_received=last_received,
        refill=refill if credentials.encryption_key else None,
        transcript=transcript,
        line_time=line_time,
    ) as session:
        try:
            yield session
        finally:
            association = session.association
            if credentials.encryption_key and association.last_received >= 0:
                counters.record_received(
                    credentials.encryption_key, association.server_title, association.last_received
                )


async def _credentials(
    address: Address,
    meter_type: MeterType,
    kind: Association,
    keys: Mapping[str, str],
    counting: Counting,
    counters: CounterFile,
    client_title: bytes,
    transcript: Transcript | None,
    line_time: LineTime | None,
) -> Credentials:
    # A key that is missing or is none is said before any meter is asked.
    credentials_from(keys, kind)
    if kind.protected or kind.needs_keys or kind.mechanism in (6, 7):
        client_title = client_title or counters.client_title()
    run: CounterRange | None = None
    if kind.needs_keys:
        encryption_key = symmetric_key(keys, "encryption_key", kind)
        heard = counting.first - 1
        if kind.invocation_counter is not None:
            told = await read_invocation_counter(
                address, meter_type, kind.invocation_counter, transcript=transcript, line_time=line_time
            )
            _check_hearsay(told - counters.last_spent(encryption_key), told, accept=counting.accept)
            heard = max(heard, told)
        run = counters.reserve(encryption_key, COUNTER_RUN, above=heard)
    return credentials_from(keys, kind, client_title=client_title, counters=run)


def _check_hearsay(ahead: int, told: int, *, accept: bool) -> None:
    if ahead > COUNTER_STEP and not accept:
        raise UnbelievableCounter(
            f"the meter says, in clear, that counter {told} was used, {ahead} above ours",
            asked="public client",
            remedy="if the meter is old and busy, repeat with --accept-counter; a forged value would lock us out",
        )
