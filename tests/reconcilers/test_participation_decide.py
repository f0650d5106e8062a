from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fedsnap.jobs.results import SealResult
from fedsnap.policies.preflight import KeyState
from fedsnap.policies.retry import JobResult
from fedsnap.reconcilers.actions import DeleteObject, PatchObject
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.reconcilers.participation.actions import StartTraining
from fedsnap.reconcilers.participation.decide import HEARTBEAT, decide
from fedsnap.reconcilers.participation.observed import Observed
from samples import DIGEST, IMAGE, NOW, participation, plan, rule, sharing_policy

ACCEPTED = {"decision": "Accepted", "rule": "heart", "reason": "Allowed"}
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": IMAGE, "resources": {"limits": {"cpu": "1"}}}]}}
SEALED = SealResult(
    commit_digest=DIGEST, examples=9, update_norm="1.5", clipped=False, saturated=0, bytes=60, coordinates=4
)


def seen(one=None, **more):
    made = {
        "participation": one or participation(),
        "plan": plan(),
        "policies": [sharing_policy()],
        "templates": {"gpu-trainer": TEMPLATE},
        "key": KeyState(name="transit/heart", latest_version=1, oldest_usable_version=1),
    }
    return Observed(**(made | more))


def training(**more):
    return seen(participation(stage="Training", status=ACCEPTED), **more)


def job(attempt=1, *, finished=True, succeeded=False, code=1, reports=(), waiting=""):
    reason = "" if succeeded or not finished else "ContainerFailed"
    result = JobResult(
        name=f"job-{attempt}", attempt=attempt, finished=finished, succeeded=succeeded, exit_code=code, reason=reason
    )
    return SeenJob(result=result, stage="train", reports=reports, waiting=waiting)


RUNNING = job(finished=False)


def step(observed, now=NOW):
    return decide(observed, now, "cleveland")


def test_an_allowed_invitation_is_accepted_by_a_named_rule():
    status = step(seen()).status
    assert (status["decision"], status["rule"]) == ("Accepted", "consent/heart")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"policies": []}, "NoSharingPolicy"),
        ({"policies": [sharing_policy(rule(expires="2020-01-01T00:00:00Z"))]}, "RuleExpired"),
        ({"templates": {}}, "TemplateNotFound"),
        ({"key": None}, "KeyNotFound"),
        ({"allocatable": ({"cpu": "500m"},)}, "CapacityInsufficient"),
        ({"plan": None, "plan_refusal": ("SignatureInvalid", "not signed by the hub")}, "SignatureInvalid"),
    ],
)
def test_what_stands_in_the_way_refuses_and_starts_nothing(changed, reason):
    decided = step(seen(**changed))
    assert (decided.status["decision"], decided.status["reason"]) == ("Refused", reason)
    assert decided.actions == ()


def test_an_invitation_that_expired_is_refused():
    assert step(seen(), NOW + timedelta(minutes=5)).status["reason"] == "DeadlineExceeded"


def test_nothing_starts_before_the_hub_asks_for_it():
    decided = step(seen(participation(status=ACCEPTED)))
    assert decided.actions == ()
    assert decided.requeue_after == HEARTBEAT


def test_training_starts_one_job_that_is_recorded_with_its_number():
    decided = step(training())
    (start,) = decided.actions
    assert isinstance(start, StartTraining)
    assert start.name.startswith("heart-1-cleveland-train-1-")
    assert decided.status["attempts"] == [{"number": 1, "job": start.name, "reason": "", "message": ""}]


def test_a_running_job_is_adopted():
    decided = step(training(jobs=(RUNNING,)))
    assert decided.actions == ()
    assert decided.status["reason"] == "Training"


def test_why_a_pod_does_not_start_is_said():
    decided = step(training(jobs=(job(finished=False, waiting="Unschedulable: no GPU is free"),)))
    assert "no GPU is free" in decided.status["message"]


def test_a_failure_that_may_pass_is_tried_again():
    (start,) = step(training(jobs=(job(),))).actions
    assert start.attempt == 2


@pytest.mark.parametrize("jobs", [(job(code=42),), (job(1), job(2))])
def test_a_final_failure_or_the_last_one_excludes_the_organization(jobs):
    decided = step(training(jobs=jobs))
    assert decided.actions == ()
    assert (decided.status["outcome"], decided.status["reason"]) == ("Failed", "ContainerFailed")


def test_a_job_that_somebody_deleted_counts_as_an_attempt():
    attempts = [{"number": 1, "job": "job-1"}]
    (start,) = step(seen(participation(stage="Training", status=ACCEPTED | {"attempts": attempts}))).actions
    assert start.attempt == 2


def test_consent_that_was_withdrawn_starts_no_job():
    decided = step(training(policies=[sharing_policy(suspend=True)]))
    assert decided.actions == ()
    assert (decided.status["outcome"], decided.status["reason"]) == ("Failed", "PolicySuspended")


def test_a_template_that_changed_since_starts_no_job():
    decided = step(training(templates={}))
    assert decided.actions == ()
    assert decided.status["reason"] == "TemplateNotFound"


def test_a_committed_update_is_reported():
    decided = step(training(jobs=(job(succeeded=True, code=0, reports=(SEALED,)),)))
    assert decided.status["outcome"] == "Succeeded"
    assert decided.status["result"]["commitDigest"] == DIGEST


def test_a_job_that_hangs_is_ended_at_the_deadline():
    decided = step(training(jobs=(RUNNING,)), NOW + timedelta(hours=2))
    assert [type(action) for action in decided.actions] == [DeleteObject]
    assert decided.status["reason"] == "DeadlineExceeded"


@pytest.mark.parametrize(("stage", "reason"), [("Aborted", "Aborted"), ("Closed", "TooLate")])
def test_a_round_that_the_hub_closed_ends_its_job(stage, reason):
    decided = step(seen(participation(stage=stage, status=ACCEPTED), jobs=(RUNNING,)))
    assert [action.resource.kind for action in decided.actions] == ["Job", "ConfigMap"]
    assert decided.status["reason"] == reason


def test_a_suspended_round_suspends_its_job_and_starts_no_other():
    suspended = participation(stage="Training", status=ACCEPTED, suspend=True)
    (patch,) = step(seen(suspended, jobs=(RUNNING,))).actions
    assert isinstance(patch, PatchObject)
    assert patch.patch == {"spec": {"suspend": True}}
    assert step(seen(suspended)).actions == ()


def test_a_heartbeat_is_written_only_when_it_is_due():
    recent = ACCEPTED | {"lastHeartbeatTime": "2026-11-24T11:59:50Z"}
    status = step(seen(participation(status=recent))).status
    assert status["lastHeartbeatTime"] == "2026-11-24T11:59:50Z"
    later = step(seen(participation(status=recent)), NOW + timedelta(seconds=25)).status
    assert later["lastHeartbeatTime"] == "2026-11-24T12:00:25Z"


def test_the_next_attempt_waits_for_its_time():
    failed = job()
    recent = replace(failed, result=replace(failed.result, finished_at=NOW))
    decided = step(training(jobs=(recent,)))
    assert (decided.actions, decided.requeue_after) == ((), timedelta(seconds=5))
