"""Masks: AES-256-CTR keystreams, read as little-endian 32-bit integers and added modulo 2^32.

A keystream can begin at any coordinate, so that a shard works on its own range. Each key serves one keystream, which
begins at counter zero (NIST SP 800-38A, 6.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

Ring: TypeAlias = npt.NDArray[np.uint32]

KEY_BYTES = 32
COORDINATES_PER_BLOCK = 4
# Zeros, keystream and sums of one step stay in a core's caches together.
COORDINATES_AT_ONCE = 64 * 1024
# What `update_into` may ask for beyond the length of its input.
_SLACK = 15
# Both ciphers and additions are a third slower where a vector lies across two lines of cache.
_CACHE_LINE = 64


@dataclass(frozen=True, slots=True)
class Mask:
    """A keystream and whether it is added or subtracted."""

    key: bytes = field(repr=False)
    added: bool

    @property
    def inverse(self) -> Mask:
        """What takes this mask away."""
        return Mask(self.key, not self.added)


def apply_masks(block: Ring, start: int, masks: Sequence[Mask]) -> None:
    """Add or subtract masks in place, modulo 2^32, in constant memory.

    Args:
        block: one-dimensional, of type `<u4`; coordinates `start` to `start + len(block)`.
        start: first coordinate.
        masks: what to apply.

    Raises:
        ValueError: where `block` is of another type or shape, or `start` is negative.
    """
    if block.dtype != np.dtype("<u4") or block.ndim != 1 or start < 0:
        raise ValueError(f"expected one dimension of <u4 from 0, got {block.dtype} {block.shape} from {start}")
    ciphers = [(_keystream(mask.key, start), np.add if mask.added else np.subtract) for mask in masks]
    length = 4 * min(len(block), COORDINATES_AT_ONCE)
    zeros, stream = _aligned(length), _aligned(length + _SLACK)
    values = stream[:length].view("<u4")
    for begin in range(0, len(block), COORDINATES_AT_ONCE):
        part = block[begin : begin + COORDINATES_AT_ONCE]
        nothing, mask_values = zeros[: 4 * len(part)], values[: len(part)]
        for cipher, operation in ciphers:
            cipher.update_into(nothing.data, stream.data)
            operation(part, mask_values, out=part)


def keystream_bytes(key: bytes, length: int) -> bytes:
    """The first bytes of a keystream."""
    return _keystream(key, 0).update(bytes(length))


def _keystream(key: bytes, start: int) -> CipherContext:
    """What makes the keystream from coordinate `start` on."""
    block, skipped = divmod(start, COORDINATES_PER_BLOCK)
    cipher = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor()
    cipher.update(bytes(4 * skipped))
    return cipher


def _aligned(length: int) -> npt.NDArray[np.uint8]:
    """Zeros that begin at a line of cache."""
    raw = np.zeros(length + _CACHE_LINE, dtype=np.uint8)
    begin = -raw.ctypes.data % _CACHE_LINE
    return raw[begin : begin + length]
