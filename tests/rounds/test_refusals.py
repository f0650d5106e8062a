"""What is missing or forbidden is named in conditions, and no Job is started."""

from __future__ import annotations

import pytest

from fedsnap.local.ports import free_ports
from rounds.hospitals import COORDINATOR, MEMBERS, RESEARCH, pod_template, shared_model, sharing_policy, wait_for

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]


def wait_for_reason(
    hospitals,
    kind,
    name,
    condition,
    reason,
):
    found = {}

    def said() -> bool:
        found.update(hospitals.condition(kind, name, condition))
        return found.get("reason") == reason

    wait_for(said, f"{kind} {name} saying {condition}: {reason}", 60)
    return found["message"]


def jobs_of(hospitals, model):
    return hospitals.list("job", "*", f"fedsnap.dev/model={model}")


def test_a_missing_key_is_named_and_nothing_starts(hospitals):
    hospitals.start(COORDINATOR)
    model = shared_model("keyless")
    model["spec"]["keys"] = {"vault": {"mount": "transit", "key": "nobody-made-it"}}
    hospitals.apply(model)
    message = wait_for_reason(hospitals, "sharedmodel", "keyless", "KeyReady", "KeyNotReady")
    assert "transit/keys/nobody-made-it" in message
    assert jobs_of(hospitals, "keyless") == []


def test_a_missing_initialization_template_is_named_and_nothing_starts(hospitals):
    hospitals.start(COORDINATOR)
    model = shared_model("templateless")
    model["spec"]["initialization"] = {"template": "nobody-made-it", "seed": 1}
    hospitals.apply(model)
    message = wait_for_reason(hospitals, "sharedmodel", "templateless", "Ready", "TemplateInvalid")
    assert "'nobody-made-it'" in message
    assert jobs_of(hospitals, "templateless") == []


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("FEDSNAP_VAULT_ADDRESS", "VaultUnavailable"), ("FEDSNAP_STORE_ENDPOINT", "StoreUnavailable")],
)
def test_services_that_cannot_be_reached_are_named(hospitals, setting, reason):
    nowhere = f"http://127.0.0.1:{free_ports(['nowhere'])['nowhere']}"
    hospitals.start(COORDINATOR, **{setting: nowhere})
    name = reason.lower()
    hospitals.apply(shared_model(name), federated_round(name))
    message = wait_for_reason(hospitals, "federatedround", f"{name}-1", "Reconciling", reason)
    assert nowhere.removeprefix("http://") in message
    assert jobs_of(hospitals, name) == []


def federated_round(model):
    """A round that somebody made by hand."""
    made = shared_model(model)
    template = made["spec"]["training"]["roundTemplate"]
    spec = {"modelRef": {"name": model}, "number": 1, **template}
    return {**made, "kind": "FederatedRound", "metadata": {"name": f"{model}-1", "namespace": RESEARCH}, "spec": spec}


def test_an_unknown_organization_is_named_and_nobody_is_invited(hospitals):
    hospitals.start(COORDINATOR)
    participants = {"organizations": ["cleveland", "atlantis"], "quorum": 1}
    hospitals.apply(shared_model("unknown", participants=participants))
    message = wait_for_reason(hospitals, "federatedround", "unknown-1", "Accepted", "OrganizationNotFound")
    assert "atlantis" in message
    assert hospitals.list("participation", "*", "fedsnap.dev/model=unknown") == []


def test_refusals_of_policy_template_and_capacity_end_the_round_with_everybodys_reason(hospitals):
    forbidden, templateless, small, old = MEMBERS
    hospitals.apply(sharing_policy(forbidden, models=["another"]))
    hospitals.apply(sharing_policy(templateless, template="nobody-made-it"))
    huge = pod_template("huge", small)
    huge["template"]["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "999"}}
    hospitals.apply(huge, sharing_policy(small, template="huge"))
    hospitals.apply(sharing_policy(old, expires="2020-01-01T00:00:00Z"))
    hospitals.start_all()
    hospitals.apply(shared_model("refused"))
    hospitals.wait_finished("refused-1")
    finished = hospitals.condition("federatedround", "refused-1", "Finished")
    assert finished["reason"] == "QuorumNotReached"
    for member, reason in zip(
        MEMBERS, ("NoMatchingRule", "TemplateNotFound", "CapacityInsufficient", "RuleExpired"), strict=True
    ):
        assert f"{member}: {reason}" in finished["message"]
        mailbox = hospitals.get("participation", "research.refused-1.1", f"fedsnap-member-{member}")
        assert (mailbox["status"]["decision"], mailbox["status"]["reason"]) == ("Refused", reason)
        assert hospitals.list("job", member, "fedsnap.dev/model=refused") == []
    assert hospitals.condition("sharedmodel", "refused", "Ready")["reason"] == "RoundFailed"
