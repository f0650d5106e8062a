"""What a training function returns, and the report that is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real

import torch

from fedsnap.sdk.errors import Refused

MAX_METRICS = 16
MAX_EXAMPLES = 2**31
_METRIC_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_./-]{0,63}$")


@dataclass(frozen=True, slots=True)
class Result:
    """How many examples the weights were trained on (the update's weight in the average), and what was measured.

    The report leaves the organization: no metric may describe a single example.
    """

    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)


def report(result: Result, device: torch.device) -> str:
    """The text of report.json.

    Raises:
        Refused: ResultInvalid, ExamplesInvalid or MetricsInvalid.
    """
    if not isinstance(result, Result):
        raise Refused("ResultInvalid", f"expected train to return fedsnap.sdk.Result, got {type(result).__name__}")
    framework = {"torch": str(torch.__version__), "device": str(device)}
    return json.dumps(
        {"examples": _examples(result.examples), "metrics": _metrics(result.metrics), "framework": framework}
    )


def _examples(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, Integral) or not 1 <= int(count) <= MAX_EXAMPLES:
        shown = count if isinstance(count, Real) else type(count).__name__
        raise Refused(
            "ExamplesInvalid",
            f"expected Result.examples to be a whole number in 1..{MAX_EXAMPLES}, got {shown}; "
            "count the rows that were trained on",
        )
    return int(count)


def _metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    if len(metrics) > MAX_METRICS:
        raise Refused("MetricsInvalid", f"expected at most {MAX_METRICS} metrics, got {len(metrics)}; report fewer")
    return {_named(name): _finite(name, value) for name, value in metrics.items()}


def _named(name: object) -> str:
    if not isinstance(name, str) or not _METRIC_NAME.match(name):
        raise Refused(
            "MetricsInvalid",
            "expected names of metrics to have at most 64 letters, digits or any of _./- and to begin with a letter",
        )
    return name


def _finite(name: str, value: object) -> float:
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise Refused(
            "MetricsInvalid", f"expected the metric {name!r} to be one finite number; leave it out or mend it"
        )
    return float(value)
