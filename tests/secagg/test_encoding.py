from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsnap.secagg.encoding import FixedPoint, scale_exponent
from fedsnap.secagg.errors import ScaleImpossible

clip_norms = st.decimals("0.000001", "9999", places=6).map(lambda number: f"{number:f}")


@given(st.integers(1, 200), clip_norms)
def test_the_exponent_is_the_largest_that_leaves_room_for_everyone(members, clip_norm):
    total = members * Fraction(clip_norm)
    try:
        exponent = scale_exponent(members, clip_norm)
    except ScaleImpossible:
        assert total * 2**8 >= 2**31
        return
    assert total * 2**exponent < 2**31
    assert exponent == 40 or total * 2 ** (exponent + 1) >= 2**31
    assert members * FixedPoint(members, clip_norm, exponent).bound < 2**31


@pytest.mark.parametrize(
    ("members", "clip_norm", "exponent"), [(4, "8", 25), (1, "1", 30), (200, "8", 20), (3, "0.001", 39)]
)
def test_known_exponents(members, clip_norm, exponent):
    assert scale_exponent(members, clip_norm) == exponent


@pytest.mark.parametrize(("members", "clip_norm"), [(200, "100000"), (1, "8388608"), (0, "8"), (3, "0"), (3, "0.0")])
def test_a_combination_that_could_overflow_is_refused_with_advice(members, clip_norm):
    with pytest.raises(ScaleImpossible, match=r"lower privacy\.clipNorm|above 0"):
        scale_exponent(members, clip_norm)


@pytest.mark.parametrize("exponent", [7, 26, 41])
def test_a_plan_with_another_exponent_is_refused(exponent):
    with pytest.raises(ScaleImpossible, match="expected a scale exponent from 8 to 25"):
        FixedPoint(4, "8", exponent)


def test_halves_are_rounded_to_even():
    encoded, saturated = FixedPoint(1, "8", 8).encode(np.array([0.5, 1.5, 2.5, -0.5, -1.5]) / 256)
    assert encoded.tolist() == [0, 2, 2, 0, -2]
    assert encoded.dtype == np.dtype("<i4")
    assert saturated == 0


def test_what_is_beyond_the_bound_is_moved_there_and_counted():
    encoded, saturated = FixedPoint(3, "8", 10).encode(np.array([9.0, -9.0, 8.0, 7.999]))
    assert encoded.tolist() == [8192, -8192, 8192, 8191]
    assert saturated == 2


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=20))
def test_decoding_gives_back_what_was_encoded_within_half_a_step(values):
    codec = FixedPoint(4, "8", 25)
    encoded, _ = codec.encode(np.array(values))
    decoded = codec.decode_mean(encoded.astype(np.int64) * 7, 7)
    assert np.abs(decoded - np.array(values)).max() <= 0.5 / codec.scale
