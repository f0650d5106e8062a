from __future__ import annotations

import pytest

from fedsnap.clients.vault import KeyInfo
from fedsnap.policies.retry import JobResult
from fedsnap.reconcilers.actions import CreateObject
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.reconcilers.sharedmodel.actions import StartInitialization
from fedsnap.reconcilers.sharedmodel.decide import decide
from fedsnap.reconcilers.sharedmodel.observed import Observed
from samples import IMAGE, NOW, federated_round, metadata, model_snapshot, shared_model

OTHER = "sha256:" + "cd" * 32
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": IMAGE}]}}
OWNER = {"apiVersion": "fedsnap.dev/v1alpha1", "kind": "SharedModel", "name": "heart", "uid": "u"}


def seen(**more):
    made = {"model": shared_model(), "owner": OWNER, "key": KeyInfo(2, 1), "template": TEMPLATE}
    return Observed(**(made | more))


def ready(decided):
    return next(one for one in decided.status["conditions"] if one["type"] == "Ready")


def over(number, reason, **more):
    status = {"attempt": 1, "conditions": [{"type": "Finished", "status": "True", "reason": reason, "message": "why"}]}
    return federated_round(number, status=status, **more)


def snapshots(*numbers):
    return {number: model_snapshot(number) for number in numbers}


def test_without_weights_the_trainer_makes_them_from_the_seed():
    (start,) = decide(seen(), NOW).actions
    assert isinstance(start, StartInitialization)
    assert start.name == "heart-0-initialize-1"


@pytest.mark.parametrize(
    ("template", "named"),
    [
        (None, "does not exist"),
        ({"spec": {"containers": [{"name": "main", "image": IMAGE}]}}, "'train'"),
        ({"spec": {"containers": [{"name": "train", "image": "other:1"}]}}, "other:1"),
    ],
)
def test_a_template_that_cannot_initialize_is_named_and_starts_nothing(template, named):
    decided = decide(seen(template=template), NOW)
    assert decided.actions == ()
    assert named in ready(decided)["message"]


def test_without_its_key_nothing_starts():
    decided = decide(seen(key=None, key_problem="no transit key transit/keys/heart; create it"), NOW)
    assert decided.actions == ()
    assert {one["reason"] for one in decided.status["conditions"]} == {"KeyNotReady"}


def test_an_initialization_that_failed_for_good_says_why():
    failed = JobResult(name="j", attempt=1, finished=True, succeeded=False, exit_code=42, reason="LayoutMismatch")
    decided = decide(seen(jobs=(SeenJob(result=failed),)), NOW)
    assert decided.actions == ()
    assert (ready(decided)["reason"], "LayoutMismatch" in ready(decided)["message"]) == ("InitializationFailed", True)


def test_rounds_follow_one_another():
    (create,) = decide(seen(snapshots=snapshots(0)), NOW).actions
    assert isinstance(create, CreateObject)
    assert create.obj["spec"]["number"] == 1
    assert create.obj["metadata"]["ownerReferences"] == [OWNER]
    assert decide(seen(snapshots=snapshots(0), current=federated_round(1)), NOW).actions == ()
    (after,) = decide(seen(snapshots=snapshots(0, 1)), NOW).actions
    assert after.obj["metadata"]["name"] == "heart-2"


def test_a_model_whose_rounds_are_finished_is_ready():
    decided = decide(seen(snapshots=snapshots(0, 1, 2, 3)), NOW)
    assert decided.actions == ()
    assert (ready(decided)["status"], decided.status["latestSnapshot"]) == ("True", "heart-3")
    assert decided.status["keyVersion"] == 2


def test_a_model_is_ready_only_when_its_last_round_says_so_too():
    decided = decide(seen(snapshots=snapshots(0, 1, 2, 3), current=federated_round(3)), NOW)
    assert decided.actions == ()
    assert (ready(decided)["status"], ready(decided)["reason"]) == ("False", "Training")
    assert "round 3 of 3" in ready(decided)["message"]


def test_no_round_begins_before_the_one_before_it_is_finished():
    assert decide(seen(snapshots=snapshots(0, 1), current=federated_round(1)), NOW).actions == ()


def test_a_round_that_failed_stops_the_model_and_says_how_to_go_on():
    decided = decide(seen(snapshots=snapshots(0), current=over(1, "QuorumNotReached")), NOW)
    assert decided.actions == ()
    assert ready(decided)["reason"] == "RoundFailed"
    assert '"retry":1' in ready(decided)["message"]


def test_a_round_that_is_retried_is_waited_for():
    again = over(1, "QuorumNotReached", retry=1)
    assert ready(decide(seen(snapshots=snapshots(0), current=again), NOW))["reason"] == "Training"


def test_a_suspended_model_makes_no_round():
    assert decide(seen(model=shared_model(suspend=True), snapshots=snapshots(0)), NOW).actions == ()


def test_an_existing_snapshot_can_be_the_start():
    model = shared_model(initialization=None, initialSnapshot={"name": "old"})
    initial = model_snapshot(9).model_copy(
        update={"metadata": model_snapshot().metadata.model_validate(metadata("old"))}
    )
    (create,) = decide(seen(model=model, initial=initial), NOW).actions
    assert create.obj["spec"]["number"] == 1


def test_a_start_of_another_layout_than_the_model_pins_is_refused_by_name():
    model = shared_model(
        initialization=None, initialSnapshot={"name": "old"}, architecture={"image": IMAGE, "digest": OTHER}
    )
    decided = decide(seen(model=model, initial=model_snapshot(9)), NOW)
    assert decided.actions == ()
    assert ready(decided)["reason"] == "LayoutMismatch"
    assert OTHER in ready(decided)["message"]
