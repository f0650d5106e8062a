"""Weighted updates as integers modulo 2^32, with the weight as one more coordinate; and back, from their sum.

An encoded coordinate e (see `encoding.FixedPoint`) of a member with weight w ≤ 2^s becomes
floor((e·w + 2^(s-1)) / 2^s), that is e·w/2^s rounded, halves up. Its absolute value is at most the bound of e, hence
the sum of all members stays below 2^31 as it does without weights. The last coordinate is w itself: the sum of all is
at most members · 2^s < 2^32. Both bounds follow from the plan: a round that could overflow is refused before it starts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.errors import UpdateOutOfBounds
from fedsnap.secagg.masking.errors import MaskingRefused, Reason
from fedsnap.secagg.masking.keystream import Ring

MODULUS = 2**32


def weight_bits(most_examples: int) -> int:
    """The least s with most_examples ≤ 2^s: what a plan needs where no member has more examples.

    Raises:
        ValueError: where there are no examples.
    """
    if most_examples < 1:
        raise ValueError(f"expected at least 1 example, got {most_examples}")
    return (most_examples - 1).bit_length()


@dataclass(frozen=True, slots=True)
class WeightedEncoding:
    """Encoding of weighted updates that all members of a round share.

    Attributes:
        codec: encoding of the updates before weights.
        weight_bits: s; weights are examples, at most 2^s. With s = 0 all members weigh the same.

    Raises:
        MaskingRefused: where the sum of all weights might not fit into 32 bits.
    """

    codec: FixedPoint
    weight_bits: int

    def __post_init__(self) -> None:
        if self.weight_bits < 0 or self.codec.members << self.weight_bits >= MODULUS:
            raise MaskingRefused(
                Reason.RING_OVERFLOW,
                f"weights of {self.codec.members} members up to 2^{self.weight_bits} do not fit into 32 bits; "
                f"choose weight bits from 0 to {((MODULUS - 1) // self.codec.members).bit_length() - 1}",
            )

    @property
    def largest_weight(self) -> int:
        """2^s."""
        return 1 << self.weight_bits

    def weight(self, examples: int) -> int:
        """The weight of a member: its examples, capped.

        Raises:
            ValueError: where there are no examples.
        """
        if examples < 1:
            raise ValueError(f"expected at least 1 example, got {examples}")
        return min(examples, self.largest_weight)

    def weigh(self, encoded: npt.NDArray[np.int32], weight: int) -> Ring:
        """Encoded coordinates times weight / 2^s, modulo 2^32.

        Raises:
            UpdateOutOfBounds: a coordinate is beyond the bound of the encoding.
            ValueError: where `weight` is not one that `weight` gives.
        """
        if not 1 <= weight <= self.largest_weight:
            raise ValueError(f"expected a weight from 1 to {self.largest_weight}, got {weight}")
        bound = self.codec.bound
        if encoded.size and (encoded.max() > bound or encoded.min() < -bound):
            raise UpdateOutOfBounds(f"expected encoded coordinates within ±{bound}; encode as the plan says")
        product = encoded.astype(np.int64)
        product *= weight
        product += self.largest_weight >> 1
        product >>= self.weight_bits
        return product.astype("<i4").view("<u4")

    def sums(self, block: Ring, members: int, start: int = 0) -> npt.NDArray[np.int64]:
        """Sums of coordinates without masks, times 2^s: in the unit of `aggregate.weighted_sum_blocks`.

        Args:
            block: sums modulo 2^32.
            members: how many updates were added.
            start: first coordinate, for messages.

        Raises:
            MaskingRefused: where a sum is beyond what so many members can reach.
        """
        signed, bound = block.view("<i4"), members * self.codec.bound
        if signed.size and (signed.max() > bound or signed.min() < -bound):
            first = int(np.argmax((signed > bound) | (signed < -bound)))
            raise MaskingRefused(
                Reason.SUM_OUT_OF_BOUNDS,
                f"the sum of coordinate {start + first} is {int(signed[first])}, {members} members reach ±{bound} at "
                "most: masks do not cancel, or a member did not encode as the plan says; start a new attempt",
            )
        sums = signed.astype("<i8")
        sums <<= self.weight_bits
        return sums

    def total_weight(self, value: int, members: int) -> int:
        """The sum of weights, from the last coordinate.

        Raises:
            MaskingRefused: where so many members cannot have it.
        """
        most = members * self.largest_weight
        if not members <= value <= most:
            raise MaskingRefused(
                Reason.SUM_OUT_OF_BOUNDS,
                f"the sum of weights is {value}, {members} members have {members} to {most}: masks do not cancel, or a "
                "member did not encode as the plan says; start a new attempt",
            )
        return value
