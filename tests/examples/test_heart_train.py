"""The trainer by its contract: environment in, files out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from heart import train as trainer
from heart.evaluate import evaluate
from heart.model import build_model
from heart.references import FEDAVG, organizations
from safetensors.torch import load_file, save_file

from fedsnap import sdk

HEART = Path(trainer.__file__).parents[1]


def _environment(root: Path, mode: str, number: int = 1) -> dict[str, str]:
    return {
        "FEDSNAP_MODE": mode,
        "FEDSNAP_SEED": "42",
        "FEDSNAP_ROUND": str(number),
        "FEDSNAP_BASE_DIR": str(root / "base"),
        "FEDSNAP_OUTPUT_DIR": str(root / "output"),
        "FEDSNAP_HYPERPARAMETERS": FEDAVG.model_dump_json(by_alias=True),
        "FEDSNAP_TERMINATION_LOG": str(root / "termination"),
    }


def _run(environment: dict[str, str], data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heart.train"],
        env=os.environ | environment | {"FEDSNAP_DATA_DIR": str(data), "PYTHONPATH": str(HEART)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_trainer_initializes_then_trains_as_a_process(hospitals, tmp_path):
    first = _run(_environment(tmp_path, "Initialize"), hospitals / "cleveland")
    assert first.returncode == 0, first.stderr
    (tmp_path / "output").rename(tmp_path / "base")
    second = _run(_environment(tmp_path, "Train"), hospitals / "cleveland")
    assert second.returncode == 0, second.stderr
    report = json.loads((tmp_path / "output" / "report.json").read_text())
    assert report["examples"] == 203
    assert report["metrics"].keys() == {"accuracy", "loss"}
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "output"))
    assert {name: tensor.shape for name, tensor in before.items()} == {"bias": (1,), "weight": (1, 13)}
    assert not torch.equal(before["weight"], after["weight"])
    assert not (tmp_path / "termination").exists()


def test_a_table_that_is_not_mounted_is_a_failure_that_may_pass(tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    save_file(build_model().state_dict(), tmp_path / "base" / "model.safetensors")
    monkeypatch.setenv("FEDSNAP_DATA_DIR", str(tmp_path / "nothing"))
    assert sdk.execute(build_model, trainer.train, _environment(tmp_path, "Train")) == 1
    error = json.loads((tmp_path / "termination").read_text())["error"]
    assert error["reason"] == "TrainerFailed"
    assert "FileNotFoundError at data.py" in error["message"]


def test_three_rounds_of_trainers_over_files_make_a_good_model(hospitals, tmp_path, monkeypatch):
    assert sdk.execute(build_model, trainer.train, _environment(tmp_path, "Initialize")) == 0
    base = tmp_path / "output" / "model.safetensors"
    for number in (1, 2, 3):
        updates = [
            _member(hospitals / name, tmp_path / name, base, number, monkeypatch) for name in organizations(hospitals)
        ]
        rows = sum(count for count, _ in updates)
        mean = {name: sum(state[name] * (count / rows) for count, state in updates) for name in updates[0][1]}
        base = tmp_path / f"aggregate-{number}.safetensors"
        save_file(mean, base)
    assert evaluate(base, hospitals)["accuracy"] == pytest.approx(0.815, abs=0.04)


def _member(
    data: Path, root: Path, base: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, dict[str, torch.Tensor]]:
    """One member's training of one round: its rows and its weights."""
    (root / "base").mkdir(parents=True, exist_ok=True)
    (root / "base" / "model.safetensors").write_bytes(base.read_bytes())
    monkeypatch.setenv("FEDSNAP_DATA_DIR", str(data))
    assert sdk.execute(build_model, trainer.train, _environment(root, "Train", number)) == 0
    rows = json.loads((root / "output" / "report.json").read_text())["examples"]
    return rows, load_file(root / "output" / "model.safetensors")


def test_a_step_is_that_of_torchs_own_optimizer():
    ours, theirs = build_model(), build_model()
    theirs.load_state_dict(ours.state_dict())
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        inputs = torch.randn(5, 13)
        weights = list(ours.parameters())
        trainer.descend(weights, torch.autograd.grad(ours(inputs).pow(2).mean(), weights), 0.1)
        optimizer.zero_grad()
        theirs(inputs).pow(2).mean().backward()
        optimizer.step()
    assert all(torch.allclose(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_the_trainer_starts_without_torchs_compiler():
    code = "import sys; from heart import train; sys.exit('torch._dynamo' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(HEART)}, check=False
        ).returncode
        == 0
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_the_same_model_as_the_cpu_within_rounding(hospitals):
    trained = {}
    for name in ("cpu", "cuda"):
        torch.manual_seed(42)
        context = sdk.Context.start(build_model(), FEDAVG, device=torch.device(name))
        trainer.fit(context, trainer.read(hospitals / "cleveland" / "train.csv"))
        trained[name] = context.model.weight.detach().cpu()
    assert torch.allclose(trained["cpu"], trained["cuda"], atol=1e-4)
