from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "heart"))


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory) -> Path:
    """The prepared rows of the four hospitals."""
    from heart.prepare import prepare  # noqa: PLC0415

    torch.set_num_threads(1)
    data = tmp_path_factory.mktemp("hospitals")
    prepare(data)
    return data
