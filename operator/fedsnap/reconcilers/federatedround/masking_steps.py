"""The steps of a masked round between training and aggregation; a plain round passes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fedsnap.api.participation import MaskingStage, stage_report
from fedsnap.api.schema import parse_duration
from fedsnap.policies.quorum import Verdict
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.exclusions import refusals
from fedsnap.reconcilers.federatedround.masking import ORDER, Masking
from fedsnap.reconcilers.federatedround.observed import AGGREGATE, Observed
from fedsnap.reconcilers.federatedround.outcomes import Do, Ended, Held, Outcome, Passed


def sharing(observed: Observed, now: datetime) -> Outcome:
    """Masked: enough members shared their secrets among the roster."""
    return _masking_step(observed, now, _SHARING) if observed.is_masked else Passed()


def masking(observed: Observed, now: datetime) -> Outcome:
    """Masked: enough members stored masked updates, and the survivors are agreed."""
    return _masking_step(observed, now, _MASKING) if observed.is_masked else Passed()


def unmasking(observed: Observed, now: datetime) -> Outcome:
    """Masked: enough survivors answered."""
    if not observed.is_masked or observed.jobs_of(AGGREGATE):
        return Passed(say.UNMASKED if observed.is_masked else None, "enough survivors answered")
    return _masking_step(observed, now, _UNMASKING)


@dataclass(frozen=True, slots=True)
class _MaskingStep:
    """One stage: what it is called, how it begins, and what closes it."""

    stage: MaskingStage
    condition: str
    begin: Do
    close: Do | None
    began: str
    done: str


_SHARING = _MaskingStep(
    "Sharing", say.SHARED, Do.START_SHARING, Do.WRITE_SHARE_ROSTER, "trained_at", "members shared their secrets"
)
_MASKING = _MaskingStep(
    "Masking", say.MASKED, Do.START_MASKING, Do.WRITE_SURVIVORS, "shared_at", "members stored masked updates"
)
_UNMASKING = _MaskingStep("Unmasking", say.UNMASKED, Do.START_UNMASKING, None, "masked_at", "survivors answered")


def _masking_step(observed: Observed, now: datetime, step: _MaskingStep) -> Outcome:
    """Ask who takes part, wait for their replies, and close the stage by a signed list."""
    seen = observed.masking
    if seen is None:
        return Held("Committed", step.condition, say.WAITING, "the roster is being read", look_again=timedelta(0))
    if ORDER.index(seen.stage) > ORDER.index(step.stage):
        agreed = seen.share_roster.value.members if step is _SHARING and seen.share_roster else seen.members
        return Passed(step.condition, f"{len(agreed)} {step.done}")
    if not all(_was_asked(observed, name, step.stage) for name in seen.members):
        return Held(step.stage, step.condition, say.WAITING, "members are being asked", step.begin)
    return _replies(observed, seen, now, step)


def _replies(observed: Observed, seen: Masking, now: datetime, step: _MaskingStep) -> Outcome:
    """Wait for those who were asked, and close the stage with those who replied."""
    held = Held(step.stage, step.condition, say.WAITING, "what they sent is being signed", step.close)
    due = masking_due(observed, step.began, now)
    # What was answered closes this round for good, so that too few answers are waited for, not given up.
    enough = step is not _UNMASKING or len(seen.valid()) >= seen.threshold
    judgement = seen.judge(observed.participations, deadline_passed=enough and now >= due)
    if judgement.verdict is Verdict.OPEN:
        busy = [name for name in seen.members if not stage_report(observed.participations[name].status, step.stage)]
        until = f"until {say.clock(due)} " if now < due else ""
        return replace(held, message=f"waiting {until}for {say.listed(busy)}", todo=None, look_again=_soon(due - now))
    if judgement.verdict is Verdict.QUORUM_NOT_REACHED:
        message = say.below_threshold(step.stage, judgement, seen.threshold, refusals(observed), in_time=now < due)
        return Ended(say.THRESHOLD_NOT_REACHED, message)
    return held if step.close else Passed(step.condition, f"{len(seen.valid())} {step.done}")


def _soon(left: timedelta) -> timedelta | None:
    return left if left > timedelta(0) else None


def _was_asked(observed: Observed, name: str, stage: MaskingStage) -> bool:
    one = observed.participations.get(name)
    return one is None or one.spec.stage == stage


def masking_due(observed: Observed, began: str, now: datetime) -> datetime:
    """Until when a stage after training may take: an allowance from the end of the one before."""
    status = observed.round.status
    since: datetime | None = getattr(status, began) if status.attempt == observed.attempt else None
    return (since or now) + parse_duration(observed.round.spec.deadlines.mask)
