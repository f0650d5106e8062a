"""What a step of a round comes to: it passes, holds, or ends the round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from fedsnap.reconcilers.federatedround.observed import Observed


class Do(Enum):
    """What the operator does next; how is the business of the effects."""

    WRITE_PLAN = "write the signed plan"
    INVITE = "make the Participations"
    START_TRAINING = "ask those who accepted to train"
    WRITE_ROSTER = "write the signed roster"
    START_SHARING = "ask the roster to share"
    WRITE_SHARE_ROSTER = "write the signed share roster"
    START_MASKING = "ask who shared to mask"
    WRITE_SURVIVORS = "write the signed list of survivors"
    START_UNMASKING = "ask the survivors to answer"
    START_AGGREGATION = "start the aggregation Job"
    START_PUBLICATION = "start the publication Job"
    RECORD_SNAPSHOT = "make the ModelSnapshot"


@dataclass(frozen=True, slots=True)
class Passed:
    """The step is done; its condition is true."""

    condition: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The round stands at this step, for a reason; perhaps there is something to do."""

    stage: str
    condition: str
    reason: str
    message: str
    todo: Do | None = None
    attempt: int = 0
    look_again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The round is over."""

    reason: str
    message: str


Outcome = Passed | Held | Ended
Step = Callable[[Observed, datetime], Outcome]
