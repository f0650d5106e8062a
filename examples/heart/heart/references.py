"""`python -m heart.references DATA_DIR`: what a federated model is compared with, for the same number of epochs.

All run in one process, by the trainer's own `fit`, without a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fedsnap import sdk
from fedsnap.api.federatedround import Hyperparameters
from heart.data import Examples, read
from heart.evaluate import measure, pooled_test
from heart.model import build_model
from heart.train import fit

ROUNDS = 3
SEEDS = (42, 43, 44)
FEDAVG = Hyperparameters(local_epochs=10, batch_size=32, learning_rate="0.1")
FEDPROX = FEDAVG.model_copy(update={"proximal_mu": "0.1"})


def organizations(data: Path) -> list[str]:
    """The hospitals that have rows below `data`."""
    return sorted(path.parent.name for path in data.glob("*/train.csv"))


def train_alone(
    data: Path, members: Sequence[str], seed: int, hyperparameters: Hyperparameters = FEDAVG, rounds: int = ROUNDS
) -> nn.Module:
    """One model on the rows of the members put together, for as many epochs as the rounds have."""
    torch.manual_seed(seed)
    epochs = hyperparameters.local_epochs * rounds
    budget = hyperparameters.model_copy(update={"local_epochs": epochs, "proximal_mu": None})
    context = sdk.Context.start(build_model(), budget, seed=seed)
    fit(context, read(*(data / member / "train.csv" for member in members)))
    return context.model


def train_federated(
    data: Path, seed: int, hyperparameters: Hyperparameters = FEDAVG, rounds: int = ROUNDS
) -> nn.Module:
    """The mean of all hospitals' models, weighted by their rows, round after round."""
    torch.manual_seed(seed)
    model = build_model()
    parts = [read(data / member / "train.csv") for member in organizations(data)]
    for number in range(1, rounds + 1):
        base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict(_mean([(len(part), _trained(base, part, hyperparameters, number)) for part in parts]))
    return model


def table(data: Path, seed: int) -> dict[str, float]:
    """Accuracy on the pooled test rows, by how the model was made."""
    members, test = organizations(data), pooled_test(data)
    models = {
        "pooled": train_alone(data, members, seed),
        "FedAvg": train_federated(data, seed),
        "FedProx": train_federated(data, seed, FEDPROX),
        **{f"{member} alone": train_alone(data, [member], seed) for member in members},
    }
    return {name: measure(model, test)["accuracy"] for name, model in models.items()}


def _trained(base: dict[str, Tensor], part: Examples, chosen: Hyperparameters, number: int) -> dict[str, Tensor]:
    model = build_model()
    model.load_state_dict(base)
    fit(sdk.Context.start(model, chosen, round=number), part)
    return dict(model.state_dict())


def _mean(updates: list[tuple[int, dict[str, Tensor]]]) -> dict[str, Tensor]:
    total = sum(rows for rows, _ in updates)
    return {
        name: torch.stack([state[name] * (rows / total) for rows, state in updates]).sum(0) for name in updates[0][1]
    }


def _print(data: Path) -> None:
    found = [table(data, seed) for seed in SEEDS]
    print(f"{'':20}" + "".join(f"{seed:>8}" for seed in SEEDS) + f"{'mean':>8}")
    for name in found[0]:
        values = [row[name] for row in found]
        print(f"{name:20}" + "".join(f"{value:8.3f}" for value in [*values, sum(values) / len(values)]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if not sys.argv[1:]:
        sys.exit("usage: python -m heart.references DATA_DIR")
    _print(Path(sys.argv[1]))
