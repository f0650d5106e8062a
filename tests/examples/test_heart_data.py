from __future__ import annotations

import csv

import pytest
import torch
from heart.data import COLUMNS, FEATURES, inputs, read
from heart.evaluate import pooled_test
from heart.prepare import prepare

PATIENT = {
    "age": "65",
    "sex": "Male",
    "cp": "asymptomatic",
    "trestbps": "150",
    "chol": "300",
    "fbs": "False",
    "restecg": "normal",
    "thalach": "115",
    "exang": "True",
    "oldpeak": "2.0",
    "disease": "1",
}


def test_each_hospital_keeps_its_complete_rows_two_thirds_to_train_on(tmp_path):
    assert prepare(tmp_path) == {
        "cleveland": (203, 101),
        "hungary": (173, 87),
        "switzerland": (31, 15),
        "va-long-beach": (86, 44),
    }


def test_preparing_twice_gives_the_same_files(hospitals, tmp_path):
    prepare(tmp_path)
    for path in tmp_path.glob("*/*.csv"):
        assert path.read_bytes() == (hospitals / path.relative_to(tmp_path)).read_bytes()


def test_files_have_the_named_columns_and_no_row_twice(hospitals):
    for folder in hospitals.iterdir():
        with (folder / "train.csv").open() as train, (folder / "test.csv").open() as test:
            readers = csv.DictReader(train), csv.DictReader(test)
            rows = [[tuple(row.values()) for row in reader] for reader in readers]
            assert all(tuple(reader.fieldnames) == COLUMNS for reader in readers)
        assert len(set(rows[0]) & set(rows[1])) <= 1  # the table itself has one patient twice


def test_a_patient_becomes_thirteen_numbers_by_constants():
    assert inputs(PATIENT) == [1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]


def test_cholesterol_that_was_not_measured_says_nothing():
    assert inputs(PATIENT | {"chol": "0"})[2] == 0.0


def test_no_input_is_far_from_the_others(hospitals):
    examples = read(*hospitals.glob("*/train.csv"))
    assert examples.inputs.shape == (493, FEATURES)
    assert examples.inputs.abs().max() < 7
    assert torch.isfinite(examples.inputs).all()


def test_the_pooled_test_has_the_rows_of_all_hospitals(hospitals):
    assert len(pooled_test(hospitals)) == 101 + 87 + 15 + 44


def test_a_value_that_is_no_number_fails(tmp_path):
    (tmp_path / "train.csv").write_text(",".join(PATIENT) + "\n" + ",".join((PATIENT | {"age": "?"}).values()) + "\n")
    with pytest.raises(ValueError, match="could not convert"):
        read(tmp_path / "train.csv")
