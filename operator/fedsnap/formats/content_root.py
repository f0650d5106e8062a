"""The identity of weights, whatever file they lie in: an RFC 6962 Merkle tree over the tensors in name order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fedsnap.formats.canonical_json import dump
from fedsnap.formats.digests import Digest, format_digest
from fedsnap.formats.layout import TensorSpec
from fedsnap.formats.tensorfile import TensorFile

_LEAF, _NODE = b"\0", b"\1"
_LENGTH_BYTES = 4


def content_root(tensors: TensorFile) -> Digest:
    """Root over all tensors.

    A leaf is the length of a tensor's description (4 bytes, little-endian), the description (RFC 8785 JSON of dtype,
    name and shape), and its little-endian elements.
    """
    return format_digest(merkle_root([_leaf_hash(tensors, spec) for spec in tensors.layout.tensors]))


def merkle_root(leaf_hashes: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1: the tree's hash from the hashes of its leaves."""
    if not leaf_hashes:
        return hashlib.sha256().digest()
    level = list(leaf_hashes)
    while len(level) > 1:
        paired = [hashlib.sha256(_NODE + level[n] + level[n + 1]).digest() for n in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def _leaf_hash(tensors: TensorFile, spec: TensorSpec) -> bytes:
    description = dump(spec.describe())
    sha256 = hashlib.sha256(_LEAF + len(description).to_bytes(_LENGTH_BYTES, "little") + description)
    for block in tensors.raw(spec.name):
        sha256.update(block)
    return sha256.digest()
