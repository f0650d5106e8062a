"""A trainer for tests: numpy only, exact arithmetic, and it misbehaves on request (PLAIN_BEHAVIOUR)."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

SHAPES = {"bias": (3,), "weight": (5, 3)}


def main() -> int:
    output = Path(os.environ["FEDSNAP_OUTPUT_DIR"])
    if os.environ["FEDSNAP_MODE"] == "Initialize":
        generator = np.random.default_rng(int(os.environ["FEDSNAP_SEED"]))
        first = {name: generator.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}
        save_file(first, output / "model.safetensors")
        return 0
    behaviour = os.environ.get("PLAIN_BEHAVIOUR", "good")
    base = load_file(Path(os.environ["FEDSNAP_BASE_DIR"]) / "model.safetensors")
    shift = np.float32(os.environ.get("PLAIN_SHIFT", "0.25"))
    trained = {name: tensor + shift for name, tensor in base.items()}
    if behaviour == "fails":
        return 3
    if behaviour == "hangs":
        signal.pause()
    if behaviour == "writes NaN":
        trained["weight"][1, 1] = np.nan
    if behaviour == "renames a tensor":
        trained["wait"] = trained.pop("weight")
    if behaviour == "changes a shape":
        trained["weight"] = np.ascontiguousarray(trained["weight"].T)
    save_file(trained, output / "model.safetensors")
    if behaviour == "truncates its file":
        file = output / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-7])
    report = {"examples": int(os.environ.get("PLAIN_EXAMPLES", "10")), "metrics": {"loss": 0.5}, "framework": {}}
    (output / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
