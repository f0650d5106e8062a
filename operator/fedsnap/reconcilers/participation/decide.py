"""Pure: an organization's answer to an invitation, and what it does about its training Jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fedsnap.api.participation import Attempt, ParticipationStatus, TrainingResult
from fedsnap.api.schema import Condition
from fedsnap.clients.cluster import CONFIG_MAP, JOB
from fedsnap.jobs.results import SealResult
from fedsnap.policies import preflight, sharing
from fedsnap.policies.retry import JobResult, next_attempt
from fedsnap.reconcilers.actions import Action, DeleteObject, PatchObject
from fedsnap.reconcilers.loop import Plan
from fedsnap.reconcilers.participation import masking
from fedsnap.reconcilers.participation.actions import StartTraining
from fedsnap.reconcilers.participation.observed import Observed

HEARTBEAT = timedelta(seconds=30)
ACCEPTED, TRAINED = "Accepted", "Trained"
TRAIN = "train"
_MAX_MESSAGE = 1024
Update = dict[str, Any]


def decide(observed: Observed, now: datetime, namespace: str) -> Plan:
    """What the organization does next; `namespace` is where its Jobs run."""
    one = observed.participation
    status, stage = one.status, one.spec.stage
    if one.being_deleted or stage in ("Closed", "Aborted"):
        return _closed(observed, namespace)
    if status.decision == "Refused" or status.outcome == "Failed":
        return Plan()
    if status.outcome == "Succeeded":
        return masking.decide(observed, now, namespace) if stage in masking.STAGES else Plan()
    if status.decision is None:
        return _report(observed, _answer(observed, now), now)
    if stage == "Invited":
        return _report(observed, {}, now)
    return _train(observed, now, namespace)


def _closed(observed: Observed, namespace: str) -> Plan:
    """The hub needs nothing more: what still runs is ended."""
    active = tuple(
        DeleteObject(kind, namespace, job.result.name)
        for job in observed.jobs
        if job.active
        for kind in (JOB, CONFIG_MAP)
    )
    status = observed.participation.status
    if status.decision != "Accepted" or status.outcome is not None:
        return Plan(actions=active)
    stage = observed.participation.spec.stage
    update = _failed("Aborted" if stage == "Aborted" else "TooLate", "the hub closed this round before it was done")
    return Plan(actions=active, status=_status(observed, update))


def _answer(observed: Observed, now: datetime) -> Update:
    """Accepted or refused, by which rule and why."""
    refusal = observed.plan_refusal
    plan = observed.plan
    if refusal or plan is None:
        return _refused(*(refusal or ("PlanNotFound", "the plan could not be read")))
    if now >= plan.accept_by:
        return _refused("DeadlineExceeded", f"the invitation was open until {plan.accept_by:%Y-%m-%dT%H:%M:%SZ}")
    consent = sharing.decide(observed.policies, observed.request(plan), now)
    if not consent.allowed:
        return _refused(consent.reason, consent.message, consent.rule)
    problem = preflight.check(observed.site(plan, consent.template))
    if problem:
        return _refused(problem.reason, problem.message, consent.rule)
    return {"decision": "Accepted", "rule": consent.rule, "reason": consent.reason, "message": consent.message}


def _refused(reason: str, message: str, rule: str = "") -> Update:
    return {"decision": "Refused", "rule": rule, "reason": reason, "message": message[:_MAX_MESSAGE]}


def _failed(reason: str, message: str) -> Update:
    return {"outcome": "Failed", "reason": reason, "message": message[:_MAX_MESSAGE]}


def _train(observed: Observed, now: datetime, namespace: str) -> Plan:
    one = observed.participation
    results = known_attempts(observed)
    attempts: Update = {"attempts": [_attempt(result) for result in results]}
    done = next((job for job in observed.jobs_of(TRAIN) if job.result.succeeded), None)
    if done:
        return _report(observed, attempts | _succeeded(done.reports), now)
    due = one.spec.train_by
    if due and now >= due:
        ended = tuple(DeleteObject(JOB, namespace, job.result.name) for job in observed.jobs_of(TRAIN) if job.active)
        message = f"not trained by {due:%Y-%m-%dT%H:%M:%SZ}. {_waiting(observed)}".strip()
        return _report(observed, attempts | _failed("DeadlineExceeded", message), now, ended)
    attempt = next_attempt(results, one.spec.retries)
    if attempt is None and not any(job.active for job in observed.jobs_of(TRAIN)):
        last = results[-1]
        return _report(observed, attempts | _failed(last.reason, f"Job {last.name}: {last.message}"), now)
    if attempt is None or one.spec.suspend:
        return _report(observed, attempts | _progress(observed), now, _suspension(observed, namespace))
    pause = attempt.pause(now)
    if pause:
        again = {"reason": "Retrying", "message": f"attempt {attempt.number} begins in {pause.seconds} s"}
        return replace(_report(observed, attempts | again, now), requeue_after=pause)
    return _start(observed, attempt.number, attempts, now)


def _start(observed: Observed, attempt: int, attempts: Update, now: datetime) -> Plan:
    """Start a training Job, if the organization still agrees: consent may have been withdrawn since."""
    plan = observed.plan
    if observed.plan_refusal or plan is None:
        reason, message = observed.plan_refusal or ("PlanNotFound", "the plan could not be read")
        return _report(observed, attempts | _failed(reason, message), now)
    consent = sharing.decide(observed.policies, observed.request(plan), now)
    if not consent.allowed:
        return _report(observed, attempts | _failed(consent.reason, consent.message), now)
    problem = preflight.check_template(observed.site(plan, consent.template))
    if problem:
        return _report(observed, attempts | _failed(problem.reason, problem.message), now)
    start = StartTraining(observed, plan, consent.template, attempt, now)
    begun = Attempt(number=attempt, job=start.name)
    said = {
        "attempts": [*attempts["attempts"], begun],
        "reason": "Training",
        "message": f"Job {start.name} was started",
    }
    return _report(observed, said, now, (start,))


def known_attempts(observed: Observed) -> list[JobResult]:
    """Attempts by their Jobs, and those whose Jobs are gone by what was recorded of them."""
    seen = {job.result.attempt: job.result for job in observed.jobs_of(TRAIN)}
    for recorded in observed.participation.status.attempts:
        if recorded.number not in seen:
            seen[recorded.number] = _gone(recorded)
    return [seen[number] for number in sorted(seen)]


def _gone(recorded: Attempt) -> JobResult:
    return JobResult(
        name=recorded.job,
        attempt=recorded.number,
        finished=True,
        succeeded=False,
        reason=recorded.reason or "JobDeleted",
        message=recorded.message or "somebody deleted the Job before it was done",
    )


def _attempt(result: JobResult) -> Attempt:
    outcome = ("Succeeded" if result.succeeded else "Failed") if result.finished else None
    return Attempt.model_validate(
        {
            "number": result.attempt,
            "job": result.name,
            "outcome": outcome,
            "reason": result.reason[:128],
            "message": result.message[:_MAX_MESSAGE],
        }
    )


def _succeeded(reports: tuple[Any, ...]) -> Update:
    report = next((one for one in reports if isinstance(one, SealResult)), None)
    if report is None:
        return _failed("ReportInvalid", "the Job ended well but did not report a commit; is the image fedsnap's own?")
    result = TrainingResult(
        commit_digest=report.commit_digest,
        examples=report.examples,
        update_norm=report.update_norm,
        clipped=report.clipped,
        saturated=report.saturated,
    )
    return {"outcome": "Succeeded", "result": result, "reason": "Committed", "message": "the update is committed"}


def _progress(observed: Observed) -> Update:
    active = next((job for job in observed.jobs_of(TRAIN) if job.active), None)
    if observed.participation.spec.suspend:
        return {"reason": "Suspended", "message": "the hub suspended this round"}
    if active is None:
        return {}
    if active.waiting:
        return {"reason": "Waiting", "message": f"Job {active.result.name}: {active.waiting}"[:_MAX_MESSAGE]}
    return {"reason": "Training", "message": f"Job {active.result.name} is running"}


def _waiting(observed: Observed) -> str:
    return next((job.waiting for job in observed.jobs_of(TRAIN) if job.active and job.waiting), "")


def _suspension(observed: Observed, namespace: str) -> tuple[Action, ...]:
    wanted = observed.participation.spec.suspend
    return tuple(
        PatchObject(JOB, namespace, job.result.name, {"spec": {"suspend": wanted}})
        for job in observed.jobs_of(TRAIN)
        if job.active and job.suspended != wanted
    )


def _report(observed: Observed, update: Update, now: datetime, actions: tuple[Action, ...] = ()) -> Plan:
    """Actions, and a status with a heartbeat; while it is not done it is looked at again for the next one."""
    last = observed.participation.status.last_heartbeat_time
    beat = now if last is None or now - last >= HEARTBEAT else last
    over = update.get("outcome") is not None or update.get("decision") == "Refused"
    status = _status(observed, update | {"last_heartbeat_time": now if over else beat})
    return Plan(actions=actions, status=status, requeue_after=None if over else _next_look(observed, now))


def _next_look(observed: Observed, now: datetime) -> timedelta:
    due = observed.participation.spec.train_by
    return min(HEARTBEAT, max(due - now, timedelta(0))) if due else HEARTBEAT


def _status(observed: Observed, update: Update) -> dict[str, Any]:
    before = observed.participation.status
    status = before.model_copy(update=update)
    return status.model_copy(update={"conditions": _conditions(status)}).to_wire()


def _conditions(status: ParticipationStatus) -> list[Condition]:
    if status.decision is None:
        return []
    if status.decision == "Refused":
        return [Condition(type=ACCEPTED, status="False", reason=status.reason, message=status.message)]
    accepted = Condition(type=ACCEPTED, status="True", reason="Allowed", message=f"by rule {status.rule}")
    if status.outcome is None:
        return [accepted]
    trained = "True" if status.outcome == "Succeeded" else "False"
    return [accepted, Condition(type=TRAINED, status=trained, reason=status.reason, message=status.message)]
