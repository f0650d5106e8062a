"""Operators that are killed by SIGKILL come to the same end as undisturbed ones."""

from __future__ import annotations

import re
import signal
import time

import pytest

from rounds.hospitals import COORDINATOR, MEMBERS, PARTIES, masked_model, shared_model, wait_for

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]


STAGES = {"Plain": ["train"], "Masked": ["mask", "share", "train", "unmask"]}
MODELS = {"Plain": shared_model, "Masked": masked_model}


def without_digest(name):
    return re.sub("-[0-9a-f]{10}$", "", name)


def assert_undisturbed(hospitals, model, mode="Plain"):
    """One Job per member and stage, one snapshot, nobody missing."""
    assert hospitals.condition("federatedround", f"{model}-1", "Finished")["reason"] == "Completed"
    for member in MEMBERS:
        jobs = [one["metadata"]["name"] for one in hospitals.list("job", member, f"fedsnap.dev/model={model}")]
        assert sorted(map(without_digest, jobs)) == [f"{model}-1-{member}-{stage}-1" for stage in STAGES[mode]]
    hub = sorted(one["metadata"]["name"] for one in hospitals.list("job", selector=f"fedsnap.dev/model={model}"))
    assert hub == [f"{model}-0-initialize-1", f"{model}-1-1-aggregate-1", f"{model}-1-1-publish-1"]
    snapshots = hospitals.list("modelsnapshot", selector=f"fedsnap.dev/model={model}")
    assert sorted(one["metadata"]["name"] for one in snapshots) == [f"{model}-0", f"{model}-1"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODELS)
def test_a_round_whose_operators_die_after_every_single_action_ends_like_any_other(hospitals, mode):
    model = f"mortal-{mode.lower()}"
    deadlines = {"accept": "20m", "train": "20m", "mask": "20m", "aggregate": "10m"}
    hospitals.apply(MODELS[mode](model, deadlines=deadlines))
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
    assert_undisturbed(hospitals, model, mode)
    deaths = hospitals.deaths(COORDINATOR)
    files = ("plan", "roster") if mode == "Plain" else ("plan", "roster", "share-roster", "survivors")
    for action in (
        f"create Job {model}-0-initialize-1",
        f"create FederatedRound research/{model}-1",
        *(f"apply Participation fedsnap-member-{member}/research.{model}-1.1" for member in MEMBERS),
        *(f"write rounds/research/{model}/1/1/{file}.json" for file in files),
        f"create Job {model}-1-1-aggregate-1",
        f"create Job {model}-1-1-publish-1",
        f"create ModelSnapshot research/{model}-1",
    ):
        assert action in deaths
    for member in MEMBERS:
        own = {without_digest(death) for death in hospitals.deaths(member) if f" {model}-" in death}
        assert {f"create Job {model}-1-{member}-{stage}-1" for stage in STAGES[mode]} <= own


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
