"""Weighted sums of encoded updates: exact integers, hence the same for any order and any number of shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fedsnap.secagg.encoding import COORDINATE_BYTES, COORDINATES_AT_ONCE, FixedPoint
from fedsnap.secagg.errors import SumOverflow, UpdateOutOfBounds, UpdateRefused

ReadRange = Callable[[int, int], bytes]


def shard_range(coordinates: int, shards: int, index: int) -> range:
    """The coordinates of one shard: contiguous, disjoint, and together all of them.

    Raises:
        ValueError: where there is no shard `index`.
    """
    if not 0 <= index < shards:
        raise ValueError(f"expected a shard in 0..{shards - 1}, got {index}")
    return range(coordinates * index // shards, coordinates * (index + 1) // shards)


def weighted_sum_blocks(
    codec: FixedPoint, weights: Mapping[str, int], readers: Mapping[str, ReadRange], coordinates: range
) -> Iterator[bytes]:
    """Sums of weight · encoded coordinate over all members, as little-endian int64, in blocks.

    Args:
        codec: encoding of all updates.
        weights: examples of each member, at least 1.
        readers: for each member, what reads (start, length) bytes of its encoded update.
        coordinates: which ones to sum.

    Raises:
        SumOverflow: where the sum might not fit into 64 bits.
        UpdateOutOfBounds: a member's coordinate is beyond the bound of `codec`.
    """
    _expect_room(codec, weights, readers)
    for start in range(coordinates.start, coordinates.stop, COORDINATES_AT_ONCE):
        length = min(COORDINATES_AT_ONCE, coordinates.stop - start)
        total, weighted = np.zeros(length, dtype="<i8"), np.empty(length, dtype="<i8")
        for name in sorted(readers):
            raw = readers[name](COORDINATE_BYTES * start, COORDINATE_BYTES * length)
            np.multiply(_checked(codec, name, raw, start, length), np.int64(weights[name]), out=weighted)
            total += weighted
        yield total.tobytes()


def _expect_room(codec: FixedPoint, weights: Mapping[str, int], readers: Mapping[str, ReadRange]) -> None:
    if weights.keys() != readers.keys() or not readers:
        raise ValueError("expected a weight and a reader for each of at least one member")
    if len(readers) > codec.members:
        raise UpdateRefused(f"expected updates of at most {codec.members} members, got {len(readers)}")
    if min(weights.values()) < 1 or sum(weights.values()) * codec.bound >= 2**63:
        raise SumOverflow(
            f"{sum(weights.values())} examples with coordinates up to {codec.bound} may not fit into 64 bits; "
            "lower the clip norm, or let members report fewer examples"
        )


def _checked(codec: FixedPoint, name: str, raw: bytes, start: int, length: int) -> npt.NDArray[np.int32]:
    if len(raw) != COORDINATE_BYTES * length:
        raise UpdateRefused(f"expected {length} coordinates of {name!r} from {start}, got {len(raw)} bytes")
    encoded = np.frombuffer(raw, dtype="<i4")
    # Not by abs(): the least int32 has none.
    if encoded.max() > codec.bound or encoded.min() < -codec.bound:
        first = int(np.argmax((encoded > codec.bound) | (encoded < -codec.bound)))
        raise UpdateOutOfBounds(
            f"coordinate {start + first} of {name!r} is {int(encoded[first])}, the bound is {codec.bound}; exclude it"
        )
    return encoded
