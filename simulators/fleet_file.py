"""The fleet file: which meters there are, where they hang, who is behind them, and what befalls them.

The one rule: what the file does not name does not happen; a key that nobody knows is an error, with file and line. The
file says shares, the seed decides which meter is which, so that a file describes ten meters as well as a million.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from profiles.errors import SettingsError
from profiles.loader import load_meter_type
from profiles.meter_type import MeterType
from profiles.toml_file import Source
from profiles.type_file import Keys
from simulators.faults import Fault, read_faults
from simulators.fleet import Fleet, in_proportion
from simulators.load.archetypes import ARCHETYPES
from simulators.load.curve import kind_number
from simulators.load.noise import Integers, choose, unit
from simulators.outages import LEVELS, DeclaredOutage, OutageRates, has_node
from simulators.registers import MAKERS
from simulators.schedule import PushPlan, read_push_plan
from simulators.spans import MOST_PER_YEAR, Rate
from simulators.tampers import TAMPERS
from simulators.topology import Division, Topology, lay_out
from simulators.world import Sites, World

_MOST_METERS: Final = 1_000_000
_MOST_SHARE: Final = 1e9
_USUAL_CURRENT_RATIO: Final = 20
MAKERS_BY_FLAG: Final = {maker.flag: maker for maker in MAKERS}
_LINE_2: Final = 52
"""OBIS group C of the voltage of L2: what captures it is a three-phase meter."""


@dataclass(frozen=True, slots=True)
class TypeShare:
    """One meter type in the fleet: its number of phases, and the ratios of the instrument transformers before it."""

    meter_type: MeterType
    phases: int
    current_ratio: int
    voltage_ratio: int


@dataclass(frozen=True, slots=True)
class ArchetypeShare:
    """One archetype of consumers: how many there are beside the others, and what share has which meter type."""

    name: str
    share: float
    meter_types: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Who is who, arrays by meter index: places among the file's archetypes, meter types and makers."""

    archetype: Integers
    meter_type: Integers
    maker: Integers


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A fleet file as it was read. `makers`: FLAG id to share. `push`: what meters push, and where to; None where they
    push nothing."""

    path: Path
    seed: int
    commissioned_at: datetime
    divisions: tuple[Division, ...]
    meters_per_transformer: int
    transformers_per_feeder: int
    archetypes: tuple[ArchetypeShare, ...]
    meter_types: Mapping[str, TypeShare]
    makers: Mapping[str, float]
    outages: OutageRates
    tampers: Mapping[str, Rate]
    push: PushPlan | None
    faults: tuple[Fault, ...]

    @property
    def meters(self) -> int:
        """How many there are."""
        return sum(division.meters for division in self.divisions)

    def scaled(self, meters: int) -> FleetFile:
        """The same fleet with so many meters, spread over its divisions in proportion. What is declared of a node that
        so small a grid lacks does not happen."""
        share = in_proportion(meters, {division.name: division.meters for division in self.divisions})
        scaled = replace(self, divisions=tuple(replace(one, meters=share[one.name]) for one in self.divisions))
        grid = scaled.topology()
        declared = tuple(one for one in self.outages.declared if has_node(grid, one))
        return replace(scaled, outages=replace(self.outages, declared=declared))

    def fleet(self) -> Fleet:
        """Identities, addresses and keys. SettingsError for more meters than there are addresses."""
        made_by, makers = self.population().maker.tolist(), [MAKERS_BY_FLAG[flag] for flag in self.makers]
        return Fleet(
            self.seed,
            self.meters,
            {one.name: one.meters for one in self.divisions},
            self.commissioned_at,
            lambda index: makers[made_by[index]],
        )

    def topology(self) -> Topology:
        """The grid above the meters. SettingsError for two feeders of one name."""
        return lay_out(
            self.seed,
            self.divisions,
            meters_per_transformer=self.meters_per_transformer,
            transformers_per_feeder=self.transformers_per_feeder,
        )

    def population(self) -> Population:
        """Which meter is which: a function of the seed and its index."""
        index = np.arange(self.meters)
        archetype = choose(unit(self.seed, "archetype", index), [one.share for one in self.archetypes])
        draw, names = unit(self.seed, "meter type", index), list(self.meter_types)
        meter_type = np.zeros(self.meters, np.int64)
        for place, one in enumerate(self.archetypes):
            its_types = np.array([names.index(name) for name in one.meter_types], np.int64)
            here = archetype == place
            meter_type[here] = its_types[choose(draw[here], list(one.meter_types.values()))]
        return Population(archetype, meter_type, choose(unit(self.seed, "maker", index), list(self.makers.values())))

    def world(self) -> World:
        """What the meters live in. SettingsError for an outage that is declared of a node that is not there."""
        who, types = self.population(), tuple(self.meter_types.values())
        of_types = {
            name: np.array([getattr(one, name) for one in types], np.int64)[who.meter_type]
            for name in ("phases", "current_ratio", "voltage_ratio")
        }
        kinds = np.array([kind_number(one.name) for one in self.archetypes], np.int64)
        sites = Sites(kind=kinds[who.archetype], **of_types)
        commissioned = int(self.commissioned_at.timestamp())
        return World(self.seed, self.topology(), sites, commissioned, self.outages, self.tampers)


def read_fleet_file(path: Path) -> FleetFile:
    """Read and check a fleet file. SettingsError names file, line and key."""
    source = Source.read(path, "a fleet")
    keys = Keys([source], (), source.table)
    topology, types, push = (keys.table(name) for name in ("topology", "meter_types", "push"))
    archetypes = _archetypes(keys.table("archetypes"))
    used = dict.fromkeys(name for one in archetypes for name in one.meter_types)
    read = FleetFile(
        path=path,
        seed=keys.integer("seed", 0, 2**63 - 1),
        commissioned_at=_moment(keys, "commissioned_at"),
        divisions=_divisions(path, keys),
        meters_per_transformer=topology.integer("meters_per_transformer", 1, 10_000, 40),
        transformers_per_feeder=topology.integer("transformers_per_feeder", 1, 10_000, 8),
        archetypes=archetypes,
        meter_types=MappingProxyType({name: _type_share(types, name) for name in used}),
        makers=_makers(keys),
        outages=_outages(source, keys.table("outages")),
        tampers=_tampers(keys.table("tampers")),
        push=read_push_plan(push) if "destination" in push else None,
        faults=read_faults(keys.table("faults")),
    )
    for table in (topology, types, push, keys):
        table.close()
    return read


def phases_of(meter_type: MeterType) -> int:
    """3 where the type captures the voltage of a second phase, else 1."""
    captured = (column.obis.c for profile in meter_type.profiles.values() for column in profile.capture_objects)
    return 3 if _LINE_2 in captured else 1


def _divisions(path: Path, keys: Keys) -> tuple[Division, ...]:
    """From the list of the roll-out, if the file names one, and from its own tables."""
    listed = _rollout(path.parent / keys.text("rollout")) if "rollout" in keys else ()
    table = keys.table("divisions")
    own = []
    for name, _ in table.items():
        division = table.table(name)
        own.append(Division(name, division.integer("meters", 1, _MOST_METERS), division.texts("feeders")))
        division.close()
    again = {one.name for one in own} & {one.name for one in listed}
    if again:
        raise table.wrong(min(again), message="stands in the list of the roll-out already")
    if not 0 < sum(one.meters for one in (*listed, *own)) <= _MOST_METERS:
        raise keys.wrong("divisions", message=f"a fleet has 1 to {_MOST_METERS} meters")
    return (*listed, *own)


def _rollout(path: Path) -> tuple[Division, ...]:
    """Divisions and their government connections from a list; a division that has none yet is left out."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    found: dict[str, Division] = {}
    for line, row in enumerate(rows, 2):
        name, number = row.get("division") or "", row.get("government_connections")
        if not name or number is None or not (number == "" or (number.isascii() and number.isdecimal())):
            raise SettingsError(f"{path}:{line}: needs a division and its whole number of government_connections")
        if name in found:
            raise SettingsError(f"{path}:{line}: {name} stands there twice")
        if number and int(number):
            found[name] = Division(name, int(number))
    return tuple(found.values())


def _archetypes(keys: Keys) -> tuple[ArchetypeShare, ...]:
    found = []
    for name, _ in keys.items():
        table = keys.table(name)
        if name not in ARCHETYPES:
            raise keys.wrong(name, message=f"is no archetype; there are {', '.join(ARCHETYPES)}")
        found.append(ArchetypeShare(name, table.number("share", 0, _MOST_SHARE, 1), _shares(table, "meter_types")))
        table.close()
    if not any(one.share for one in found):
        raise keys.wrong(message="needs at least one archetype with a share above 0")
    return tuple(found)


def _type_share(keys: Keys, name: str) -> TypeShare:
    """A meter type that some archetype has, and what the fleet file says of it beside its own file."""
    table = keys.table(name)
    try:
        meter_type = load_meter_type(name)
    except SettingsError as error:
        raise keys.wrong(name, message=error.message) from None
    behind = meter_type.ratios is not None
    read = TypeShare(
        meter_type,
        phases=table.choice("phases", (1, 3), phases_of(meter_type)),
        current_ratio=table.integer("current_ratio", 1, 10_000, _USUAL_CURRENT_RATIO if behind else 1),
        voltage_ratio=table.integer("voltage_ratio", 1, 10_000, 1),
    )
    if not behind and (read.current_ratio, read.voltage_ratio) != (1, 1):
        raise keys.wrong(name, message=f"{name} is not connected through instrument transformers")
    table.close()
    return read


def _shares(keys: Keys, key: str) -> Mapping[str, float]:
    """A table of names and shares of which at least one is above 0."""
    table = keys.table(key)
    shares = {name: table.number(name, 0, _MOST_SHARE, 0) for name, _ in table.items()}
    if not any(shares.values()):
        raise keys.wrong(key, message="needs at least one share above 0")
    return MappingProxyType(shares)


def _makers(keys: Keys) -> Mapping[str, float]:
    """What share of the meters is of which maker; as many of each where the file does not say."""
    if "makers" not in keys:
        return MappingProxyType(dict.fromkeys(MAKERS_BY_FLAG, 1.0))
    makers = _shares(keys, "makers")
    for flag in makers:
        if flag not in MAKERS_BY_FLAG:
            raise keys.wrong("makers", flag, message=f"is no maker; there are {', '.join(MAKERS_BY_FLAG)}")
    return makers


def _outages(source: Source, keys: Keys) -> OutageRates:
    rates = {level: _rate(keys.table(level)) for level in ("feeder", "transformer", "meter")}
    declared = keys.take("declared", [])
    if not isinstance(declared, list):
        raise keys.wrong("declared", message="must be tables [[outages.declared]]")
    keys.close()
    return OutageRates(
        **rates,
        declared=tuple(_declared(Keys([source], ("outages", "declared", n), one)) for n, one in enumerate(declared)),
    )


def _declared(keys: Keys) -> DeclaredOutage:
    levels = [level for level in LEVELS if level in keys]
    if len(levels) != 1:
        raise keys.wrong(message=f"must name one of {', '.join(LEVELS)}")
    level = levels[0]
    name = str(keys.integer(level, 0, _MOST_METERS)) if level == "meter" else keys.text(level)
    start, end = (int(_moment(keys, key).timestamp()) for key in ("start", "end"))
    if end <= start:
        raise keys.wrong("end", message="must be after the start")
    keys.close()
    return DeclaredOutage(level, name, start, end)


def _tampers(keys: Keys) -> Mapping[str, Rate]:
    for name, _ in keys.items():
        if name not in TAMPERS:
            raise keys.wrong(name, message=f"is no tamper; there are {', '.join(TAMPERS)}")
    return MappingProxyType({name: _rate(keys.table(name)) for name, _ in keys.items()})


def _rate(keys: Keys) -> Rate:
    """How often and how long; an empty table is never."""
    rate = Rate(
        keys.number("per_year", 0, MOST_PER_YEAR, 0),
        keys.number("median_minutes", 0.1, 100_000, 30) * 60,
        keys.number("longest_hours", 0.1, 1000, 24) * 3600,
    )
    keys.close()
    return rate


def _moment(keys: Keys, key: str) -> datetime:
    moment = keys.take(key)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise keys.wrong(key, message="must be a date and time with its offset, like 2026-01-01T00:00:00+05:30")
    return moment.astimezone(UTC)
