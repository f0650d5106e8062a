"""Why a masked round, or somebody's part in it, is refused."""

from __future__ import annotations

from enum import StrEnum

COORDINATOR = "coordinator"


class Reason(StrEnum):
    """What status and reports show."""

    ACKS_DISAGREE = "AcksDisagree"
    ALREADY_ANSWERED = "AlreadyAnswered"
    BOX_INVALID = "BoxInvalid"
    COHORT_TOO_SMALL = "CohortTooSmall"
    CONTEXT_MISMATCH = "ContextMismatch"
    KEY_INVALID = "KeyInvalid"
    KEY_REPEATED = "KeyRepeated"
    MASKED_MISMATCH = "MaskedMismatch"
    NOT_A_MEMBER = "NotAMember"
    NOT_A_SURVIVOR = "NotASurvivor"
    RING_OVERFLOW = "RingOverflow"
    ROSTERS_DIFFER_TOO_LITTLE = "RostersDifferTooLittle"
    ROUND_CLOSED = "RoundClosed"
    SECRET_INCONSISTENT = "SecretInconsistent"  # noqa: S105  # the name of a reason
    SHARES_INCOMPLETE = "SharesIncomplete"
    SHARE_INVALID = "ShareInvalid"
    SHARE_ROSTER_MISMATCH = "ShareRosterMismatch"
    SUM_OUT_OF_BOUNDS = "SumOutOfBounds"
    SURVIVOR_AND_DROPPED = "SurvivorAndDropped"
    TOO_FEW_ACKS = "TooFewAcks"
    TOO_FEW_SHARES = "TooFewShares"
    TOO_FEW_SURVIVORS = "TooFewSurvivors"
    UNMASK_INVALID = "UnmaskInvalid"


class MaskingRefused(ValueError):  # noqa: N818  # reads as an answer, like the errors of `clients`
    """Somebody did not do what the protocol says, or the round would not be safe.

    Attributes:
        reason: in one word, for status and metrics.
        offender: the organization, or `coordinator`; None where masks hide who it was, or nobody did wrong.
    """

    def __init__(self, reason: Reason, message: str, *, offender: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.offender = offender
