"""Reading one meter without a database: what `headend read` does.

Counters come from this machine's counter file; what the meter's public client says of them is hearsay and may not
push ours further than a step, unless the engineer accepts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import getpass
import os
import tomllib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers.address import Address, parse_address
from drivers.credentials import Credentials
from drivers.dlms.security import Key, Secret
from drivers.links.transcript import Transcript, write_transcript
from drivers.reading import Layout, association_of, read_invocation_counter, read_layout, read_profile
from drivers.session import open_session
from headend.counter_file import CounterFile, default_counter_file
from headend.meter_list import secret_of
from headend.printing import Form, print_intervals
from profiles.errors import HeadEndError, SettingsError, UnbelievableCounter
from profiles.intervals import IntervalBatch, intervals
from profiles.loader import load_meter_type
from profiles.meter_type import Association, MeterType, Profile

COUNTER_RUN = 64
COUNTER_STEP = 1_000_000
ENVIRONMENT = {
    "encryption_key": "HEADEND_ENCRYPTION_KEY",
    "authentication_key": "HEADEND_AUTHENTICATION_KEY",
    "secret": "HEADEND_SECRET",
}
KEY_NAMES = ("encryption_key", "authentication_key", "lls_secret", "hls_secret", "system_title")
"""What a key file may hold of a meter, beside keys the title by which it proves to be the one they belong to."""
SECRET_NAMES = {1: "lls_secret", 2: "hls_secret"}


@dataclass(frozen=True, slots=True)
class SingleRead:
    """One reading as the command line asked for it."""

    address: str
    profile: str
    start: str
    end: str
    meter_type: str
    key_file: Path | None
    given_keys: Mapping[str, str] = field(repr=False)
    ask: bool
    system_title: str | None
    counter_file: Path | None
    accept_counter: bool
    trace: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one meter said of one profile."""

    address: str
    system_title: bytes
    meter_type: MeterType
    layout: Layout
    start: datetime
    end: datetime
    batch: IntervalBatch


def read_and_print(wanted: SingleRead, form: Form) -> None:
    """Read the meter, print to stdout. Raises HeadEndError."""
    address = parse_address(wanted.address)
    try:
        with write_transcript(wanted.trace) as transcript:
            answer = asyncio.run(_read(wanted, address, transcript))
    except HeadEndError as error:
        raise error.at(meter=str(address)) from None
    print_intervals(answer, form)


async def _read(wanted: SingleRead, address: Address, transcript: Transcript | None) -> Answer:
    meter_type = load_meter_type(wanted.meter_type)
    kind = association_of(meter_type, address)
    profile = meter_type.profiles.get(wanted.profile)
    if profile is None:
        raise SettingsError(f"meter type {meter_type.name} has no profile {wanted.profile}")
    now = datetime.now(UTC)
    zone = ZoneInfo(meter_type.zone)
    start, end = parse_time(wanted.start, zone, now), parse_time(wanted.end, zone, now)
    if start >= end:
        raise SettingsError(f"--from {wanted.start} is not before --to {wanted.end}")
    keys = _keys(wanted, address, kind)
    counters = CounterFile(wanted.counter_file or default_counter_file())
    credentials = await _credentials(wanted, address, meter_type, kind, keys, counters, transcript)

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
        server_title=_title(wanted.system_title or keys.get("system_title")),
        last_received=last_received,
        refill=refill if credentials.encryption_key else None,
        transcript=transcript,
    ) as session:
        try:
            layout = await read_layout(session, profile)
            first, last = whole_intervals(start, end, layout.capture_period_s, zone)
            table = await read_profile(session, meter_type, profile, layout, first, last)
        finally:
            association = session.association
            if credentials.encryption_key and association.last_received >= 0:
                counters.record_received(
                    credentials.encryption_key, association.server_title, association.last_received
                )
    batch = intervals(
        table,
        layout.scalers,
        profile,
        meter_type,
        interval_s=layout.capture_period_s,
        now=now,
        earliest=_earliest(now, profile, start),
    )
    return Answer(str(address), association.server_title, meter_type, layout, first, last, batch)


def _earliest(now: datetime, profile: Profile, start: datetime) -> datetime:
    """Older rows than the buffer is deep can't be genuine."""
    return min(start, now - timedelta(days=profile.depth_days + 1))


async def _credentials(
    wanted: SingleRead,
    address: Address,
    meter_type: MeterType,
    kind: Association,
    keys: Mapping[str, str],
    counters: CounterFile,
    transcript: Transcript | None,
) -> Credentials:
    secret = _secret(keys, kind)
    if not kind.needs_keys:
        return Credentials(secret=secret)
    encryption_key, authentication_key = _key(keys, "encryption_key"), _key(keys, "authentication_key")
    heard = -1
    if kind.invocation_counter is not None:
        heard = await read_invocation_counter(address, meter_type, kind.invocation_counter, transcript=transcript)
        ahead = heard - counters.last_spent(encryption_key)
        if ahead > COUNTER_STEP and not wanted.accept_counter:
            raise UnbelievableCounter(
                f"the meter says, in clear, that counter {heard} was used, {ahead} above ours",
                asked="public client",
                remedy="if the meter is old and busy, repeat with --accept-counter; a forged value would lock us out",
            )
    return Credentials(
        client_title=counters.client_title(),
        encryption_key=encryption_key,
        authentication_key=authentication_key,
        secret=secret,
        counters=counters.reserve(encryption_key, COUNTER_RUN, above=heard),
    )


def _keys(wanted: SingleRead, address: Address, kind: Association) -> dict[str, str]:
    """Keys by name: from the command line, the key file, the environment, or the terminal; in this order."""
    keys = {name: os.environ[variable] for name, variable in ENVIRONMENT.items() if os.environ.get(variable)}
    if wanted.key_file is not None:
        keys |= _key_file(wanted.key_file, address)
        if SECRET_NAMES.get(kind.mechanism) in keys:
            keys["secret"] = keys[SECRET_NAMES[kind.mechanism]]
    keys |= wanted.given_keys
    if wanted.ask:
        needed = ["encryption_key", "authentication_key"] if kind.needs_keys else []
        needed += ["secret"] if kind.mechanism in SECRET_NAMES else []
        keys |= {name: _ask(name) for name in needed if name not in keys}
    return keys


def _ask(name: str) -> str:
    """Ask on the terminal, and only where it can be kept from showing what is typed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"{name.replace('_', ' ')}: ")
    except (EOFError, getpass.GetPassWarning):
        raise SettingsError(
            f"--ask: no {name.replace('_', ' ')} was typed", remedy="without a terminal, use --keys or the environment"
        ) from None


def _key_file(file: Path, address: Address) -> dict[str, str]:
    """A TOML file of one meter's keys, or a meter list (CSV), of which the row with this address counts."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".csv":
            rows = (row for row in csv.DictReader(text.splitlines()) if _same_place(row.get("address"), address))
            row = next(rows, None)
            if row is None:
                raise SettingsError(f"{file} has no meter with the address {address}")
            return {name: value for name, value in row.items() if name in KEY_NAMES and value}
        return _known_keys(tomllib.loads(text), file)
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error):
        raise SettingsError(f"{file} is neither TOML nor a meter list (.csv)") from None


def _known_keys(found: Mapping[str, object], file: Path) -> dict[str, str]:
    keys = {name: value for name, value in found.items() if name in KEY_NAMES and isinstance(value, str)}
    for name in found:
        if name not in keys:
            problem = "is not text in quotes" if name in KEY_NAMES else "is not known"
            raise SettingsError(f"{file}: {name} {problem}", remedy=f"it may hold {', '.join(KEY_NAMES)}")
    return keys


def _same_place(text: str | None, address: Address) -> bool:
    """Whether a listed address names the same host and port, whatever its association."""
    with contextlib.suppress(SettingsError):
        return str(parse_address(text or "")) == str(address)
    return False


def _key(keys: Mapping[str, str], name: str) -> Key:
    if name not in keys:
        raise SettingsError(
            f"no {name.replace('_', ' ')} was given",
            remedy=f"put it into a file for --keys, or into {ENVIRONMENT[name]}, or use --ask",
        )
    try:
        return Key.from_hex(keys[name])
    except SettingsError as error:
        raise error.at(asked=name.replace("_", " ")) from None


def _secret(keys: Mapping[str, str], kind: Association) -> Secret | None:
    if kind.mechanism not in SECRET_NAMES:
        return None
    if "secret" not in keys:
        raise SettingsError(
            f"no {SECRET_NAMES[kind.mechanism]} was given",
            remedy=f"put it into a file for --keys, or into {ENVIRONMENT['secret']}, or use --ask",
        )
    try:
        return secret_of(keys["secret"])
    except SettingsError as error:
        raise error.at(asked=SECRET_NAMES[kind.mechanism]) from None


def _title(text: str | None) -> bytes:
    try:
        title = bytes.fromhex(text or "")
    except ValueError:
        title = b"?"
    if text is not None and len(title) != 8:
        raise SettingsError(f"{text!r} is not a system title", remedy="give its 8 octets as 16 hex digits")
    return title


def parse_time(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """A moment from ISO 8601 (local to `zone` unless it names an offset), `now`, `today` or `yesterday`; in UTC."""
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if text in words:
        return words[text].astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text)
        if not 2000 <= moment.year < 2100:
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a time from 2000 to 2099",
            remedy="write 2026-01-31, 2026-01-31T06:15, now, today or yesterday",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def whole_intervals(start: datetime, end: datetime, period_s: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The intervals of the zone's grid that begin in [start, end): their first start, and the end of the last.

    Raises SettingsError where there are none.
    """
    period = timedelta(seconds=period_s)
    day = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    first = day + -(-(start - day) // period) * period
    count = -(-(end - first) // period)
    if count < 1:
        raise SettingsError(
            f"no interval of {period_s} s begins between {start.astimezone(zone):%Y-%m-%d %H:%M} and "
            f"{end.astimezone(zone):%Y-%m-%d %H:%M}",
            remedy="widen --from and --to",
        )
    return first, first + count * period
