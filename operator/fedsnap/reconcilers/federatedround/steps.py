"""The steps of a round in order; each is a pure function that passes, holds or ends the round."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from fedsnap.api.schema import parse_duration
from fedsnap.policies.quorum import Verdict
from fedsnap.policies.retry import next_attempt
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.exclusions import refusals
from fedsnap.reconcilers.federatedround.masking_steps import masking, masking_due, sharing, unmasking
from fedsnap.reconcilers.federatedround.observed import (
    AGGREGATE,
    PUBLISH,
    Observed,
    in_training,
    judge_acceptance,
    judge_training,
)
from fedsnap.reconcilers.federatedround.outcomes import Do, Ended, Held, Outcome, Passed, Step
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.secagg.encoding import scale_exponent
from fedsnap.secagg.errors import ScaleImpossible

# A hub Job that fails for a reason that may pass (a store that restarts) is tried again this often.
HUB_JOB_RETRIES = 6


def references(observed: Observed, _now: datetime) -> Outcome:
    """Model, base snapshot and organizations exist."""
    spec = observed.round.spec
    known = set(observed.organizations) | set(observed.participations)
    unknown = [name for name in spec.participants.organizations if name not in known]
    if observed.model is None:
        return _waits(say.MODEL_NOT_FOUND, f"SharedModel {spec.model_ref.name!r} does not exist in this namespace")
    if unknown:
        return _waits(
            say.ORGANIZATION_NOT_FOUND, f"no Organization named {say.listed(unknown)}; make it, or make another round"
        )
    if observed.base is None and observed.plan is None:
        return _waits(
            say.BASE_SNAPSHOT_NOT_FOUND,
            f"round {spec.number} trains the snapshot of round {spec.number - 1}, which is not published yet",
        )
    return Passed()


def _waits(reason: str, message: str) -> Held:
    return Held("Pending", say.ACCEPTED, reason, message, look_again=timedelta(seconds=30))


def plan(observed: Observed, _now: datetime) -> Outcome:
    """The plan of this attempt lies signed in the store."""
    if observed.plan:
        return Passed()
    spec = observed.round.spec
    try:
        scale_exponent(len(spec.participants.organizations), spec.privacy.clip_norm)
    except ScaleImpossible as error:
        return Ended(say.ENCODING_IMPOSSIBLE, f"spec.privacy.clipNorm: {error}")
    return Held("Pending", say.ACCEPTED, say.WAITING, "the plan is being written", Do.WRITE_PLAN)


def acceptance(observed: Observed, now: datetime) -> Outcome:
    """Enough members accepted."""
    assert observed.plan is not None  # noqa: S101  # the step before saw to it
    the_plan = observed.plan.plan
    if set(the_plan.organizations) - set(observed.participations):
        return Held("Invited", say.ACCEPTED, say.WAITING, "members are being invited", Do.INVITE)
    if observed.roster or in_training(observed.participations):
        if not observed.roster and any(one.spec.stage == "Invited" for one in observed.participations.values()):
            return Held("Accepted", say.ACCEPTED, say.WAITING, "training is being started", Do.START_TRAINING)
        return Passed(say.ACCEPTED, _accepted_message(observed))
    judgement = judge_acceptance(observed.participations, the_plan, now)
    if judgement.verdict is Verdict.OPEN:
        silent = [name for name, one in observed.participations.items() if one.status.decision is None]
        message = f"waiting until {say.clock(the_plan.accept_by)} for {say.listed(sorted(silent))}"
        return Held("Invited", say.ACCEPTED, say.WAITING, message, look_again=the_plan.accept_by - now)
    if judgement.verdict is Verdict.QUORUM_NOT_REACHED:
        in_time = now < the_plan.accept_by
        message = say.below_quorum("accepted", judgement, the_plan.quorum, refusals(observed), in_time=in_time)
        return Ended(say.QUORUM_NOT_REACHED, message)
    return Held("Accepted", say.ACCEPTED, say.WAITING, "training is being started", Do.START_TRAINING)


def _accepted_message(observed: Observed) -> str:
    accepted = sum(1 for one in observed.participations.values() if one.status.decision == "Accepted")
    return f"{accepted} of {len(observed.participations)} members accepted"


def training(observed: Observed, now: datetime) -> Outcome:
    """The roster is agreed: all replied, or the deadline passed with a quorum."""
    assert observed.plan is not None  # noqa: S101
    if observed.roster:
        results = {name: one.status.result for name, one in observed.participations.items()}
        clipped = sorted(name for name, result in results.items() if result and result.clipped)
        return Passed(say.TRAINED, say.valid_updates(len(observed.roster.members), clipped))
    the_plan = observed.plan.plan
    judgement = judge_training(observed.participations, observed.commits, the_plan, now)
    if judgement.verdict is Verdict.OPEN:
        busy = sorted(name for name, one in in_training(observed.participations).items() if one.status.outcome is None)
        message = f"waiting until {say.clock(the_plan.train_by)} for {say.listed(busy)}"
        return Held("Training", say.TRAINED, say.WAITING, message, look_again=the_plan.train_by - now)
    if judgement.verdict is Verdict.QUORUM_NOT_REACHED:
        in_time = now < the_plan.train_by
        message = say.below_quorum("trained", judgement, the_plan.quorum, refusals(observed), in_time=in_time)
        return Ended(say.QUORUM_NOT_REACHED, message)
    return Held("Committed", say.TRAINED, say.WAITING, "the roster is being written", Do.WRITE_ROSTER)


def aggregation(observed: Observed, now: datetime) -> Outcome:
    """The weighted sum of the roster's updates exists."""
    return _hub_job(
        observed,
        now,
        jobs=observed.jobs_of(AGGREGATE),
        held=Held("Aggregating", say.AGGREGATED, say.WAITING, "aggregation is running", Do.START_AGGREGATION),
        failure=say.AGGREGATION_FAILED,
    )


def publication(observed: Observed, now: datetime) -> Outcome:
    """The new snapshot lies encrypted in the store."""
    if observed.snapshot:
        return Passed()
    outcome = _hub_job(
        observed,
        now,
        jobs=observed.jobs_of(PUBLISH),
        held=Held("Publishing", say.PUBLISHED, say.WAITING, "publication is running", Do.START_PUBLICATION),
        failure=say.PUBLICATION_FAILED,
    )
    # Published is what is recorded, which is the next step.
    return Passed() if isinstance(outcome, Passed) else outcome


def record(observed: Observed, _now: datetime) -> Outcome:
    """The ModelSnapshot exists: from here on the snapshot is visible."""
    if observed.snapshot:
        return Passed(say.PUBLISHED, f"published as ModelSnapshot {observed.snapshot.metadata.name}")
    return Held("Publishing", say.PUBLISHED, say.WAITING, "the ModelSnapshot is being made", Do.RECORD_SNAPSHOT)


def _hub_job(observed: Observed, now: datetime, *, jobs: tuple[SeenJob, ...], held: Held, failure: str) -> Outcome:
    results = [job.result for job in jobs]
    done = next((result for result in results if result.succeeded), None)
    if done:
        return Passed(held.condition, f"done by Job {done.name}")
    attempt = next_attempt(results, HUB_JOB_RETRIES)
    if attempt and not attempt.pause(now):
        return replace(held, attempt=attempt.number)
    last = jobs[-1]
    if attempt:
        message = f"Job {last.result.name} failed and is tried again: {last.result.reason}: {last.result.message}"
        return replace(held, message=message, todo=None, look_again=attempt.pause(now))
    if last.result.finished:
        why = f"{last.result.reason}: {last.result.message}"
        return Ended(failure, f"Job {last.result.name} failed: {why}")
    due = _hub_deadline(observed)
    if now >= due:
        return Ended(say.DEADLINE_EXCEEDED, f"Job {last.result.name} was not done by {say.clock(due)}. {last.waiting}")
    message = f"Job {last.result.name} is running" if not last.waiting else f"Job {last.result.name}: {last.waiting}"
    return replace(held, message=message, todo=None, look_again=due - now)


def _hub_deadline(observed: Observed) -> datetime:
    """Aggregation and publication together may take twice the allowance, from the end of training."""
    assert observed.plan is not None  # noqa: S101
    allowance = parse_duration(observed.round.spec.deadlines.aggregate)
    status, train_by = observed.round.status, observed.plan.plan.train_by
    if not observed.is_masked:
        return (status.trained_at or train_by) + 2 * allowance
    return (status.unmasked_at or masking_due(observed, "masked_at", train_by)) + 2 * allowance


STEPS: tuple[Step, ...] = (
    references,
    plan,
    acceptance,
    training,
    sharing,
    masking,
    unmasking,
    aggregation,
    publication,
    record,
)
