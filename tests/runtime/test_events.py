from __future__ import annotations

import pytest

from fedsnap.clients.cluster import JOB
from fedsnap.reconcilers.loop import Child, Key
from fedsnap.runtime.events import Wishes, owner_key

_ROUND = Child(JOB, "FederatedRound", "fedsnap.dev/round", "fedsnap.dev/round-namespace", frozenset({"coordinator"}))
_MAILBOX = Child(JOB, "Participation", "fedsnap.dev/participation", None, frozenset({"participant"}))


def test_a_child_leads_to_its_owner_by_its_labels():
    labels = {"fedsnap.dev/round": "m-1", "fedsnap.dev/round-namespace": "hub"}
    metadata = {"name": "j", "namespace": "jobs", "labels": labels}
    assert owner_key(_ROUND, metadata, "") == Key("FederatedRound", "hub", "m-1")


def test_a_job_of_a_participant_leads_to_the_mailbox():
    metadata = {"name": "j", "namespace": "jobs", "labels": {"fedsnap.dev/participation": "p"}}
    assert owner_key(_MAILBOX, metadata, "org-a") == Key("Participation", "org-a", "p")


def test_a_child_without_the_labels_wakes_nobody():
    assert owner_key(_ROUND, {"name": "j", "labels": {"fedsnap.dev/round": "m-1"}}, "") is None


def test_own_writes_of_status_are_no_reason_to_look_again():
    wishes = Wishes()
    metadata = {"uid": "u", "generation": 1}
    assert wishes.changed(metadata)
    assert not wishes.changed(metadata | {"resourceVersion": "2"})


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"deletionTimestamp": "2026-11-24T12:00:00Z"}, {"finalizers": ["fedsnap.dev/x"]}]
)
def test_a_changed_wish_is(change):
    wishes = Wishes()
    wishes.changed({"uid": "u", "generation": 1})
    assert wishes.changed({"uid": "u", "generation": 1} | change)


def test_a_deletion_is_and_is_forgotten():
    wishes = Wishes()
    wishes.changed({"uid": "u", "generation": 1})
    assert wishes.changed({"uid": "u", "generation": 1}, gone=True)
    assert wishes.changed({"uid": "u", "generation": 1})
