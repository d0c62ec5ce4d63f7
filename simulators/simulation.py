"""All that is simulated together: a fleet, its meter types, the world it lives in, its faults and its pushes.

The one rule: it says what there is. Whoever serves it (`run.py`) makes its meters once, all of them on one clock.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from profiles.meter_type import MeterType
from simulators.conditions import Around
from simulators.expect import AnswerKey
from simulators.faults import MeterFaults, faults_of_meters
from simulators.faulty_meter import maker_of_meters
from simulators.fleet import REGISTRY_COLUMNS, Fleet, Identity
from simulators.fleet_file import FleetFile
from simulators.meter import SimulatedMeter, suite_of, town_of
from simulators.model import object_model
from simulators.registers import Columns
from simulators.schedule import PushPlan
from simulators.world import World


@dataclass(frozen=True, slots=True)
class Simulation:
    """`type_of`: the meter type of each meter, by its index. `eventful`: whether supply can fail in the world."""

    fleet: Fleet
    type_of: Sequence[MeterType]
    world: World
    eventful: bool
    faults: Mapping[int, MeterFaults]
    push: PushPlan | None

    @classmethod
    def of_type(cls, fleet: Fleet, meter_type: MeterType) -> Simulation:
        """A fleet of one meter type, in a town where nothing happens."""
        return cls(fleet, [meter_type] * len(fleet), town_of(fleet, meter_type), False, {}, None)

    @classmethod
    def of_file(cls, file: FleetFile) -> Simulation:
        """What a fleet file says. SettingsError for an outage of a node that is not there."""
        fleet, types = file.fleet(), [one.meter_type for one in file.meter_types.values()]
        of_meters = [types[place] for place in file.population().meter_type.tolist()]
        faults = faults_of_meters(file.faults, file.seed, len(fleet))
        return cls(fleet, of_meters, file.world(), True, faults, file.push)

    @property
    def meter_types(self) -> tuple[MeterType, ...]:
        """Those that some meter has, each once."""
        return tuple({one.name: one for one in self.type_of}.values())

    def meters(self, clock: Callable[[], datetime]) -> dict[str, SimulatedMeter]:
        """The meters, by their host address. SettingsError for a type that can't be simulated."""
        shared = {one.name: (object_model(one), Columns(one), suite_of(one)) for one in self.meter_types}
        around, make = Around(self.world), maker_of_meters(self.faults)
        found: dict[str, SimulatedMeter] = {}
        for identity in self.fleet:
            meter_type = self.type_of[identity.index]
            objects, columns, suite = shared[meter_type.name]
            keys = self.fleet.keys(identity.index, suite)
            found[identity.host] = make(meter_type, identity, keys, around, clock, objects=objects, columns=columns)
        return found

    def answer_keys(self) -> list[AnswerKey]:
        """What the meters of each type must have said."""
        of_types: dict[str, list[int]] = {one.name: [] for one in self.meter_types}
        for index, meter_type in enumerate(self.type_of):
            of_types[meter_type.name].append(index)
        return [AnswerKey(self.fleet, one, self.world, of_types[one.name]) for one in self.meter_types]

    def write_registry(self, stream: TextIO, address_of: Callable[[Identity], str]) -> None:
        """The meter list that the registry imports, keys and all, with feeder and transformer."""
        suites = {one.name: suite_of(one) for one in self.meter_types}
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow((*REGISTRY_COLUMNS, "feeder", "transformer"))
        for identity in self.fleet:
            name = self.type_of[identity.index].name
            _, feeder, transformer, _ = self.world.topology.path(identity.index)
            registered = self.fleet.registered(identity, address_of(identity), name, suites[name])
            rows.writerow((*registered, feeder, transformer))
