from __future__ import annotations

import numpy as np
import pytest

from fedsnap.formats.tensorfile import TensorFile, canonicalize
from fedsnap.secagg import step
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.errors import NonFiniteUpdate
from fedsnap.secagg.step import apply_mean
from modelfiles import write_model

CODEC = FixedPoint(4, "8", 20)
BASE = {
    "b": np.array([1.0, 2.0], np.float32),
    "a": np.array([[0.25], [0.5]], np.float64),
    "count": np.array([3], np.int64),
}


def stepped(directory, sums, total=10, base=BASE):
    with TensorFile.open(write_model(directory / "base", base)) as before:
        apply_mean(before, lambda start, stop: np.array(sums[start:stop], "<i8"), total, CODEC, directory / "new")
    return TensorFile.open(directory / "new")


def test_the_mean_is_added_in_name_order_and_integers_stay(tmp_path):
    one = 10 * 2**20
    with stepped(tmp_path, [one, -one, one // 2, 0]) as new:
        assert new.floats("a", 0, 2).tolist() == [1.25, -0.5]
        assert new.floats("b", 0, 2).tolist() == [1.5, 2.0]
        assert b"".join(new.raw("count")) == (3).to_bytes(8, "little")


def test_a_mean_of_nothing_is_the_canonical_base(tmp_path):
    with stepped(tmp_path, [0] * 4), TensorFile.open(tmp_path / "base") as base:
        canonicalize(base, tmp_path / "canonical")
    assert (tmp_path / "new").read_bytes() == (tmp_path / "canonical").read_bytes()


def test_blocks_do_not_change_the_step(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    base = {"x": random.normal(size=500).astype(np.float32), "y": random.normal(size=3).astype(np.float16)}
    sums = random.integers(-(2**22), 2**22, 503)
    (tmp_path / "whole").mkdir()
    (tmp_path / "blocks").mkdir()
    stepped(tmp_path / "whole", sums, base=base).close()
    monkeypatch.setattr(step, "COORDINATES_AT_ONCE", 7)
    stepped(tmp_path / "blocks", sums, base=base).close()
    assert (tmp_path / "whole" / "new").read_bytes() == (tmp_path / "blocks" / "new").read_bytes()


def test_weights_that_leave_their_type_are_refused(tmp_path):
    base = {"half": np.array([65504.0], np.float16)}
    with pytest.raises(NonFiniteUpdate, match="'half' would leave the range of F16"):
        stepped(tmp_path, [8 * 10 * 2**20 * 10], base=base)
