from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsnap.secagg.masking import recovery
from fedsnap.secagg.masking.cohort import threshold
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from masking.members import make_round, shared_and_masked


@st.composite
def cohorts(draw):
    """Members, those who never share, those who drop out after it, and those who never answer: enough remain."""
    count = draw(st.integers(3, 9))
    places = draw(st.permutations(range(count)))
    unshared = draw(st.integers(0, count - threshold(count)))
    dropped = draw(st.integers(0, count - threshold(count) - unshared))
    silent = draw(st.integers(0, count - threshold(count) - unshared - dropped))
    first, second, third = unshared, unshared + dropped, unshared + dropped + silent
    return count, places[:first], places[first:second], places[second:third]


@settings(max_examples=40)
@given(cohorts(), st.integers(1, 40), st.integers(1, 4), st.integers(0, 12), st.integers(0, 2**32))
def test_the_sum_of_survivors_is_the_plain_sum_bit_by_bit(cohort, coordinates, shards, weight_bits, seed):
    count, unshared, dropped, silent = cohort
    one = shared_and_masked(
        count, unshared=unshared, dropped=dropped, coordinates=coordinates, weight_bits=weight_bits, seed=seed
    )
    sums, weight = one.unmask(silent=[one.names[place] for place in silent], shards=shards)
    plain, plain_weight = one.plain_sums()
    assert sums.tobytes() == plain.tobytes()
    assert weight == plain_weight


def test_blocks_do_not_change_the_sum(monkeypatch):
    one = shared_and_masked(5, dropped=[2], coordinates=101)
    monkeypatch.setattr(recovery, "COORDINATES_AT_ONCE", 7)
    assert np.array_equal(one.unmask()[0], one.plain_sums()[0])


def test_the_mean_differs_from_that_of_real_numbers_by_rounding_alone():
    one = shared_and_masked(5, coordinates=400)
    sums, weight = one.unmask()
    mean = one.encoding.codec.decode_mean(sums, weight)
    exact = sum(one.weights[name] * one.updates[name].astype(np.float64) for name in one.names)
    error = np.abs(mean - exact / (weight * one.encoding.codec.scale))
    most = 0.5 * 5 * one.encoding.largest_weight / weight / one.encoding.codec.scale
    assert error.max() <= most * (1 + 1e-9)


def test_a_masked_update_looks_random_and_is_made_again_alike():
    one = shared_and_masked(4, coordinates=20_000)
    name = one.names[0]
    raw = one.masked[name]
    assert one.masked_of(name) == raw
    bits = np.unpackbits(np.frombuffer(raw, "u1")).reshape(-1, 8).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 0.02


def test_too_few_answers_reveal_nothing():
    one = shared_and_masked(6, dropped=[0])
    with pytest.raises(MaskingRefused, match=r"expected 5 shares .* got 4") as caught:
        one.unmask(silent=one.names[1:2])
    assert caught.value.reason is Reason.TOO_FEW_SHARES


def test_a_truncated_masked_update_names_its_sender():
    one = shared_and_masked(5)
    one.masked[one.names[3]] = one.masked[one.names[3]][:-8]
    with pytest.raises(MaskingRefused, match="'org-003' from 0, got") as caught:
        one.unmask(shards=1)
    assert caught.value.offender == "org-003"


def test_masks_that_do_not_cancel_are_noticed_in_the_sum():
    one = shared_and_masked(5, coordinates=500)
    other = make_round(5, coordinates=500)
    other.share(without=[other.names[1]])
    one.masked[one.names[0]] = other.masked_of(one.names[0])
    with pytest.raises(MaskingRefused, match="masks do not cancel") as caught:
        one.unmask()
    assert (caught.value.reason, caught.value.offender) == (Reason.SUM_OUT_OF_BOUNDS, None)
