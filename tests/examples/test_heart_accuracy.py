"""The band of the reference: a logistic model on 13 features reaches 0.81 to 0.82 by every federated algorithm."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest
from heart.references import SEEDS, table

REFERENCE = 0.815
BAND = 0.04
LARGEST = "cleveland alone"


@pytest.fixture(scope="module")
def tables(hospitals: Path) -> list[dict[str, float]]:
    return [table(hospitals, seed) for seed in SEEDS]


@pytest.mark.parametrize("how", ["pooled", "FedAvg", "FedProx"])
def test_three_rounds_land_in_the_band_of_the_reference(tables, how):
    assert mean(row[how] for row in tables) == pytest.approx(REFERENCE, abs=BAND)


@pytest.mark.parametrize("how", ["FedAvg", "FedProx"])
def test_a_federated_model_beats_every_local_model_but_the_largest_with_every_seed(tables, how):
    for row in tables:
        local = {name: value for name, value in row.items() if name.endswith(" alone") and name != LARGEST}
        assert len(local) == 3
        assert row[how] > max(local.values())


def test_a_federated_model_comes_near_the_pooled_one_with_every_seed(tables):
    for row in tables:
        assert row["FedAvg"] == pytest.approx(row["pooled"], abs=BAND)
