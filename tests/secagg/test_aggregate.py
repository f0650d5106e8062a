from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsnap.secagg import aggregate
from fedsnap.secagg.aggregate import shard_range, weighted_sum_blocks
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.errors import SumOverflow, UpdateOutOfBounds, UpdateRefused

CODEC = FixedPoint(4, "8", 20)


def reader_of(encoded):
    raw = np.asarray(encoded, dtype="<i4").tobytes()
    return lambda start, length: raw[start : start + length]


def summed(updates, weights, coordinates, codec=CODEC):
    readers = {name: reader_of(encoded) for name, encoded in updates.items()}
    return np.frombuffer(b"".join(weighted_sum_blocks(codec, weights, readers, coordinates)), dtype="<i8")


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_shards_are_disjoint_and_together_everything(coordinates, shards):
    ranges = [shard_range(coordinates, shards, index) for index in range(shards)]
    assert [one for part in ranges for one in part] == list(range(coordinates))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@pytest.mark.parametrize("index", [-1, 3])
def test_a_shard_that_does_not_exist_is_refused(index):
    with pytest.raises(ValueError, match=r"0\.\.2"):
        shard_range(10, 3, index)


@given(data=st.data())
@settings(max_examples=30)
def test_any_order_and_any_shards_give_the_same_sums(data):
    seed, size, shards = data.draw(st.tuples(st.integers(0, 99), st.integers(1, 300), st.integers(1, 7)))
    random = np.random.default_rng(seed)
    updates = {name: random.integers(-CODEC.bound, CODEC.bound, size, endpoint=True) for name in "abcd"}
    weights = {name: int(random.integers(1, 2**31)) for name in updates}
    expected = [sum(weights[name] * int(updates[name][n]) for name in updates) for n in range(size)]
    shuffled = dict(sorted(updates.items(), reverse=True))
    parts = [summed(shuffled, weights, shard_range(size, shards, index)) for index in range(shards)]
    assert np.concatenate(parts).tolist() == expected


def test_blocks_do_not_change_the_sums(monkeypatch):
    updates = {"a": np.arange(100), "b": -np.arange(100)}
    monkeypatch.setattr(aggregate, "COORDINATES_AT_ONCE", 7)
    assert summed(updates, {"a": 3, "b": 1}, range(5, 95)).tolist() == [2 * n for n in range(5, 95)]


@pytest.mark.parametrize("value", [CODEC.bound + 1, -CODEC.bound - 1, -(2**31)])
def test_a_coordinate_beyond_the_bound_names_its_sender(value):
    updates = {"good": np.zeros(10), "bad": np.array([0] * 7 + [value] + [0, 0])}
    with pytest.raises(UpdateOutOfBounds, match=f"coordinate 7 of 'bad' is {value}"):
        summed(updates, {"good": 1, "bad": 1}, range(2, 10))


def test_an_update_that_is_too_short_names_its_sender():
    with pytest.raises(UpdateRefused, match="'short'"):
        summed({"short": np.zeros(3)}, {"short": 1}, range(4))


def test_weights_that_could_overflow_are_refused():
    with pytest.raises(SumOverflow, match="64 bits"):
        summed({"a": np.zeros(1)}, {"a": 2**40}, range(1))


def test_the_largest_weights_that_reports_allow_do_not_overflow():
    codec = FixedPoint(200, "8", 20)
    updates = {f"o{n}": np.array([codec.bound, -codec.bound]) for n in range(200)}
    expected = 200 * codec.bound * 2**31
    assert summed(updates, dict.fromkeys(updates, 2**31), range(2), codec).tolist() == [expected, -expected]


def test_more_members_than_the_encoding_has_room_for_are_refused():
    updates = {name: np.zeros(1) for name in "abcde"}
    with pytest.raises(UpdateRefused, match="at most 4 members"):
        summed(updates, dict.fromkeys(updates, 1), range(1))


@pytest.mark.parametrize("weights", [{}, {"b": 1}, {"a": 1, "b": 1}])
def test_every_member_needs_a_weight(weights):
    with pytest.raises(ValueError, match="a weight and a reader"):
        summed({"a": np.zeros(1)}, weights, range(1))


def test_a_weight_below_one_is_refused():
    with pytest.raises(UpdateRefused):
        summed({"a": np.zeros(1)}, {"a": 0}, range(1))
