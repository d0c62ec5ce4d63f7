"""The grid above the meters."""

from __future__ import annotations

import numpy as np
import pytest

from profiles.errors import SettingsError
from simulators.topology import Division, divisions_of, lay_out

DIVISIONS = divisions_of({"Bhopal city": 1749, "Datia": 323, "Harda": 1})


def test_every_meter_hangs_on_one_transformer_of_its_division() -> None:
    grid = lay_out(3, DIVISIONS)
    assert len(grid) == 2073
    assert [int((grid.division == place).sum()) for place in range(3)] == [1749, 323, 1]
    assert (np.diff(grid.division) >= 0).all()
    for meter in (0, 1748, 1749, 2072):
        division, feeder, transformer, phase = grid.path(meter)
        assert feeder.startswith(division)
        assert transformer.startswith(feeder)
        assert phase in "RYB"


def test_no_transformer_or_feeder_bears_more_than_it_should() -> None:
    grid = lay_out(3, DIVISIONS, meters_per_transformer=25, transformers_per_feeder=4)
    assert np.bincount(grid.transformer).max() <= 25
    assert np.bincount(grid.transformer).min() >= 1
    assert np.bincount(grid.transformer_feeder).max() <= 5
    assert len({node.name for node in grid.transformers}) == len(grid.transformers)


def test_neighbours_in_the_list_are_neighbours_on_the_grid_and_share_its_phases() -> None:
    grid = lay_out(3, DIVISIONS)
    assert (np.diff(grid.transformer) >= 0).all()
    assert np.bincount(grid.phase, minlength=3).min() / len(grid) > 0.28


def test_a_node_keeps_its_noise_when_a_division_is_added_before_it() -> None:
    few, more = lay_out(3, DIVISIONS), lay_out(3, (*divisions_of({"Ashta": 500}), *DIVISIONS))
    kept = dict(zip((node.name for node in few.feeders), few.feeder_noise.tolist(), strict=True))
    found = dict(zip((node.name for node in more.feeders), more.feeder_noise.tolist(), strict=True))
    assert kept.items() < found.items()


def test_named_feeders_share_the_transformers_of_their_division() -> None:
    grid = lay_out(3, [Division("Bhopal city", 400, ("Arera", "Kolar Road"))], meters_per_transformer=40)
    assert [node.name for node in grid.feeders] == ["Arera", "Kolar Road"]
    assert np.bincount(grid.feeder).tolist() == [200, 200]
    assert grid.path(399)[2].startswith("Kolar Road T")


def test_two_feeders_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="Arera"):
        lay_out(3, [Division("Bhopal city", 40, ("Arera",)), Division("Datia", 40, ("Arera",))])
