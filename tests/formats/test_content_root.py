from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsnap.formats.content_root import content_root, merkle_root
from fedsnap.formats.tensorfile import TensorFile
from modelfiles import write_model


def sha256(data):
    return hashlib.sha256(data).digest()


def rfc6962(leaves):
    """The definition of RFC 6962, section 2.1, word for word."""
    if len(leaves) == 0:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + rfc6962(leaves[:split]) + rfc6962(leaves[split:]))


@given(st.integers(0, 40))
def test_the_tree_is_that_of_rfc_6962(count):
    leaves = [sha256(bytes([n])) for n in range(count)]
    assert merkle_root(leaves) == rfc6962(leaves)


def test_known_roots_of_certificate_transparency():
    leaves = [sha256(b"\0" + leaf) for leaf in (b"", b"\0", b"\x10")]
    assert merkle_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert merkle_root(leaves).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


def root_of(directory, tensors):
    with TensorFile.open(write_model(directory / "m", tensors)) as opened:
        return content_root(opened)


BASE = {"a": np.zeros((2, 2), np.float32), "b": np.ones(1, np.int64)}


@pytest.mark.parametrize(
    "changed",
    [
        {"a": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float64)},
        {"a": np.array([[0, 0], [0, 1e-30]], np.float32)},
        {"a": np.array([[0, 0], [0, -0.0]], np.float32)},
        {"c": np.zeros(0, np.float32)},
    ],
    ids=["shape", "type", "one value", "the sign of zero", "one tensor more"],
)
def test_every_change_of_the_weights_changes_the_root(changed, tmp_path):
    assert root_of(tmp_path, BASE | changed) != root_of(tmp_path, BASE)


def test_the_leaf_is_what_the_specification_says(tmp_path):
    tensors = {"a": np.array([1.0, 2.0], np.float32)}
    description = b'{"dtype":"F32","name":"a","shape":[2]}'
    leaf = b"\0" + len(description).to_bytes(4, "little") + description + tensors["a"].tobytes()
    assert root_of(tmp_path, tensors) == f"sha256:{hashlib.sha256(leaf).hexdigest()}"
