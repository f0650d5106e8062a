"""Shamir's secret sharing over the integers modulo 2^521 - 1.

Source: A. Shamir, "How to share a secret", CACM 22(11), 1979. The Lagrange coefficients of a set of holders are
computed once and serve every secret that this set recovers.
"""

from __future__ import annotations

from collections.abc import Sequence

PRIME = 2**521 - 1
SHARE_BYTES = 66


def deal(secret: int, coefficients: Sequence[int], holders: int) -> list[int]:
    """The shares of holders 1 to `holders`: f(x) = secret + coefficients[0]·x + coefficients[1]·x² + ….

    Args:
        secret: 0 ≤ secret < PRIME.
        coefficients: uniformly random below PRIME; one fewer than the shares needed to recover.
        holders: how many shares.
    """
    descending = [*reversed(coefficients), secret]
    return [_evaluate(descending, x) for x in range(1, holders + 1)]


def _evaluate(descending: Sequence[int], x: int) -> int:
    # x is small, so that the sum grows by a byte a step: one reduction at the end is cheaper than one at each step.
    total = 0
    for coefficient in descending:
        total = total * x + coefficient
    return total % PRIME


def lagrange(holders: Sequence[int]) -> list[int]:
    """The coefficients by which the shares of `holders` add up to the secret.

    Args:
        holders: distinct numbers from 1.

    Raises:
        ValueError: where one is repeated or below 1.
    """
    if len(set(holders)) != len(holders) or min(holders, default=1) < 1:
        raise ValueError(f"expected distinct holders from 1, got {list(holders)}")
    return [_coefficient(x, holders) for x in holders]


def _coefficient(x: int, holders: Sequence[int]) -> int:
    numerator = denominator = 1
    for other in holders:
        if other != x:
            numerator = numerator * other % PRIME
            denominator = denominator * (other - x) % PRIME
    return numerator * pow(denominator, -1, PRIME) % PRIME


def recover(coefficients: Sequence[int], shares: Sequence[int]) -> int:
    """The secret, from `lagrange` of the holders and their shares in the same order."""
    return sum(one * share for one, share in zip(coefficients, shares, strict=True)) % PRIME
