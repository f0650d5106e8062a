"""`python -m heart.evaluate MODEL DATA_DIR`: how good a model is on the test rows of all hospitals."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from heart.data import Examples, read
from heart.model import build_model


def measure(model: nn.Module, examples: Examples) -> dict[str, float]:
    """Accuracy and loss."""
    device = next(model.parameters()).device
    labels = examples.labels.to(device)
    with torch.no_grad():
        scores = model(examples.inputs.to(device)).squeeze(1)
    right = (scores > 0) == (labels > 0)
    return {
        "accuracy": right.float().mean().item(),
        "loss": binary_cross_entropy_with_logits(scores, labels).item(),
    }


def pooled_test(data: Path) -> Examples:
    """The test rows of every hospital below `data`."""
    return read(*sorted(data.glob("*/test.csv")))


def evaluate(weights: Path, data: Path) -> dict[str, float]:
    """Accuracy and loss of a model.safetensors on the pooled test rows."""
    model = build_model()
    model.load_state_dict(load_file(weights))
    return measure(model, pooled_test(data))


if __name__ == "__main__":
    match sys.argv[1:]:
        case [weights, data]:
            found = evaluate(Path(weights), Path(data))
            print(f"accuracy {found['accuracy']:.3f}, loss {found['loss']:.3f}")
        case _:
            sys.exit("usage: python -m heart.evaluate MODEL.safetensors DATA_DIR")
