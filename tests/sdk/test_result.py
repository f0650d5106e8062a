from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fedsnap.sdk import Result
from fedsnap.sdk.errors import Refused
from fedsnap.sdk.result import report

CPU = torch.device("cpu")


def _reason(result: object) -> str:
    with pytest.raises(Refused) as caught:
        report(result, CPU)
    return caught.value.reason


def test_numbers_of_python_numpy_and_torch_are_reported():
    metrics = {"a": 1, "b": 0.5, "c": np.float32(0.25), "d": torch.tensor(2.0)}
    assert json.loads(report(Result(examples=3, metrics=metrics), CPU))["metrics"] == {
        "a": 1.0,
        "b": 0.5,
        "c": 0.25,
        "d": 2.0,
    }


def test_examples_counted_by_numpy_are_reported():
    assert json.loads(report(Result(examples=np.int64(8)), CPU))["examples"] == 8


@pytest.mark.parametrize("examples", [0, -1, 2.0, True, "8", None, 2**31 + 1])
def test_examples_must_be_a_positive_whole_number(examples):
    assert _reason(Result(examples=examples)) == "ExamplesInvalid"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5", None, True, torch.ones(2)])
def test_metrics_must_be_finite_numbers(value):
    assert _reason(Result(examples=1, metrics={"loss": value})) == "MetricsInvalid"


@pytest.mark.parametrize("name", ["", "0", "with space", "x" * 65, 3])
def test_metrics_have_short_plain_names(name):
    assert _reason(Result(examples=1, metrics={name: 1.0})) == "MetricsInvalid"


def test_sixteen_metrics_are_reported_and_seventeen_refused():
    metrics = {f"m{index}": 1.0 for index in range(16)}
    assert report(Result(examples=1, metrics=metrics), CPU)
    assert _reason(Result(examples=1, metrics=metrics | {"more": 1.0})) == "MetricsInvalid"


def test_anything_but_a_result_is_refused_by_its_type():
    assert _reason({"examples": 8}) == "ResultInvalid"
    assert _reason(None) == "ResultInvalid"
