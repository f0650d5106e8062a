from __future__ import annotations

import numpy as np
import pytest

from fedsnap.formats.digests import hash_file
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.secagg import update
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.errors import NonFiniteUpdate, UpdateRefused
from fedsnap.secagg.update import encode_update
from modelfiles import write_model

CODEC = FixedPoint(4, "8", 20)
BASE = {
    "b": np.array([1.0, 2.0], np.float32),
    "a": np.array([[0.25], [0.5]], np.float64),
    "count": np.array([3], np.int64),
}


def encode(directory, trained, base=BASE, codec=CODEC):
    files = write_model(directory / "trained", trained), write_model(directory / "base", base)
    with TensorFile.open(files[0]) as after, TensorFile.open(files[1]) as before:
        made = encode_update(after, before, codec, directory / "encoded")
    assert made.file == hash_file(directory / "encoded")
    return made, np.fromfile(directory / "encoded", dtype="<i4")


def test_the_update_is_what_training_changed_in_name_order(tmp_path):
    made, encoded = encode(tmp_path, BASE | {"b": np.array([1.5, 1.0], np.float32), "count": np.array([9], np.int64)})
    assert encoded.tolist() == [0, 0, 2**19, -(2**20)]
    assert made.norm == pytest.approx(1.25**0.5)
    assert (made.coordinates, made.clipped, made.clip_factor, made.saturated) == (4, False, 1.0, 0)


def test_a_large_update_is_scaled_to_the_clip_norm(tmp_path):
    made, encoded = encode(tmp_path, BASE | {"b": np.array([1.0 + 30.0, 2.0 - 40.0], np.float32)})
    assert (made.norm, made.clipped, made.clip_factor) == (50.0, True, 8 / 50)
    assert np.linalg.norm(encoded / CODEC.scale) == pytest.approx(8.0)
    assert np.abs(encoded).max() <= CODEC.bound


def test_no_change_is_an_update_of_zeros(tmp_path):
    made, encoded = encode(tmp_path, BASE)
    assert (made.norm, made.clip_factor, made.clipped) == (0.0, 1.0, False)
    assert not encoded.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_tensor(value, tmp_path):
    with pytest.raises(NonFiniteUpdate, match="'b' holds NaN or infinity"):
        encode(tmp_path, BASE | {"b": np.array([1.0, value], np.float32)})


def test_an_update_whose_norm_overflows_is_refused(tmp_path):
    with pytest.raises(NonFiniteUpdate, match="norm is too large"):
        encode(tmp_path, BASE | {"a": np.array([[1e300], [0]])})


def test_a_model_without_floating_tensors_is_refused(tmp_path):
    with pytest.raises(UpdateRefused, match="nothing to train"):
        encode(tmp_path, {"count": np.array([1])}, {"count": np.array([1])})


def test_blocks_do_not_change_the_encoding(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    base = {name: random.normal(size=size).astype(np.float32) for name, size in (("x", 1000), ("y", 77), ("z", 1))}
    trained = {name: array + random.normal(size=array.size).astype(np.float32) for name, array in base.items()}
    whole = encode(tmp_path / "whole", trained, base, FixedPoint(4, "1000", 18))[1]
    monkeypatch.setattr(update, "COORDINATES_AT_ONCE", 10)
    np.testing.assert_array_equal(encode(tmp_path / "blocks", trained, base, FixedPoint(4, "1000", 18))[1], whole)
