from __future__ import annotations

from pathlib import Path

import pytest

from fedsnap.sdk.environment import Initialization, Training, read_task
from fedsnap.sdk.errors import Misconfigured


def test_train_reads_every_variable(container):
    task = read_task(container.environment())
    assert isinstance(task, Training)
    assert (task.seed, task.round, task.base, task.output) == (7, 1, container.root / "base", container.output)
    assert task.hyperparameters.learning_rate == "0.05"
    assert task.hyperparameters.proximal_mu is None


def test_initialize_reads_seed_and_output_alone():
    environment = {"FEDSNAP_MODE": "Initialize", "FEDSNAP_SEED": "0", "FEDSNAP_OUTPUT_DIR": "/out"}
    assert read_task(environment) == Initialization(seed=0, output=Path("/out"))


@pytest.mark.parametrize(
    "name",
    [
        "FEDSNAP_MODE",
        "FEDSNAP_SEED",
        "FEDSNAP_OUTPUT_DIR",
        "FEDSNAP_BASE_DIR",
        "FEDSNAP_ROUND",
        "FEDSNAP_HYPERPARAMETERS",
    ],
)
def test_a_missing_variable_is_named(container, name):
    with pytest.raises(Misconfigured, match=name) as caught:
        read_task(container.environment(**{name: ""}))
    assert caught.value.reason == "EnvironmentMissing"


@pytest.mark.parametrize("seed", ["-1", "1.5", "one", "9" * 19, "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_a_seed_that_is_no_whole_number_is_refused(container, seed):
    with pytest.raises(Misconfigured, match="FEDSNAP_SEED"):
        read_task(container.environment(FEDSNAP_SEED=seed))


@pytest.mark.parametrize(
    ("text", "where"),
    [("{", "the document"), ('{"localEpochs": 0}', "localEpochs"), ('{"learningRate": "fast"}', "learningRate")],
)
def test_wrong_hyperparameters_are_named(container, text, where):
    with pytest.raises(Misconfigured, match=f"FEDSNAP_HYPERPARAMETERS is wrong at '{where}'"):
        read_task(container.environment(FEDSNAP_HYPERPARAMETERS=text))
