"""Pure: the stages after training in a masked round; each is one Job, run again until it ends for good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedsnap.api.participation import StageReport, stage_report
from fedsnap.clients.cluster import JOB
from fedsnap.jobs.results import MaskResult, ShareResult, UnmaskResult
from fedsnap.policies import sharing
from fedsnap.policies.retry import next_attempt
from fedsnap.reconcilers.actions import Action, DeleteObject, PatchObject
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.reconcilers.loop import Plan
from fedsnap.reconcilers.participation.actions import RecordRevealed, StartMasking
from fedsnap.reconcilers.participation.observed import Observed

# What may pass: a store or a Vault that restarts, a node that dies. The hub's deadline is the true bound.
RETRIES = 10
LOOK_AGAIN = timedelta(seconds=30)
_MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the Job that does it, and what its report says."""

    name: str
    job: str
    result: type[ShareResult | MaskResult | UnmaskResult]
    digest: str


STAGES = {
    one.name: one
    for one in (
        Stage("Sharing", "share", ShareResult, "shares_digest"),
        Stage("Masking", "mask", MaskResult, "masked_digest"),
        Stage("Unmasking", "unmask", UnmaskResult, "survivors_digest"),
    )
}


def decide(observed: Observed, now: datetime, namespace: str) -> Plan:
    """What the organization does in the stage that the hub asks for; nothing where it has answered."""
    one = observed.participation
    stage = STAGES[one.spec.stage]
    if stage_report(one.status, stage.name):
        return Plan()
    jobs = observed.jobs_of(stage.job)
    done = next((job for job in jobs if job.result.succeeded), None)
    if done:
        return _ended(observed, _succeeded(stage, done))
    due = one.spec.stage_by
    if due and now >= due:
        running = tuple(DeleteObject(JOB, namespace, job.result.name) for job in jobs if job.active)
        return _ended(observed, _failed(stage, "DeadlineExceeded", f"not done by {due:%H:%M:%SZ}"), running)
    return _go_on(observed, stage, jobs, now, namespace)


def _go_on(observed: Observed, stage: Stage, jobs: tuple[SeenJob, ...], now: datetime, namespace: str) -> Plan:
    """Watch the Job that runs, or start the next attempt."""
    results = [job.result for job in jobs]
    attempt = next_attempt(results, RETRIES)
    if attempt is None and not any(job.active for job in jobs):
        last = results[-1]
        return _ended(observed, _failed(stage, last.reason, f"Job {last.name}: {last.message}"))
    if attempt is None or observed.participation.spec.suspend:
        return Plan(actions=_suspension(observed, jobs, namespace), requeue_after=LOOK_AGAIN)
    pause = attempt.pause(now)
    return Plan(requeue_after=pause) if pause else _start(observed, stage, attempt.number, now)


def _start(observed: Observed, stage: Stage, attempt: int, now: datetime) -> Plan:
    """Start the stage's Job, if the organization still agrees: consent may have been withdrawn since."""
    plan = observed.plan
    if observed.plan_refusal or plan is None:
        reason, message = observed.plan_refusal or ("PlanNotFound", "the plan could not be read")
        return _ended(observed, _failed(stage, reason, message))
    consent = sharing.decide(observed.policies, observed.request(plan), now)
    if not consent.allowed:
        return _ended(observed, _failed(stage, consent.reason, consent.message))
    start = StartMasking(observed, plan, stage.job, consent.requires, attempt, now)
    if stage.job != "unmask" or (observed.survivors and observed.answers_for == observed.survivors.digest):
        return Plan(actions=(start,), requeue_after=LOOK_AGAIN)
    if observed.survivors is None:
        return Plan(requeue_after=LOOK_AGAIN)
    if observed.answers_for:
        message = f"this attempt was answered for survivors {observed.answers_for}, the hub now names others"
        return _ended(observed, _failed(stage, "AlreadyAnswered", message))
    # Written down before the Job exists: whatever dies, this organization answers for no other survivors.
    return Plan(actions=(RecordRevealed(observed, plan, observed.survivors),), requeue_after=timedelta(0))


def _succeeded(stage: Stage, done: SeenJob) -> StageReport:
    report = next((one for one in done.reports if isinstance(one, stage.result)), None)
    if report is None:
        return _failed(stage, "ReportInvalid", "the Job ended well but did not report; is the image fedsnap's own?")
    return StageReport.model_validate(
        {"stage": stage.name, "outcome": "Succeeded", "digest": getattr(report, stage.digest)}
    )


def _failed(stage: Stage, reason: str, message: str) -> StageReport:
    return StageReport.model_validate(
        {"stage": stage.name, "outcome": "Failed", "reason": reason[:128], "message": message[:_MAX_MESSAGE]}
    )


def _ended(observed: Observed, report: StageReport, actions: tuple[Action, ...] = ()) -> Plan:
    status = observed.participation.status
    update: dict[str, Any] = {"stages": [*status.stages, report]}
    return Plan(actions=actions, status=status.model_copy(update=update).to_wire())


def _suspension(observed: Observed, jobs: tuple[SeenJob, ...], namespace: str) -> tuple[Action, ...]:
    wanted = observed.participation.spec.suspend
    return tuple(
        PatchObject(JOB, namespace, job.result.name, {"spec": {"suspend": wanted}})
        for job in jobs
        if job.active and job.suspended != wanted
    )
