from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fedsnap.formats.control import Excluded, Roster, RosterMember
from fedsnap.jobs.results import AggregateResult, PublishResult
from fedsnap.policies.retry import JobResult
from fedsnap.reconcilers.actions import ApplyObject, CreateObject, DeleteObject, PatchObject
from fedsnap.reconcilers.federatedround.actions import StartHubJob, WriteControl, WritePlan
from fedsnap.reconcilers.federatedround.decide import FINALIZER, decide
from fedsnap.reconcilers.federatedround.observed import CheckedCommit, Observed, StoredPlan
from fedsnap.reconcilers.jobstate import SeenJob
from samples import (
    DIGEST,
    MEMBERS,
    NOW,
    WRAPPED,
    federated_round,
    model_snapshot,
    organizations,
    participation,
    plan,
    shared_model,
)

AFTER_ACCEPT, AFTER_TRAIN = NOW + timedelta(minutes=5), NOW + timedelta(hours=2)
STORED = StoredPlan(plan(), DIGEST, "rounds/research/heart/1/1/plan.json")
ACCEPTED = {"decision": "Accepted", "rule": "heart", "reason": "Allowed"}
REFUSED = {"decision": "Refused", "reason": "RuleExpired", "message": "rule heart expired"}
TRAINED = ACCEPTED | {"outcome": "Succeeded", "result": {"commitDigest": DIGEST, "examples": 10}}
FAILED = ACCEPTED | {"outcome": "Failed", "reason": "UpdateNotFinite", "message": "tensor w holds NaN"}
ROSTER = Roster(
    plan_digest=DIGEST,
    members=tuple(RosterMember(organization=name, commit_digest=DIGEST) for name in MEMBERS),
)
PUBLISHED = PublishResult(
    content_root=DIGEST,
    layout_digest=DIGEST,
    coordinates=50,
    plaintext_digest=DIGEST,
    plaintext_size=10,
    ciphertext_digest=DIGEST,
    ciphertext_size=100,
    wrapped_key=WRAPPED,
    vault_mount="transit",
    vault_key="heart",
    key_version=1,
    path="snapshots/heart/1/1/model.safetensors.c2sp",
)


def seen(**more):
    """A round whose finalizer is set; what it refers to exists."""
    made = {
        "round": federated_round(meta={"finalizers": [FINALIZER]}),
        "model": shared_model(),
        "base": model_snapshot(),
        "organizations": organizations(),
    }
    return Observed(**(made | more))


def invited(statuses=None, stage="Invited"):
    statuses = statuses or {}
    return {name: participation(name, stage, statuses.get(name)) for name in MEMBERS}


def training(statuses=None, **more):
    given = dict.fromkeys(MEMBERS, ACCEPTED) | (statuses or {})
    return seen(plan=STORED, participations=invited(given, "Training"), **more)


def job(stage, attempt=1, *, finished=True, succeeded=True, code=0, reports=()):
    result = JobResult(
        name=f"heart-1-1-{stage}-{attempt}",
        attempt=attempt,
        finished=finished,
        succeeded=succeeded,
        exit_code=code,
        reason="" if succeeded else "OutOfMemory",
        message="",
    )
    return SeenJob(result=result, stage=stage, reports=reports)


AGGREGATED = job(
    "aggregate",
    reports=(AggregateResult(shard=0, shards=1, digest=DIGEST, coordinates=5),),
)


def condition(decided, kind):
    return next((one for one in decided.status["conditions"] if one["type"] == kind), None)


def stages(decided):
    """Organization → stage, of the Participations that are applied."""
    specs = [action.obj["spec"] for action in decided.actions if isinstance(action, ApplyObject)]
    return {spec["organization"]: spec["stage"] for spec in specs}


@pytest.mark.parametrize(
    ("missing", "reason", "named"),
    [
        ({"model": None}, "ModelNotFound", "'heart'"),
        ({"base": None}, "BaseSnapshotNotFound", "round 0"),
        ({"organizations": {}}, "OrganizationNotFound", "hungary"),
    ],
)
def test_a_round_waits_for_what_it_refers_to_and_names_it(missing, reason, named):
    decided = decide(seen(**missing), NOW)
    assert decided.actions == ()
    assert condition(decided, "Accepted")["reason"] == reason
    assert named in condition(decided, "Accepted")["message"]


def test_the_finalizer_comes_before_everything_else():
    decided = decide(seen(round=federated_round()), NOW)
    first, second = decided.actions
    assert isinstance(first, PatchObject)
    assert first.patch["metadata"]["finalizers"] == [FINALIZER]
    assert isinstance(second, WritePlan)


def test_without_a_plan_the_plan_is_written_and_looked_for_at_once():
    decided = decide(seen(), NOW)
    assert [type(action) for action in decided.actions] == [WritePlan]
    assert decided.requeue_after == timedelta(0)


def test_a_clip_norm_that_no_encoding_can_carry_ends_the_round():
    privacy = {"clipNorm": "999999999"}
    decided = decide(seen(round=federated_round(privacy=privacy, meta={"finalizers": [FINALIZER]})), NOW)
    assert condition(decided, "Finished")["reason"] == "EncodingImpossible"
    assert "spec.privacy.clipNorm" in condition(decided, "Finished")["message"]


def test_with_a_plan_everybody_who_is_missing_is_invited():
    some = {name: one for name, one in invited().items() if name != "hungary"}
    assert stages(decide(seen(plan=STORED, participations=some), NOW)) == {"hungary": "Invited"}


def test_members_that_are_silent_are_waited_for_until_the_deadline():
    observed = seen(plan=STORED, participations=invited({"hungary": ACCEPTED}))
    decided = decide(observed, NOW)
    assert decided.actions == ()
    assert "switzerland" in condition(decided, "Accepted")["message"]
    assert condition(decide(observed, AFTER_ACCEPT), "Finished")["reason"] == "QuorumNotReached"


def test_those_who_accepted_train_and_the_others_are_closed():
    statuses = dict.fromkeys(MEMBERS, ACCEPTED) | {"hungary": REFUSED}
    decided = decide(seen(plan=STORED, participations=invited(statuses)), NOW)
    assert stages(decided) == dict.fromkeys(MEMBERS, "Training") | {"hungary": "Closed"}


def test_a_start_of_training_that_was_cut_off_goes_on():
    half = invited(dict.fromkeys(MEMBERS, ACCEPTED))
    half["cleveland"] = participation("cleveland", "Training", ACCEPTED)
    decided = decide(seen(plan=STORED, participations=half), NOW)
    assert set(stages(decided)) == set(MEMBERS) - {"cleveland"}


def test_too_few_acceptances_end_the_round_and_say_who_refused_and_why():
    statuses = dict.fromkeys(MEMBERS, REFUSED) | {"cleveland": ACCEPTED}
    decided = decide(seen(plan=STORED, participations=invited(statuses)), NOW)
    finished = condition(decided, "Finished")
    assert finished["reason"] == "QuorumNotReached"
    assert "hungary: RuleExpired: rule heart expired" in finished["message"]
    assert stages(decided) == dict.fromkeys(MEMBERS, "Closed")


def test_what_keeps_a_silent_member_from_replying_is_said():
    trouble = {
        "conditions": [{"type": "Reconciling", "status": "True", "reason": "VaultSealed", "message": "unseal it"}]
    }
    statuses = dict.fromkeys(MEMBERS, ACCEPTED) | {"hungary": trouble, "cleveland": trouble}
    decided = decide(seen(plan=STORED, participations=invited(statuses)), AFTER_ACCEPT)
    assert "hungary: VaultSealed: unseal it" in condition(decided, "Finished")["message"]


def test_all_updates_agree_on_a_roster():
    observed = training(dict.fromkeys(MEMBERS, TRAINED), commits=dict.fromkeys(MEMBERS, CheckedCommit(DIGEST, 10)))
    (action,) = decide(observed, NOW).actions
    assert isinstance(action, WriteControl)
    assert [one.organization for one in action.control.members] == list(MEMBERS)


def test_a_roster_leaves_out_who_failed_was_late_or_lied_and_says_why():
    statuses = dict.fromkeys(MEMBERS, TRAINED) | {"hungary": FAILED}
    commits = {
        "cleveland": CheckedCommit(DIGEST, 10),
        "switzerland": CheckedCommit(refusal=("SignatureInvalid", "nobody signed it")),
        "va-long-beach": CheckedCommit(DIGEST, 10),
    }
    low = StoredPlan(plan(quorum=2), DIGEST, STORED.path)
    (action,) = decide(replace(training(statuses, commits=commits), plan=low), NOW).actions
    assert {one.organization: one.reason for one in action.control.excluded} == {
        "hungary": "UpdateNotFinite",
        "switzerland": "SignatureInvalid",
    }


def test_a_member_that_hangs_is_excluded_at_the_deadline():
    statuses = dict.fromkeys(MEMBERS, TRAINED) | {"hungary": ACCEPTED}
    commits = {name: CheckedCommit(DIGEST, 10) for name in MEMBERS if name != "hungary"}
    observed = training(statuses, commits=commits)
    assert decide(observed, NOW).actions == ()
    (action,) = decide(observed, AFTER_TRAIN).actions
    assert [(one.organization, one.reason) for one in action.control.excluded] == [("hungary", "DeadlineExceeded")]


def test_after_the_roster_members_are_closed_and_the_aggregation_starts():
    decided = decide(training(dict.fromkeys(MEMBERS, TRAINED), roster=ROSTER), NOW)
    assert stages(decided) == dict.fromkeys(MEMBERS, "Closed")
    (job_action,) = [action for action in decided.actions if isinstance(action, StartHubJob)]
    assert (job_action.stage, job_action.attempt) == ("aggregate", 1)


def closed(**more):
    return seen(plan=STORED, roster=ROSTER, participations=invited(dict.fromkeys(MEMBERS, TRAINED), "Closed"), **more)


def test_a_running_job_is_adopted():
    decided = decide(closed(jobs=(job("aggregate", finished=False, succeeded=False),)), NOW)
    assert decided.actions == ()
    assert "heart-1-1-aggregate-1 is running" in condition(decided, "Aggregated")["message"]


def test_a_job_that_failed_for_a_passing_reason_is_tried_again_under_the_next_number():
    (action,) = decide(closed(jobs=(job("aggregate", succeeded=False, code=1),)), NOW).actions
    assert action.name == "heart-1-1-aggregate-2"


def test_a_job_that_failed_for_good_ends_the_round_with_its_reason():
    decided = decide(closed(jobs=(job("aggregate", succeeded=False, code=42),)), NOW)
    assert condition(decided, "Finished")["reason"] == "AggregationFailed"
    assert "OutOfMemory" in condition(decided, "Finished")["message"]


def test_a_publication_that_is_done_is_recorded_under_the_rounds_name():
    decided = decide(closed(jobs=(AGGREGATED, job("publish", reports=(PUBLISHED,)))), NOW)
    (action,) = decided.actions
    assert isinstance(action, CreateObject)
    assert (action.obj["kind"], action.obj["metadata"]["name"]) == ("ModelSnapshot", "heart-1")


def finished(roster=ROSTER):
    observed = closed(jobs=(AGGREGATED, job("publish", reports=(PUBLISHED,))), snapshot=model_snapshot(1))
    return decide(replace(observed, roster=roster), NOW)


def test_a_round_with_everybody_is_completed():
    decided = finished()
    assert condition(decided, "Finished")["reason"] == "Completed"
    assert decided.status["members"] == "4/4"
    assert decided.status["snapshotRef"] == {"name": "heart-1"}
    assert decided.status["aggregateDigest"] == DIGEST
    assert decided.requeue_after is None


def test_a_round_without_somebody_is_degraded_and_names_them():
    out = (Excluded(organization="hungary", reason="ContainerFailed", message="container train exited with 1"),)
    decided = finished(Roster(plan_digest=DIGEST, members=ROSTER.members[:1] + ROSTER.members[2:], excluded=out))
    assert condition(decided, "Finished")["reason"] == "Degraded"
    assert "hungary: ContainerFailed" in condition(decided, "Finished")["message"]
    assert decided.status["members"] == "3/4"


def ended(reason, attempt=1, **spec):
    status = {"attempt": attempt, "conditions": [{"type": "Finished", "status": "True", "reason": reason}]}
    return federated_round(status=status, meta={"finalizers": [FINALIZER]}, **spec)


def test_a_round_that_is_over_does_nothing_more():
    decided = decide(closed(round=ended("QuorumNotReached")), NOW)
    assert (decided.actions, decided.status) == ((), None)


def test_a_retry_runs_a_failed_round_again_with_a_plan_of_its_own():
    decided = decide(seen(round=ended("QuorumNotReached", retry=1)), NOW)
    (action,) = decided.actions
    assert isinstance(action, WritePlan)
    assert action.observed.paths.plan.endswith("/1/2/plan.json")


def test_a_retry_of_a_success_changes_nothing():
    assert decide(seen(round=ended("Completed", retry=1)), NOW).status is None


def test_an_abort_tells_the_members_and_ends_own_jobs():
    running = job("aggregate", finished=False, succeeded=False)
    observed = training(round=federated_round(abort=True, meta={"finalizers": [FINALIZER]}), jobs=(running,))
    decided = decide(observed, NOW)
    assert stages(decided) == dict.fromkeys(MEMBERS, "Aborted")
    assert [action.name for action in decided.actions if isinstance(action, DeleteObject)] == [running.result.name]
    assert condition(decided, "Finished")["reason"] == "Aborted"


def test_a_suspended_round_suspends_its_members_and_judges_nobody():
    observed = training(round=federated_round(suspend=True, meta={"finalizers": [FINALIZER]}))
    decided = decide(observed, AFTER_TRAIN)
    assert all(action.obj["spec"]["suspend"] for action in decided.actions)
    assert condition(decided, "Trained")["reason"] == "Suspended"
    assert condition(decided, "Finished") is None


def test_a_round_that_is_deleted_takes_its_participations_along():
    doomed = federated_round(meta={"finalizers": [FINALIZER], "deletionTimestamp": "2026-11-24T12:00:00Z"})
    actions = decide(seen(round=doomed, participations=invited()), NOW).actions
    assert [action.namespace for action in actions if isinstance(action, DeleteObject)] == [
        f"member-{name}" for name in MEMBERS
    ]
    assert actions[-1].patch["metadata"]["finalizers"] == []


def test_every_condition_of_a_status_appears_once():
    kinds = [
        one["type"]
        for one in decide(closed(jobs=(AGGREGATED, job("publish", reports=(PUBLISHED,)))), NOW).status["conditions"]
    ]
    assert len(kinds) == len(set(kinds))


def test_a_members_long_complaint_fits_into_the_status():
    trouble = {"conditions": [{"type": "Stalled", "status": "True", "reason": "X", "message": "m" * 2048}]}
    decided = decide(seen(plan=STORED, participations=invited(dict.fromkeys(MEMBERS, trouble))), AFTER_ACCEPT)
    assert len(condition(decided, "Finished")["message"]) <= 2048
    assert all(len(one["message"]) <= 1024 for one in decided.status["participants"])


def test_a_members_text_is_shown_as_one_plain_line():
    rude = REFUSED | {"message": "no\r\n\x1b[2Kcleveland:\tforged"}
    decided = decide(seen(plan=STORED, participations=invited(dict.fromkeys(MEMBERS, rude))), NOW)
    assert "no [2Kcleveland: forged" in condition(decided, "Finished")["message"]
