"""What the coordinator believes of members, on a real store."""

from __future__ import annotations

import base64
import uuid
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedsnap.api.organization import IdentityKey
from fedsnap.clients.store import Store
from fedsnap.formats.cobblestone import ciphertext_size
from fedsnap.formats.control import Commit, SealedObject
from fedsnap.formats.digests import digest_of
from fedsnap.formats.signed import payload_of, sign_control
from fedsnap.reconcilers.federatedround.commits import Commits
from fedsnap.reconcilers.federatedround.observed import Observed, StoredPlan
from samples import DIGEST, NOW, WRAPPED, federated_round, organization, participation, plan

pytestmark = pytest.mark.services
KEY = Ed25519PrivateKey.generate()
PINNED = IdentityKey(id="k:v1", public_key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode())
COORDINATES = 10


@pytest.fixture
def store(s3):
    return Store(s3.settings())


@pytest.fixture
def found():
    """A round of its own place in the store, whose members pinned one key."""
    model = f"m{uuid.uuid4().hex[:8]}"
    return Observed(round=federated_round(modelRef={"name": model}))


def commit(found, name, **changed):
    coordinates = changed.get("coordinates", COORDINATES)
    path, size = found.paths.sealed(name, 1), ciphertext_size(4 * coordinates)
    made = {
        "organization": name,
        "plan_digest": DIGEST,
        "train_attempt": 1,
        "sealed": SealedObject(path=path, size=size, digest=DIGEST),
        "coordinates": coordinates,
        "examples": 5,
        "update_norm": "1.0",
        "clipped": False,
        "clip_factor": "1.0",
        "saturated": 0,
        "wrapped_key": WRAPPED,
        "aggregator_key": "AAAA",
    }
    return Commit(**(made | changed))


def replied(found, name, value):
    """The round in which `name` reports that it committed to `value`."""
    result = {"commitDigest": digest_of(payload_of(value)), "examples": value.examples}
    status = {"decision": "Accepted", "outcome": "Succeeded", "result": result}
    member = organization(name)
    pinned = member.model_copy(update={"spec": member.spec.model_copy(update={"identity_keys": [PINNED]})})
    return replace(
        found,
        participations={**found.participations, name: participation(name, "Training", status)},
        organizations={**found.organizations, name: pinned},
    )


def upload(store, found, name, value, *, key=KEY, sealed=True):
    store.put_once(found.paths.commit(name), sign_control(value, lambda message: ("k:v1", key.sign(message))))
    if sealed:
        store.put_once(found.paths.sealed(name, 1), bytes(value.sealed.size))


async def check(store, found):
    stored = StoredPlan(plan(coordinates=COORDINATES), DIGEST, found.paths.plan)
    return await Commits(store, found, stored, NOW).checked()


async def test_a_commit_whose_update_is_there_counts(store, found):
    value = commit(found, "cleveland")
    upload(store, found, "cleveland", value)
    checked = await check(store, replied(found, "cleveland", value))
    assert checked["cleveland"].refusal is None
    assert checked["cleveland"].examples == 5


@pytest.mark.parametrize(
    ("changed", "options", "reason"),
    [
        ({}, {"key": Ed25519PrivateKey.generate()}, "SignatureInvalid"),
        ({}, {"sealed": False}, "SealedUpdateMissing"),
        ({"organization": "hungary"}, {}, "CommitMismatch"),
        ({"plan_digest": "sha256:" + "0" * 64}, {}, "CommitMismatch"),
        ({"aggregator_key": None}, {}, "CommitInvalid"),
        ({"masking_secret": WRAPPED}, {}, "CommitInvalid"),
        ({"sealed": SealedObject(path="rounds/elsewhere", size=96, digest=DIGEST)}, {}, "CommitInvalid"),
    ],
)
async def test_a_commit_that_lies_is_refused_with_its_reason(store, found, changed, options, reason):
    value = commit(found, "cleveland", **changed)
    upload(store, found, "cleveland", value, **options)
    checked = await check(store, replied(found, "cleveland", value))
    assert checked["cleveland"].refusal[0] == reason


async def test_another_commit_than_the_reported_one_is_refused(store, found):
    upload(store, found, "cleveland", commit(found, "cleveland", examples=500))
    checked = await check(store, replied(found, "cleveland", commit(found, "cleveland")))
    assert checked["cleveland"].refusal[0] == "CommitMismatch"


async def test_a_report_without_a_commit_is_refused(store, found):
    checked = await check(store, replied(found, "cleveland", commit(found, "cleveland")))
    assert checked["cleveland"].refusal[0] == "CommitMissing"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"[" * 100_000, b"x" * (1024 * 1024 + 1)])
async def test_bytes_that_are_no_commit_exclude_only_their_member(store, found, content):
    value = commit(found, "cleveland")
    upload(store, found, "cleveland", value)
    store.put_once(found.paths.commit("hungary"), content)
    both = replied(replied(found, "cleveland", value), "hungary", commit(found, "hungary"))
    checked = await check(store, both)
    assert checked["cleveland"].refusal is None
    assert checked["hungary"].refusal is not None


async def test_an_update_of_another_length_excludes_only_its_member(store, found):
    for name, coordinates in (("cleveland", 99), ("hungary", COORDINATES), ("switzerland", COORDINATES)):
        value = commit(found, name, coordinates=coordinates)
        upload(store, found, name, value)
        found = replied(found, name, value)
    checked = await check(store, found)
    assert {name: one.refusal and one.refusal[0] for name, one in checked.items()} == {
        "cleveland": "CoordinatesMismatch",
        "hungary": None,
        "switzerland": None,
    }
