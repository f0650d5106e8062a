"""Why an update cannot be encoded or counted."""

from __future__ import annotations


class UpdateRefused(ValueError):  # noqa: N818  # reads as an answer, like the errors of `clients`
    """An update is not what the plan allows. Reading it again gives the same answer."""


class NonFiniteUpdate(UpdateRefused):
    """NaN or infinity among the weights."""


class UpdateOutOfBounds(UpdateRefused):
    """A coordinate beyond what clipping allows: its sender did not encode as the plan says."""


class SumOverflow(UpdateRefused):
    """Weights so large that the sum might not fit into 64 bits."""


class ScaleImpossible(UpdateRefused):
    """Members, clip norm and scale leave too few bits for a useful encoding."""
