"""Fixed point: real coordinates as 32-bit integers, so that sums are exact and independent of their order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedsnap.secagg.errors import ScaleImpossible

COORDINATE_BYTES = 4
# What is worked on at once: 8 MiB as float64, whatever the size of the model.
COORDINATES_AT_ONCE = 1024 * 1024
# Fewer fractional bits than 8 lose what a typical update says; more than 40 gain nothing over float32.
MIN_SCALE_EXPONENT, MAX_SCALE_EXPONENT = 8, 40
# The plain sum of all members stays below this, which leaves 32-bit rings room for the sign.
_RING_HALF = 2**31


def scale_exponent(members: int, clip_norm: str) -> int:
    """The largest k up to 40 with members · clip_norm · 2^k < 2^31.

    Args:
        members: invited members, at least 1.
        clip_norm: bound on the L2 norm of one update, as decimal text.

    Raises:
        ScaleImpossible: where k would be below 8, or an argument is not positive.
    """
    total = members * _positive(members, clip_norm)
    for exponent in range(MAX_SCALE_EXPONENT, MIN_SCALE_EXPONENT - 1, -1):
        if total * (1 << exponent) < _RING_HALF:
            return exponent
    raise ScaleImpossible(
        f"{members} members with clip norm {clip_norm} leave fewer than {MIN_SCALE_EXPONENT} fractional bits in a "
        f"32-bit sum; lower privacy.clipNorm below {2 ** (31 - MIN_SCALE_EXPONENT) // members} or invite fewer"
    )


def _positive(members: int, clip_norm: str) -> Fraction:
    clip = Fraction(clip_norm)
    if members < 1 or clip <= 0:
        raise ScaleImpossible(
            f"expected a member and a clip norm above 0, got {members} members, clip norm {clip_norm}"
        )
    return clip


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Encoding that all members of a round share.

    Attributes:
        members: invited members.
        clip_norm: bound on the L2 norm of one update, decimal text as the plan has it.
        scale_exponent: k; a coordinate u is encoded as round_half_even(u · 2^k).

    Raises:
        ScaleImpossible: where the sum of all members' updates might not fit into 32 bits.
    """

    members: int
    clip_norm: str
    scale_exponent: int

    def __post_init__(self) -> None:
        most = scale_exponent(self.members, self.clip_norm)
        if not MIN_SCALE_EXPONENT <= self.scale_exponent <= most:
            raise ScaleImpossible(
                f"expected a scale exponent from {MIN_SCALE_EXPONENT} to {most} for {self.members} members "
                f"with clip norm {self.clip_norm}, got {self.scale_exponent}"
            )

    @property
    def clip(self) -> float:
        """The clip norm as a number."""
        return float(self.clip_norm)

    @property
    def scale(self) -> float:
        """2^k, exactly."""
        return math.ldexp(1.0, self.scale_exponent)

    @property
    def bound(self) -> int:
        """The largest absolute value of an encoded coordinate."""
        return math.floor(Fraction(self.clip_norm) * (1 << self.scale_exponent))

    def encode(self, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int32], int]:
        """Finite, clipped values as integers, and how many of them had to be moved to the bound."""
        scaled = np.rint(values * self.scale)
        saturated = int(np.count_nonzero(np.abs(scaled) > self.bound))
        if saturated:
            np.clip(scaled, -self.bound, self.bound, out=scaled)
        return scaled.astype("<i4"), saturated

    def decode_mean(self, sums: npt.NDArray[np.int64], total_weight: int) -> npt.NDArray[np.float64]:
        """The weighted mean of what was encoded, from its sums."""
        return sums.astype(np.float64) / (total_weight * self.scale)
