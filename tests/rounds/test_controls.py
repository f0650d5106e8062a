"""Suspend, abort, retry and delete."""

from __future__ import annotations

import pytest

from rounds.hospitals import MEMBERS, shared_model, wait_for

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]


def begin_hanging(hospitals, model, **template):
    """A round in which everybody trains for ever."""
    for member in MEMBERS:
        hospitals.train_with(member, "hangs")
    hospitals.start_all()
    hospitals.apply(shared_model(model, **template))
    wait_for(lambda: all(jobs(hospitals, model).values()), "every member training", 90)


def jobs(hospitals, model):
    return {member: hospitals.list("job", member, f"fedsnap.dev/model={model}") for member in MEMBERS}


def all_suspended(hospitals, model, *, wanted):
    return all(one["spec"]["suspend"] is wanted for found in jobs(hospitals, model).values() for one in found)


def test_a_round_is_suspended_resumed_aborted_and_retried(hospitals):
    begin_hanging(hospitals, "held")
    hospitals.patch("federatedround", "held-1", {"spec": {"suspend": True}})
    wait_for(lambda: all_suspended(hospitals, "held", wanted=True), "every Job suspended", 30)
    assert hospitals.condition("federatedround", "held-1", "Trained")["reason"] == "Suspended"
    hospitals.patch("federatedround", "held-1", {"spec": {"suspend": False}})
    wait_for(lambda: all_suspended(hospitals, "held", wanted=False), "every Job resumed", 30)

    hospitals.patch("federatedround", "held-1", {"spec": {"abort": True}})
    hospitals.wait_finished("held-1")
    assert hospitals.condition("federatedround", "held-1", "Finished")["reason"] == "Aborted"
    wait_for(lambda: not any(jobs(hospitals, "held").values()), "every Job gone", 30)

    for member in MEMBERS:
        hospitals.train_with(member)
    hospitals.patch("federatedround", "held-1", {"spec": {"abort": False, "retry": 1}})

    def completed() -> bool:
        return hospitals.condition("federatedround", "held-1", "Finished").get("reason") == "Completed"

    wait_for(completed, "the second attempt being completed", 120)
    assert hospitals.get("federatedround", "held-1")["status"]["attempt"] == 2


def test_a_deleted_round_leaves_nothing_behind_at_its_members(hospitals):
    begin_hanging(hospitals, "doomed")
    hospitals.kubectl("delete", "sharedmodel", "doomed", "-n=research", "--wait=false")

    def gone() -> bool:
        left = hospitals.list("participation", "*", "fedsnap.dev/model=doomed")
        left += hospitals.list("job", "*", "fedsnap.dev/model=doomed")
        left += hospitals.list("configmap", "*", "fedsnap.dev/model=doomed")
        return not left and hospitals.get("federatedround", "doomed-1") is None

    wait_for(gone, "everything of the round being gone", 60)
