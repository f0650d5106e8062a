from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fedsnap.jobs import results
from fedsnap.sdk import Context, Result, TrainingRefused, errors, execute
from sdk.conftest import Container, build_model, train

TRAINER = """
from fedsnap import sdk
from sdk.conftest import build_model

def train(context):
    raise ValueError("cannot read the row of Jane Doe, 61")

sdk.run(build_model, train)
"""


def test_initialize_writes_first_weights_that_the_seed_decides(tmp_path):
    one, same, other = (Container(tmp_path / name) for name in ("one", "same", "other"))
    for container, seed in ((one, "7"), (same, "7"), (other, "8")):
        assert container.run(FEDSNAP_MODE="Initialize", FEDSNAP_SEED=seed) == 0
    first = (one.output / "model.safetensors").read_bytes()
    assert first == (same.output / "model.safetensors").read_bytes()
    assert first != (other.output / "model.safetensors").read_bytes()
    assert sorted(path.name for path in one.output.iterdir()) == ["model.safetensors"]


def test_initialize_needs_neither_base_nor_hyperparameters(container):
    environment = container.environment(FEDSNAP_MODE="Initialize", FEDSNAP_BASE_DIR="", FEDSNAP_HYPERPARAMETERS="")
    assert container.run(**environment) == 0


def test_train_starts_from_the_base_and_reports_what_it_did(container):
    base = {name: torch.full_like(tensor, 0.25) for name, tensor in build_model().state_dict().items()}
    seen = []

    def look(context: Context) -> Result:
        seen.append({name: tensor.cpu().clone() for name, tensor in context.model.state_dict().items()})
        return train(context)

    assert container.with_base(base).run(look) == 0
    assert all(torch.equal(seen[0][name], tensor) for name, tensor in base.items())
    assert all(not torch.equal(container.weights[name], tensor) for name, tensor in base.items())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert container.report["examples"] == 8
    assert container.report["metrics"].keys() == {"loss"}
    assert container.report["framework"] == {"torch": torch.__version__, "device": device}


def test_the_same_round_trained_twice_gives_the_same_bytes(container):
    container.with_base()
    written = []
    for _ in range(2):
        assert container.run() == 0
        written.append((container.output / "model.safetensors").read_bytes())
    assert written[0] == written[1]


def test_training_is_told_its_hyperparameters_round_and_seed(container):
    seen = []

    def look(context: Context) -> Result:
        seen.append(context)
        return Result(examples=1)

    assert container.with_base().run(look, FEDSNAP_ROUND="3") == 0
    (context,) = seen
    assert (context.round, context.seed, context.hyperparameters.local_epochs) == (3, 7, 2)
    assert context.learning_rate == 0.05


def test_output_can_be_read_by_a_container_of_another_user(container):
    assert container.with_base().run() == 0
    assert {path.stat().st_mode & 0o044 for path in container.output.iterdir()} == {0o044}


def test_an_exception_of_training_code_is_reported_without_its_text(container):
    environment = os.environ | container.with_base().environment()
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", TRAINER], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == errors.EXIT_RETRY
    assert container.error == {
        "reason": "TrainerFailed",
        "message": "training raised ValueError at <string>:6 (train); its text is in the train container's log",
    }
    assert "Jane Doe" in done.stderr
    assert not container.output.exists()


def test_training_code_that_exits_by_itself_has_failed(container):
    def leave(_: Context) -> Result:
        sys.exit(0)

    assert container.with_base().run(leave) == errors.EXIT_RETRY
    assert container.error["reason"] == "TrainerFailed"


def test_a_refusal_of_training_code_is_final_and_told_in_its_own_words(container):
    def refuse(_: Context) -> Result:
        raise TrainingRefused("train.csv has no rows; mount the hospital's table")

    assert container.with_base().run(refuse) == errors.EXIT_REFUSED
    assert container.error == {
        "reason": "TrainingRefused",
        "message": "train.csv has no rows; mount the hospital's table",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_and_not_written(container, value):
    def spoil(context: Context) -> Result:
        with torch.no_grad():
            context.model[2].bias.fill_(value)
        return Result(examples=8)

    assert container.with_base().run(spoil) == errors.EXIT_REFUSED
    assert container.error["reason"] == "WeightsNotFinite"
    assert container.error["message"].startswith("after training, 2.bias holds NaN or infinite values")
    assert not container.output.exists()


def test_a_model_whose_tensors_training_changed_is_refused(container):
    def halve(context: Context) -> Result:
        context.model.half()
        return Result(examples=8)

    assert container.with_base().run(halve) == errors.EXIT_REFUSED
    assert container.error["reason"] == "ModelChanged"
    assert "0.bias: expected float32[4], found float16[4]" in container.error["message"]


def test_an_environment_that_breaks_the_contract_is_final(container):
    assert container.run(FEDSNAP_MODE="Sleep") == errors.EXIT_CONFIGURATION
    assert container.error["message"] == "expected FEDSNAP_MODE to be Train or Initialize, got 'Sleep'"


def test_operations_that_differ_from_run_to_run_fail_unless_they_are_allowed(container, capfd):
    def scatter(context: Context) -> Result:
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        return train(context)

    environment = container.with_base().environment()
    assert execute(build_model, scatter, environment) == errors.EXIT_RETRY
    assert "does not have a deterministic implementation" in capfd.readouterr().err
    assert execute(build_model, scatter, environment, deterministic=False) == 0


def test_a_message_fits_a_termination_message_and_is_read_as_one(container):
    def refuse(_: Context) -> Result:
        raise TrainingRefused("\N{SNOWMAN}" * 5000)

    assert container.with_base().run(refuse) == errors.EXIT_REFUSED
    text = (container.root / "termination").read_text()
    message = results.parse_termination(text)
    assert isinstance(message, results.FailureMessage)
    assert message.error.reason == "TrainingRefused"


def test_exit_codes_are_those_of_the_jobs():
    assert errors.EXIT_RETRY == results.EXIT_RETRY
    assert errors.EXIT_REFUSED == results.EXIT_REFUSED_INPUT
    assert errors.EXIT_CONFIGURATION == results.EXIT_CONFIGURATION


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_where_there_is_one_and_the_same_bytes_twice(container):
    container.with_base()
    written = []
    for _ in range(2):
        assert container.run() == 0
        written.append((container.output / "model.safetensors").read_bytes())
    assert container.report["framework"]["device"] == "cuda"
    assert written[0] == written[1]
