from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedsnap.sdk import Context, Result, execute

HYPERPARAMETERS = {"localEpochs": 2, "batchSize": 4, "learningRate": "0.05", "proximalMu": None}


def build_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def step(model: nn.Module, loss: Tensor, size: float) -> None:
    """One step of gradient descent; torch.optim would import the compiler, for seconds."""
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight.sub_(weight.grad, alpha=size)


def train(context: Context) -> Result:
    """Least squares on random rows: enough to move every weight."""
    inputs = torch.randn(8, 3, device=context.device)
    for _ in range(context.hyperparameters.local_epochs):
        loss = (context.model(inputs).squeeze(1) - inputs.sum(1)).pow(2).mean() + context.proximal_term()
        step(context.model, loss, context.learning_rate)
    return Result(examples=8, metrics={"loss": loss.item()})


@dataclass(frozen=True)
class Container:
    """The directories of one train container, and its environment."""

    root: Path

    @property
    def output(self) -> Path:
        return self.root / "output"

    @property
    def weights(self) -> dict[str, Tensor]:
        return load_file(self.output / "model.safetensors")

    @property
    def report(self) -> dict[str, object]:
        return json.loads((self.output / "report.json").read_text())

    @property
    def error(self) -> dict[str, str]:
        return json.loads((self.root / "termination").read_text())["error"]

    def environment(self, **changed: str) -> dict[str, str]:
        return {
            "FEDSNAP_MODE": "Train",
            "FEDSNAP_SEED": "7",
            "FEDSNAP_ROUND": "1",
            "FEDSNAP_BASE_DIR": str(self.root / "base"),
            "FEDSNAP_OUTPUT_DIR": str(self.output),
            "FEDSNAP_HYPERPARAMETERS": json.dumps(HYPERPARAMETERS),
            "FEDSNAP_TERMINATION_LOG": str(self.root / "termination"),
        } | changed

    def with_base(self, tensors: dict[str, Tensor] | None = None) -> Container:
        (self.root / "base").mkdir()
        save_file(tensors or build_model().state_dict(), self.root / "base" / "model.safetensors")
        return self

    def run(self, training: Callable[[Context], Result] = train, **changed: str) -> int:
        return execute(build_model, training, self.environment(**changed))


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)
