"""Services that are killed in the middle of a round: nothing is lost, and the round goes on when they are back."""

from __future__ import annotations

import pytest

from rounds.hospitals import COORDINATOR, MEMBERS, Hospitals, masked_model, shared_model, wait_for

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]
PATIENT = {"accept": "10m", "train": "10m", "mask": "10m", "aggregate": "10m"}
MODELS = {"train": shared_model, "mask": masked_model}


def begin(hospitals: Hospitals, model: str, stage: str) -> None:
    """Until every member has a Job of `stage`."""
    hospitals.start_all()
    hospitals.apply(MODELS[stage](model, deadlines=PATIENT, stragglers={"retries": 5}))
    selector = f"fedsnap.dev/model={model},fedsnap.dev/stage={stage}"

    def begun() -> bool:
        return all(hospitals.list("job", member, selector) for member in MEMBERS)

    wait_for(begun, f"a Job of every member for {stage}", 120)


@pytest.mark.parametrize("stage", MODELS)
@pytest.mark.parametrize("services", [("openbao", "seaweedfs"), ("kube-apiserver", "etcd")], ids="+".join)
def test_a_round_survives_that_services_are_killed_while_members_work(hospitals, services, stage):
    model = f"outage-{services[0]}-{stage}"
    begin(hospitals, model, stage)
    hospitals.kill(*services)
    hospitals.heal()
    hospitals.wait_finished(f"{model}-1", 240)
    assert hospitals.condition("federatedround", f"{model}-1", "Finished")["reason"] == "Completed"
    assert hospitals.get("modelsnapshot", f"{model}-1")
    assert hospitals.processes[COORDINATOR].poll() is None


def test_a_store_that_is_down_is_named_and_its_return_is_noticed(hospitals):
    hospitals.start(COORDINATOR)
    hospitals.kill("seaweedfs")
    hospitals.apply(shared_model("storeless", rounds=0))

    def named() -> bool:
        return hospitals.condition("sharedmodel", "storeless", "Reconciling").get("reason") == "StoreUnavailable"

    wait_for(named, "the store's absence being named", 90)
    hospitals.heal()

    def ready() -> bool:
        return hospitals.condition("sharedmodel", "storeless", "Ready").get("status") == "True"

    wait_for(ready, "the model being ready", 120)
    assert hospitals.condition("sharedmodel", "storeless", "Reconciling") == {}
