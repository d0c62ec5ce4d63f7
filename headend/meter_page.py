"""All that is known of one meter, as text on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal

from headend.meter_facts import CounterFact, KeyFact, MeterFacts
from headend.places import Installation


def as_plain(value: object) -> object:
    """What JSON has of it: dataclasses as objects, times as ISO 8601, octets as hex, exact numbers as text."""
    if is_dataclass(value):
        return {each.name: as_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return [as_plain(each) for each in value] if isinstance(value, list | tuple) else value


def page(facts: MeterFacts) -> str:
    """A line for each thing that is known, times in UTC."""
    sections = (("", _registered(facts)), ("collected", _collected(facts)), ("installed", _installed(facts)))
    later = (("profiles", _layouts(facts)), ("keys", _keys(facts.keys)))
    text: list[str] = []
    for heading, lines in (*sections, *later):
        told = [(name, value) for name, value in lines if value]
        text += [heading] if heading and told else []
        text += [f"{'  ' if heading else ''}{name:<{16 if heading else 18}}{value}" for name, value in told]
    return "\n".join(text)


def _registered(facts: MeterFacts) -> Iterator[tuple[str, str]]:
    meter, known = facts.meter, facts.collected
    yield "meter", meter.name
    yield "serial", meter.serial
    yield "system title", meter.system_title.hex().upper() if meter.system_title else ""
    yield "device id", meter.device_id or ""
    yield "state", meter.state + (f" at {_time(known.retired_at)}" if known.retired_at else "")
    yield "parked", f"{_time(known.parked_at)}: {meter.parked_reason}" if meter.parked_reason else ""
    yield "tried again", _time(known.try_again_at)
    yield "address", meter.address
    down = f", down: {known.segment_down}" if known.segment_down else ""
    yield "segment", (known.segment or "") + down
    yield "type", meter.meter_type
    yield "quirks", ", ".join(facts.quirks)
    nameplate = " ".join(part for part in (known.maker, known.model, known.firmware) if part)
    yield "nameplate", f"{nameplate}, read {_time(known.identified_at)}" if known.identified_at else ""
    yield "commissioned", _time(meter.commissioned_at)


def _collected(facts: MeterFacts) -> Iterator[tuple[str, str]]:
    known = facts.collected
    yield "last contact", _time(facts.meter.last_contact) or "never"
    yield "last error", f"{_time(known.last_error_at)}: {known.last_error}" if known.last_error else ""
    yield "complete until", _time(known.complete_until)
    owed = f"{known.owed_intervals:,} intervals in {known.owed_ranges:,} ranges, the first from"
    yield "owed", f"{owed} {_time(known.owed_since)}" if known.owed_since else "nothing"
    yield "clock", _clock(facts)


def _clock(facts: MeterFacts) -> str:
    known = facts.collected
    if known.clock_read_at is None:
        return ""
    told = "showed no time" if known.clock_drift_ms is None else f"{known.clock_drift_ms / 1000:+.3f} s"
    told += ", which it does not trust itself" if known.clock_suspect else ""
    told += f", then set to {_time(known.clock_set_to)}" if known.clock_set_to else ""
    return f"{told}, at {_time(known.clock_read_at)}"


def _installed(facts: MeterFacts) -> Iterator[tuple[str, str]]:
    for each in facts.installations:
        yield f"{each.installed_at:%Y-%m-%d}", _installation(each)


def _installation(each: Installation) -> str:
    told = [f"{column.removesuffix('_id')} {text}" for column, text in each.place.items()]
    told += [f"until {_time(each.removed_at)}"] if each.removed_at else []
    told += [f"last reading {each.last_reading} kWh"] if each.last_reading is not None else []
    told += [f"replaced by {each.replaced_by}"] if each.replaced_by else []
    return ", ".join(told)


def _layouts(facts: MeterFacts) -> Iterator[tuple[str, str]]:
    for each in facts.layouts:
        yield each.profile, f"{each.columns} columns, every {each.capture_period_s} s, read {_time(each.read_at)}"


def _keys(keys: Sequence[KeyFact]) -> Iterator[tuple[str, str]]:
    for key in keys:
        counters = "".join(f"; {_counter(counter)}" for counter in key.counters)
        yield key.key_type, f"version {key.version}, {key.state}{counters}"


def _counter(counter: CounterFact) -> str:
    whose = "our counter" if counter.ours else f"counter of {counter.system_title.hex().upper()}"
    return f"{whose} {counter.highest}{', ALARM: near its end, change the key' if counter.alarm else ''}"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else ""
