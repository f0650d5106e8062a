"""How many members a masked round needs, and how much two rounds on one base must differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fedsnap.formats.digests import Digest
from fedsnap.secagg.masking.context import Attempt
from fedsnap.secagg.masking.errors import COORDINATOR, MaskingRefused, Reason

# With fewer, a sum minus one's own update is another's.
HARD_LEAST_MEMBERS = 3
HARD_LEAST_HONEST = 2


def threshold(members: int) -> int:
    """Shares that recover a secret, and acks that close a set of survivors: floor(2n/3) + 1.

    Two sets of so many members share one that is honest as long as fewer than a third collude with the hub
    (Bonawitz et al. 2017, section 6.2).
    """
    return 2 * members // 3 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a member's policy asks of a masked round.

    Attributes:
        least_members: of a roster; at least 3.
        assumed_colluders: other members that may tell the hub all they know.
        least_honest: survivors beyond the colluders; at least 2, oneself included.
        least_difference: members by which two different cohorts on one base differ; at least 2.

    Raises:
        MaskingRefused: where a limit is below what the protocol needs.
    """

    least_members: int = 5
    assumed_colluders: int = 1
    least_honest: int = 3
    least_difference: int = 5

    def __post_init__(self) -> None:
        least = (HARD_LEAST_MEMBERS, 0, HARD_LEAST_HONEST, 2)
        found = (self.least_members, self.assumed_colluders, self.least_honest, self.least_difference)
        if any(value < bound for value, bound in zip(found, least, strict=True)):
            raise MaskingRefused(
                Reason.COHORT_TOO_SMALL,
                f"expected at least {least} for members, colluders, honest members and difference, got {found}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCohort:
    """Whose sum an earlier attempt revealed.

    Attributes:
        base_content_root: what they had trained.
        federation: of the attempt; see `context.Attempt`.
        round: number of the round.
        survivors: whose updates were in the sum.
    """

    base_content_root: Digest
    federation: str
    round: int
    survivors: frozenset[str]


def expect_members(count: int, limits: Limits) -> None:
    """Refuse a roster that is too small to hide anybody, or in which the assumed colluders could split it.

    Raises:
        MaskingRefused: with what is missing.
    """
    if count < limits.least_members:
        raise MaskingRefused(
            Reason.COHORT_TOO_SMALL,
            f"expected at least {limits.least_members} members, the roster has {count}; wait for more or invite more",
        )
    most = 2 * threshold(count) - count - 1
    if limits.assumed_colluders > most:
        raise MaskingRefused(
            Reason.COHORT_TOO_SMALL,
            f"a roster of {count} withstands {most} colluders, {limits.assumed_colluders} are assumed; invite more",
        )


def expect_honest(survivors: int, limits: Limits) -> None:
    """Refuse a sum of so few that colluders among them could tell the others apart.

    Raises:
        MaskingRefused: with what is missing.
    """
    honest = survivors - limits.assumed_colluders
    if honest < limits.least_honest:
        raise MaskingRefused(
            Reason.COHORT_TOO_SMALL,
            f"expected {limits.least_honest} survivors beyond {limits.assumed_colluders} assumed colluders, there are "
            f"{honest}; start a new attempt with more members",
        )


def expect_no_differencing(
    attempt: Attempt,
    members: Collection[str],
    earlier: Iterable[EarlierCohort],
    limits: Limits,
) -> None:
    """Refuse a cohort whose sum, minus an earlier one on the same base, says something of a few members.

    Args:
        attempt: the one that is to be revealed.
        members: of the roster, and again the survivors.
        earlier: the attempts that were answered, but not this one.
        limits: of the member's policy.

    Raises:
        MaskingRefused: names the few.
    """
    for one in earlier:
        if one.base_content_root != attempt.base_content_root:
            continue
        if (one.federation, one.round) == (attempt.federation, attempt.round):
            raise MaskingRefused(
                Reason.ROUND_CLOSED,
                f"the sum of round {attempt.round} on this base was revealed already; go on with the next round",
                offender=COORDINATOR,
            )
        different = one.survivors.symmetric_difference(members)
        if 0 < len(different) < limits.least_difference:
            raise MaskingRefused(
                Reason.ROSTERS_DIFFER_TOO_LITTLE,
                f"the sum of round {one.round} on this base was revealed with members that differ by "
                f"{', '.join(sorted(different))} alone; expected none or {limits.least_difference} to differ",
                offender=COORDINATOR,
            )
