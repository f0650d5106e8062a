"""Same seed, same machine kind, same weights; and which device trains."""

from __future__ import annotations

import os
import random

import torch

_NUMPY_SEEDS = 2**32


def seed_everything(seed: int, *, deterministic: bool) -> None:
    """Seed torch, python and, where it is installed, numpy; ask torch for deterministic algorithms."""
    random.seed(seed)
    torch.manual_seed(seed)
    _seed_numpy(seed % _NUMPY_SEEDS)
    if deterministic:
        # cuBLAS reads it when its first handle is made; torch's page on reproducibility names this value.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    # As use_deterministic_algorithms(deterministic), which imports the compiler to tell it: twice the start's seconds.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")


def pick_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _seed_numpy(seed: int) -> None:
    try:
        import numpy as np  # noqa: PLC0415  (a trainer may do without it)
    except ImportError:
        return
    np.random.seed(seed)
