"""The program on docs/training-sdk.md is run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from fedsnap.sdk import execute

PAGE = Path(__file__).parents[2] / "docs" / "training-sdk.md"


def _program() -> dict[str, object]:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {"__name__": "trainer"}
    exec(compile(source, str(PAGE), "exec"), names)  # noqa: S102  # our own page
    return names


def test_the_program_on_the_page_initializes_and_trains(container, monkeypatch):
    torch.save((torch.randn(64, 13), torch.ones(64)), container.root / "train.pt")
    monkeypatch.setenv("FEDSNAP_DATA_DIR", str(container.root))
    program = _program()
    build_model, train = program["build_model"], program["train"]
    assert execute(build_model, train, container.environment(FEDSNAP_MODE="Initialize")) == 0
    first = load_file(container.output / "model.safetensors")
    container.output.rename(container.root / "base")
    assert execute(build_model, train, container.environment()) == 0
    assert container.report["examples"] == 64
    assert not torch.equal(first["2.bias"], container.weights["2.bias"])
