"""The rows of one hospital, as 13 numbers each, by constants that need nobody's data.

Columns as in the UCI heart-disease table, without `slope`, `ca` and `thal`, which three of four hospitals hardly
recorded. Centers and scales are round numbers of adult medicine, the same for every hospital: statistics of one
hospital would make the hospitals' inputs differ, statistics of all would have to be shared first.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

COLUMNS = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "disease")
# Column: center and scale.
NUMBERS = {
    "age": (55.0, 10.0),  # years
    "trestbps": (130.0, 20.0),  # resting blood pressure, mm Hg
    "chol": (240.0, 60.0),  # serum cholesterol, mg/dl
    "thalach": (140.0, 25.0),  # greatest heart rate, 1/min
    "oldpeak": (1.0, 1.0),  # ST depression, mm
}
# Column: the values that get an input of their own; the one left out is the reference.
CHOICES = {
    "sex": ("Male",),
    "fbs": ("True",),
    "exang": ("True",),
    "cp": ("atypical angina", "non-anginal", "asymptomatic"),
    "restecg": ("st-t abnormality", "lv hypertrophy"),
}
FEATURES = len(NUMBERS) + sum(len(values) for values in CHOICES.values())
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Examples:
    """Inputs (n, 13) and labels (n), 1 for disease."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def read(*paths: Path) -> Examples:
    """The rows of CSV files, one after the other."""
    rows: list[Row] = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            rows.extend(csv.DictReader(file))
    return Examples(
        torch.tensor([inputs(row) for row in rows], dtype=torch.float32),
        torch.tensor([float(row["disease"]) for row in rows], dtype=torch.float32),
    )


def inputs(row: Row) -> list[float]:
    """The 13 inputs of one patient."""
    numbers = [_scaled(column, float(row[column])) for column in NUMBERS]
    return numbers + [float(row[column] == value) for column, values in CHOICES.items() for value in values]


def _scaled(column: str, value: float) -> float:
    center, scale = NUMBERS[column]
    # Two hospitals wrote 0 where cholesterol was not measured; the center says as little.
    if column == "chol" and value == 0:
        return 0.0
    return (value - center) / scale
