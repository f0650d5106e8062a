from __future__ import annotations

from fedsnap.builders import jobs, names
from fedsnap.clients.cluster import JOB
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.roles import CHILDREN, coordinator, participant
from fedsnap.runtime.events import owner_key

CONTEXT = Context(cluster=None, hub=None, store=None, store_settings=None)


def woken(role, obj):
    """Which keys an event of `obj` puts into the queue of a role."""
    labels = obj["metadata"]["labels"]
    children = [
        one
        for one in CHILDREN
        if role in one.roles
        and one.name_label in labels
        and one.resource == JOB
        and one.stage in (None, labels.get(names.LABEL_STAGE))
    ]
    return {str(owner_key(child, obj["metadata"], "mailbox")) for child in children}


def test_a_role_reconciles_its_own_kinds():
    assert [one.kind for one in coordinator(CONTEXT)] == ["SharedModel", "FederatedRound", "Organization"]
    assert [one.kind for one in participant(CONTEXT)] == ["Participation", "SharingPolicy"]


def test_every_owner_of_a_child_is_reconciled_by_its_role():
    kinds = {
        "coordinator": {one.kind for one in coordinator(CONTEXT)},
        "participant": {one.kind for one in participant(CONTEXT)},
    }
    for child in CHILDREN:
        for role in child.roles:
            assert child.owner_kind in kinds[role]


def test_a_job_of_the_hub_wakes_its_round():
    labels = names.stage_labels("heart", "research", "heart-1", 1, "aggregate")
    identity = jobs.JobIdentity(name="j", namespace="research", labels=labels, attempt=1, deadline_s=1)
    assert "FederatedRound/research/heart-1" in woken("coordinator", jobs.aggregate_job(identity, image="i", shards=1))


def test_a_training_job_wakes_the_participation_in_the_mailbox():
    labels = {names.LABEL_PARTICIPATION: "research.heart-1.1", names.LABEL_MODEL: "heart"}
    obj = {"metadata": {"name": "j", "namespace": "cleveland", "labels": labels}}
    assert woken("participant", obj) == {"Participation/mailbox/research.heart-1.1"}


def test_only_a_job_that_initializes_wakes_its_model():
    def job_of(stage):
        return {"metadata": {"namespace": "n", "labels": {names.LABEL_MODEL: "heart", names.LABEL_STAGE: stage}}}

    assert woken("coordinator", job_of("initialize")) == {"SharedModel/mailbox/heart"}
    assert woken("coordinator", job_of("train")) == set()
