"""Trainers that fail or lie are excluded by name, and the round goes on without them."""

from __future__ import annotations

import pytest

from rounds.hospitals import MEMBERS, shared_model

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]
GOOD, *OTHERS = MEMBERS

WRONG_FILES = {
    "writes NaN": "UpdateNotFinite",
    "renames a tensor": "LayoutMismatch",
    "changes a shape": "LayoutMismatch",
}
WRONG_ENDS = {"fails": "ContainerFailed", "truncates its file": "UpdateInvalid", "hangs": "DeadlineExceeded"}


@pytest.mark.parametrize(("behaviours", "deadline"), [(WRONG_FILES, "5m"), (WRONG_ENDS, "25s")])
def test_who_misbehaves_is_excluded_by_name_and_the_round_goes_on(hospitals, behaviours, deadline):
    for member, behaviour in zip(OTHERS, behaviours, strict=True):
        hospitals.train_with(member, behaviour)
    hospitals.start_all()
    name = f"faulty-{deadline}"
    hospitals.apply(shared_model(name, deadlines={"accept": "20s", "train": deadline, "aggregate": "2m"}))
    status = hospitals.wait_finished(f"{name}-1", 180)["status"]
    finished = hospitals.condition("federatedround", f"{name}-1", "Finished")
    assert finished["reason"] == "Degraded"
    assert status["members"] == "1/4"
    states = {one["organization"]: (one["state"], one["reason"]) for one in status["participants"]}
    assert states.pop(GOOD)[0] == "Aggregated"
    for member, reason in zip(OTHERS, behaviours.values(), strict=True):
        assert f"{member}: {reason}" in finished["message"]
    assert hospitals.get("modelsnapshot", f"{name}-1")
