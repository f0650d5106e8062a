"""A logistic regression on 13 inputs."""

from __future__ import annotations

from torch import nn

from heart.data import FEATURES


def build_model() -> nn.Module:
    """One weight per input and a bias: 14 numbers."""
    return nn.Linear(FEATURES, 1)
