"""`python -m heart.compare MODEL DATA_DIR`: a federated model beside those that were never federated, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from heart.evaluate import evaluate, measure, pooled_test
from heart.references import SEEDS, organizations, train_alone


def compare(weights: Path, data: Path) -> dict[str, object]:
    """Accuracy on the pooled test rows, by model, each with the same number of epochs."""
    members, test = organizations(data), pooled_test(data)
    groups = {**{f"{member} alone": [member] for member in members}, "all rows in one place": members}
    found = {name: measure(train_alone(data, group, SEEDS[0]), test)["accuracy"] for name, group in groups.items()}
    pooled = found.popitem()
    table = {**found, "federated": evaluate(weights, data)["accuracy"], pooled[0]: pooled[1]}
    return {"rows": len(test), "accuracy": table}


if __name__ == "__main__":
    if len(sys.argv) != 3:  # noqa: PLR2004
        sys.exit("usage: python -m heart.compare MODEL.safetensors DATA_DIR")
    print(json.dumps(compare(Path(sys.argv[1]), Path(sys.argv[2]))))
