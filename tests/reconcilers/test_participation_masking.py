"""What an organization does in the stages after training."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fedsnap.formats.signed import Signed
from fedsnap.jobs.results import MaskResult, ShareResult, UnmaskResult
from fedsnap.policies.retry import JobResult
from fedsnap.reconcilers.actions import DeleteObject
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.reconcilers.participation.actions import RecordRevealed, StartMasking
from fedsnap.reconcilers.participation.decide import decide
from fedsnap.reconcilers.participation.observed import Observed
from fedsnap.secagg.masking.files import Survivor, Survivors
from samples import DIGEST, NOW, participation, plan, rule, sharing_policy

OTHER = "sha256:" + "cd" * 32
TRAINED = {"decision": "Accepted", "outcome": "Succeeded", "result": {"commitDigest": DIGEST, "examples": 9}}
REPORTS = {
    "Sharing": ShareResult(shares_digest=DIGEST),
    "Masking": MaskResult(masked_digest=DIGEST, masked_bytes=4),
    "Unmasking": UnmaskResult(survivors_digest=DIGEST),
}
JOBS = {"Sharing": "share", "Masking": "mask", "Unmasking": "unmask"}
SURVIVORS = Signed(
    Survivors(context=DIGEST, share_roster_digest=DIGEST, members=(Survivor(organization="a", masked_digest=DIGEST),)),
    DIGEST,
)


def seen(stage, *, status=TRAINED, **more):
    one = participation(stage=stage, status=status, stageBy="2026-11-24T12:10:00Z")
    strict = rule(requires={"secureAggregation": "Masked", "assumedColluders": 0})
    made = {"plan": plan(secure_aggregation="Masked"), "policies": [sharing_policy(strict)], "survivors": SURVIVORS}
    return Observed(participation=one, **(made | more))


def job(stage, *, finished=True, succeeded=False, code=1, reports=()):
    result = JobResult(name="j", attempt=1, finished=finished, succeeded=succeeded, exit_code=code, reason="WhyNot")
    return SeenJob(result=result, stage=JOBS[stage], reports=reports)


def step(observed, now=NOW):
    return decide(observed, now, "cleveland")


@pytest.mark.parametrize("stage", ["Sharing", "Masking"])
def test_a_stage_starts_its_job_once_the_hub_asks(stage):
    (start,) = step(seen(stage)).actions
    assert isinstance(start, StartMasking)
    assert (start.stage, start.attempt) == (JOBS[stage], 1)


@pytest.mark.parametrize("stage", REPORTS)
def test_a_job_that_ended_well_is_reported_with_the_digest_of_what_it_stored(stage):
    done = job(stage, succeeded=True, reports=(REPORTS[stage],))
    decided = step(seen(stage, jobs=(done,)))
    assert decided.status["stages"] == [{"stage": stage, "outcome": "Succeeded", "digest": DIGEST} | SILENT]


SILENT = {"reason": "", "message": ""}


def test_a_stage_that_was_reported_is_done_only_once():
    status = TRAINED | {"stages": [{"stage": "Sharing", "outcome": "Succeeded", "digest": DIGEST}]}
    assert step(seen("Sharing", status=status)).actions == ()


def test_what_is_answered_is_written_down_before_anything_is_revealed():
    decided = step(seen("Unmasking"))
    assert [type(one) for one in decided.actions] == [RecordRevealed]
    assert decided.requeue_after == timedelta(0)


def test_after_it_is_written_down_the_answer_is_given():
    (start,) = step(seen("Unmasking", answers_for=DIGEST)).actions
    assert isinstance(start, StartMasking)


def test_for_other_survivors_than_were_written_down_nothing_is_revealed():
    decided = step(seen("Unmasking", answers_for=OTHER))
    assert decided.actions == ()
    assert decided.status["stages"][0]["reason"] == "AlreadyAnswered"


def test_consent_that_was_withdrawn_ends_the_stage_before_it_begins():
    decided = step(seen("Masking", policies=[sharing_policy(suspend=True)]))
    assert decided.actions == ()
    assert decided.status["stages"][0]["reason"] == "PolicySuspended"


def test_a_round_that_turned_out_plain_gets_nothing_more():
    decided = step(seen("Masking", plan=plan(secure_aggregation="Plain")))
    assert decided.status["stages"][0]["reason"] == "SecureAggregationRequired"


def test_what_may_pass_is_tried_again_and_what_may_not_is_reported():
    (again,) = step(seen("Masking", jobs=(job("Masking"),))).actions
    assert again.attempt == 2
    final = step(seen("Masking", jobs=(job("Masking", code=42),)))
    assert final.status["stages"][0]["reason"] == "WhyNot"


def test_after_the_stages_deadline_its_job_is_ended():
    running = job("Masking", finished=False)
    decided = step(seen("Masking", jobs=(running,)), NOW + timedelta(minutes=10))
    assert [type(one) for one in decided.actions] == [DeleteObject]
    assert decided.status["stages"][0]["reason"] == "DeadlineExceeded"
