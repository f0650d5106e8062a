"""Quorum on replies: when a stage closes, and with what verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Standing(Enum):
    """Where one member stands in a stage."""

    PENDING = "pending"
    VALID = "valid"
    EXCLUDED = "excluded"


class Verdict(Enum):
    """What a stage, or a round, comes to."""

    OPEN = "open"
    COMPLETED = "Completed"
    DEGRADED = "Degraded"
    QUORUM_NOT_REACHED = "QuorumNotReached"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and who was missing, in name order."""

    verdict: Verdict
    missing: tuple[str, ...] = ()


def judge(standings: dict[str, Standing], quorum: int, *, deadline_passed: bool) -> Judgement:
    """Close when all have replied or the deadline passed; below quorum the round cannot go on.

    A stage that can no longer reach its quorum closes at once: waiting for the deadline would help nobody.
    """
    counted = [organization for organization, standing in standings.items() if standing is Standing.VALID]
    pending = [organization for organization, standing in standings.items() if standing is Standing.PENDING]
    missing = tuple(sorted(set(standings) - set(counted)))
    if len(counted) + len(pending) < quorum:
        return Judgement(Verdict.QUORUM_NOT_REACHED, missing)
    if pending and not deadline_passed:
        return Judgement(Verdict.OPEN)
    if len(counted) < quorum:
        return Judgement(Verdict.QUORUM_NOT_REACHED, missing)
    return Judgement(Verdict.DEGRADED if missing else Verdict.COMPLETED, missing)
