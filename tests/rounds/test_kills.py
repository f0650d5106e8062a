"""Operators that are killed by SIGKILL come to the same end as undisturbed ones."""

from __future__ import annotations

import signal
import time

import pytest

from rounds.hospitals import COORDINATOR, MEMBERS, PARTIES, shared_model, wait_for

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]


def assert_undisturbed(hospitals, model, attempt="1"):
    """One training Job per member and attempt, one Job per stage, one snapshot, nobody missing."""
    assert hospitals.condition("federatedround", f"{model}-1", "Finished")["reason"] == "Completed"
    for member in MEMBERS:
        jobs = [one["metadata"]["name"] for one in hospitals.list("job", member, f"fedsnap.dev/model={model}")]
        assert jobs == [f"research-{model}-1-1-{member}-train-{attempt}"]
    hub = sorted(one["metadata"]["name"] for one in hospitals.list("job", selector=f"fedsnap.dev/model={model}"))
    assert hub == [f"{model}-0-initialize-1", f"{model}-1-1-aggregate-1", f"{model}-1-1-publish-1"]
    snapshots = hospitals.list("modelsnapshot", selector=f"fedsnap.dev/model={model}")
    assert sorted(one["metadata"]["name"] for one in snapshots) == [f"{model}-0", f"{model}-1"]


@pytest.mark.timeout(600)
def test_a_round_whose_operators_die_after_every_single_action_ends_like_any_other(hospitals):
    model = "mortal"
    hospitals.apply(shared_model(model, deadlines={"accept": "20m", "train": "20m", "aggregate": "10m"}))
    for party in PARTIES:
        hospitals.start(party, mortal=True)
    deadline = time.monotonic() + 400

    def over() -> bool:
        assert time.monotonic() < deadline, (
            f"not finished; the coordinator's last words: {hospitals.deaths(COORDINATOR)}"
        )
        for party, process in list(hospitals.processes.items()):
            if process.poll() is not None:
                assert process.returncode == -signal.SIGKILL, hospitals.log(party)[-2000:]
                hospitals.start(party, mortal=True)
        return hospitals.condition("sharedmodel", model, "Ready").get("status") == "True"

    wait_for(over, "the model being ready", 420)
    assert_undisturbed(hospitals, model)
    deaths = hospitals.deaths(COORDINATOR)
    for action in (
        "create Job mortal-0-initialize-1",
        "create FederatedRound research/mortal-1",
        "write rounds/research/mortal/1/1/plan.json",
        *(f"apply Participation fedsnap-member-{member}/research-mortal-1-1" for member in MEMBERS),
        "write rounds/research/mortal/1/1/roster.json",
        "create Job mortal-1-1-aggregate-1",
        "create Job mortal-1-1-publish-1",
        "create ModelSnapshot research/mortal-1",
    ):
        assert action in deaths
    for member in MEMBERS:
        assert hospitals.deaths(member) == [f"create Job research-mortal-1-1-{member}-train-1"]


def test_running_jobs_are_adopted_after_all_operators_were_killed_at_once(hospitals):
    model = "adopted"
    hospitals.start_all()
    hospitals.apply(shared_model(model))

    def training() -> bool:
        return all(hospitals.list("job", member, f"fedsnap.dev/model={model}") for member in MEMBERS)

    wait_for(training, "every member training", 90)
    hospitals.stop(how=signal.SIGKILL)
    hospitals.start_all()
    hospitals.wait_finished(f"{model}-1")
    assert_undisturbed(hospitals, model)
