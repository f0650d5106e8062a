"""What the API server itself accepts and refuses: schemas, defaults and CEL rules as they are committed in crds/."""

from __future__ import annotations

import copy
import re
import uuid
from pathlib import Path

import pytest
import yaml

from fedsnap.api import crd
from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.kinds import KINDS
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import Organization
from fedsnap.api.participation import Participation
from fedsnap.api.schema import API_VERSION
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.api.sharingpolicy import SharingPolicy
from fedsnap.clients.cluster import NAMESPACE, ClusterClient, of_kind
from fedsnap.clients.cluster.requests import Request
from fedsnap.clients.errors import InvalidData

pytestmark = pytest.mark.cluster
CRDS = Path(__file__).parents[2] / "crds"
DIGEST = f"sha256:{'0' * 64}"
OTHER_DIGEST = f"sha256:{'1' * 64}"

TEMPLATE = {
    "participants": {"organizations": ["north", "south", "west"], "quorum": 3},
    "hyperparameters": {"learningRate": "0.01"},
}
SPECS = {
    FederatedRound: {"modelRef": {"name": "heart"}, "number": 1, **TEMPLATE},
    SharedModel: {
        "architecture": {"image": "trainer:1", "digest": DIGEST},
        "initialization": {"template": "trainer", "seed": 42},
        "training": {"rounds": 5, "roundTemplate": TEMPLATE},
        "keys": {"vault": {"key": "heart"}},
        "publication": {"store": {"bucket": "fedsnap", "prefix": "snapshots/heart"}},
    },
    ModelSnapshot: {
        "modelRef": {"name": "heart"},
        "round": 1,
        "contentRoot": DIGEST,
        "layoutDigest": DIGEST,
        "coordinates": 10,
        "plaintextDigest": DIGEST,
        "plaintextSize": 1000,
        "ciphertextDigest": DIGEST,
        "ciphertextSize": 1100,
        "encryption": {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1, "wrappedKey": "vault:v1:AAAA"},
        "location": {"bucket": "fedsnap", "path": "snapshots/heart/1/1/model.safetensors.c2sp"},
        "state": "Active",
    },
    Organization: {
        "namespace": "fedsnap-member-north",
        "identityKeys": [{"id": "fedsnap-identity:1", "publicKey": f"{'A' * 43}="}],
    },
    SharingPolicy: {
        "rules": [
            {
                "name": "heart",
                "models": ["heart"],
                "images": ["trainer:*"],
                "expires": "2030-01-01T00:00:00Z",
                "template": "trainer",
            }
        ]
    },
    Participation: {
        "organization": "north",
        "model": "heart",
        "round": {"namespace": "research", "name": "heart-1", "number": 1, "attempt": 1},
        "plan": {"bucket": "fedsnap", "path": "rounds/research/heart/1/1/plan.json", "digest": DIGEST},
        "base": {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1},
        "image": "trainer:1",
        "secureAggregation": "Plain",
        "invited": 2,
        "quorum": 2,
        "hyperparameters": {},
        "acceptBy": "2030-01-01T00:00:00Z",
    },
}
ABSENT = object()
NUMBERED = (FederatedRound, ModelSnapshot)

# kind, path of the changed field, new value, what the refusal must say
REFUSED = {
    "a round without participants": (FederatedRound, "participants", ABSENT, "spec.participants: Required value"),
    "a round without a model": (FederatedRound, "modelRef", ABSENT, "spec.modelRef: Required value"),
    "a quorum above the number of organizations": (
        FederatedRound,
        "participants.quorum",
        4,
        "spec.participants.quorum: .*lower quorum or invite more",
    ),
    "a quorum of nobody": (FederatedRound, "participants.quorum", 0, "spec.participants.quorum: .*greater than"),
    "an organization invited twice": (
        FederatedRound,
        "participants.organizations",
        ["north", "north"],
        r"spec.participants.organizations\[1\]: Duplicate value",
    ),
    "nobody invited": (
        FederatedRound,
        "participants.organizations",
        [],
        "spec.participants.organizations: .*at least 1",
    ),
    "FedProx without mu": (
        FederatedRound,
        "aggregation",
        {"algorithm": "FedProx"},
        "spec.hyperparameters: .*FedProx needs hyperparameters.proximalMu",
    ),
    "mu without FedProx": (
        FederatedRound,
        "hyperparameters",
        {"proximalMu": "0.1"},
        "spec.hyperparameters: .*no other algorithm has it",
    ),
    "an unknown algorithm": (
        FederatedRound,
        "aggregation",
        {"algorithm": "FedMax"},
        'spec.aggregation.algorithm: Unsupported value: "FedMax"',
    ),
    "a masked sum that may hide nobody": (
        FederatedRound,
        "participants.quorum",
        2,
        "spec.participants.quorum: .*a masked sum of fewer than 3 members hides nobody",
    ),
    "a duration without a unit": (FederatedRound, "deadlines", {"train": "90"}, "spec.deadlines.train: .*should match"),
    "a duration of days": (FederatedRound, "deadlines", {"accept": "2d"}, "spec.deadlines.accept: .*should match"),
    "a learning rate that is a float": (
        FederatedRound,
        "hyperparameters.learningRate",
        0.01,
        "spec.hyperparameters.learningRate: .*must be of type string",
    ),
    "a negative step size": (
        FederatedRound,
        "hyperparameters.learningRate",
        "-1",
        "spec.hyperparameters.learningRate: .*should match",
    ),
    "a round number of zero": (FederatedRound, "number", 0, "spec.number: .*greater than or equal to 1"),
    "a model with both kinds of beginning": (
        SharedModel,
        "initialSnapshot",
        {"name": "old"},
        "spec: .*exactly one of initialSnapshot .* and initialization",
    ),
    "a model without a beginning": (SharedModel, "initialization", ABSENT, "spec: .*exactly one of initialSnapshot"),
    "a model whose template asks for too large a quorum": (
        SharedModel,
        "training.roundTemplate.participants.quorum",
        4,
        "spec.training.roundTemplate.participants.quorum: .*must not exceed",
    ),
    "a digest that is too short": (SharedModel, "architecture.digest", "sha256:00", "spec.architecture.digest: "),
    "a digest in capitals": (
        SharedModel,
        "architecture.digest",
        f"sha256:{'A' * 64}",
        "spec.architecture.digest: .*should match",
    ),
    "an image with a space": (
        SharedModel,
        "architecture.image",
        "trainer 1",
        "spec.architecture.image: .*should match",
    ),
    "a model without a key": (SharedModel, "keys.vault.key", ABSENT, "spec.keys.vault.key: Required value"),
    "a snapshot without a wrapped key": (
        ModelSnapshot,
        "encryption.wrappedKey",
        ABSENT,
        "spec.encryption.wrappedKey: Required value",
    ),
    "a data key in plain": (
        ModelSnapshot,
        "encryption.wrappedKey",
        "c2VjcmV0LWtleQ==",
        "spec.encryption.wrappedKey: .*should match",
    ),
    "an unknown encryption scheme": (
        ModelSnapshot,
        "encryption.scheme",
        "None",
        'spec.encryption.scheme: Unsupported value: "None"',
    ),
    "an unknown snapshot state": (ModelSnapshot, "state", "Lost", 'spec.state: Unsupported value: "Lost"'),
    "an absolute path in a bucket": (ModelSnapshot, "location.path", "/x", "spec.location.path: .*should match"),
    "an organization without keys": (Organization, "identityKeys", [], "spec.identityKeys: .*at least 1"),
    "an identity key that is not 32 bytes": (
        Organization,
        "identityKeys",
        [{"id": "a", "publicKey": "AAAA"}],
        r"spec.identityKeys\[0\].publicKey: ",
    ),
    "two identity keys of one id": (
        Organization,
        "identityKeys",
        [{"id": "a", "publicKey": f"{'A' * 43}="}, {"id": "a", "publicKey": f"{'B' * 43}="}],
        r"spec.identityKeys\[1\]: Duplicate value",
    ),
    "a rule that never expires": (SharingPolicy, "rules.0.expires", ABSENT, r"spec.rules\[0\].expires: Required value"),
    "a rule that expires at no time": (
        SharingPolicy,
        "rules.0.expires",
        "tomorrow",
        r"spec.rules\[0\].expires: .*date-time",
    ),
    "a rule without images": (SharingPolicy, "rules.0.images", [], r"spec.rules\[0\].images: .*at least 1"),
    "a policy without rules": (SharingPolicy, "rules", [], "spec.rules: .*at least 1"),
    "a plan with a bad digest": (Participation, "plan.digest", "md5:0", "spec.plan.digest: "),
    "an unknown stage": (Participation, "stage", "Paused", 'spec.stage: Unsupported value: "Paused"'),
    "an invitation without a deadline": (Participation, "acceptBy", ABSENT, "spec.acceptBy: Required value"),
}

# kind, path of the changed field, new value, what the refusal must say
FROZEN = {
    "another model of a round": (
        FederatedRound,
        "modelRef.name",
        "lung",
        "spec.modelRef: .*spec.modelRef is immutable",
    ),
    "another quorum": (
        FederatedRound,
        "participants.organizations",
        ["north", "south", "east"],
        "spec.participants: .*is immutable; make a new round",
    ),
    "another privacy": (FederatedRound, "privacy", {"clipNorm": "9"}, "spec.privacy: .*is immutable"),
    "other hyperparameters": (FederatedRound, "hyperparameters.batchSize", 1, "spec.hyperparameters: .*is immutable"),
    "another architecture": (SharedModel, "architecture.image", "trainer:2", "spec.architecture: .*is immutable"),
    "another store": (SharedModel, "publication.store.bucket", "mine", "spec.publication: .*is immutable"),
    "another key of a model": (SharedModel, "keys.vault.key", "mine", "spec.keys: .*is immutable"),
    "other weights": (ModelSnapshot, "contentRoot", OTHER_DIGEST, "spec.contentRoot: .*is immutable"),
    "another layout": (ModelSnapshot, "layoutDigest", OTHER_DIGEST, "spec.layoutDigest: .*is immutable"),
    "another length": (ModelSnapshot, "coordinates", 11, "spec.coordinates: .*is immutable"),
    "another plaintext": (ModelSnapshot, "plaintextDigest", OTHER_DIGEST, "spec.plaintextDigest: .*is immutable"),
    "another plaintext's size": (ModelSnapshot, "plaintextSize", 999, "spec.plaintextSize: .*is immutable"),
    "another ciphertext's size": (ModelSnapshot, "ciphertextSize", 1099, "spec.ciphertextSize: .*is immutable"),
    "other bytes": (ModelSnapshot, "ciphertextDigest", OTHER_DIGEST, "spec.ciphertextDigest: .*is immutable"),
    "another wrapped key": (ModelSnapshot, "encryption.wrappedKey", "vault:v1:BBBB", "spec.encryption: .*is immutable"),
    "another mailbox": (Organization, "namespace", "mine", "spec.namespace: .*make a new Organization"),
}


@pytest.fixture
async def client(kubeconfig):
    async with await ClusterClient.connect(kubeconfig) as made:
        yield made


@pytest.fixture
async def namespace(client):
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await client.delete(NAMESPACE, None, name)


@pytest.fixture
async def create(client, namespace):
    """Creates objects of our kinds; cluster-scoped ones are removed again."""
    made = []

    async def create(kind, spec, name=""):
        resource = of_kind(kind)
        # What belongs to a model is called after it; names of the cluster-scoped are unique.
        name = name or (f"heart-{spec.get('number', spec.get('round'))}" if kind in NUMBERED else f"{namespace}-one")
        metadata = {"name": name} | ({"namespace": namespace} if resource.namespaced else {})
        found = await client.create(
            {"apiVersion": API_VERSION, "kind": resource.kind, "metadata": metadata, "spec": spec}
        )
        made.append((resource, found["metadata"]["name"]))
        return found

    yield create
    for resource, name in made:
        if not resource.namespaced:
            await client.delete(resource, None, name)


def _changed(spec, path, value):
    changed = copy.deepcopy(spec)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = changed
    for part in parents:
        place = place[part]
    if value is ABSENT:
        del place[last]
    else:
        place[last] = value
    return changed


def test_committed_definitions_are_those_of_the_models():
    assert crd.main([str(CRDS), "--check"]) == 0


@pytest.mark.parametrize("path", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.stem)
async def test_a_committed_definition_is_accepted_as_it_is(client, path):
    wanted = yaml.safe_load(path.read_text())
    request = Request(
        method="PATCH",
        path=f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{wanted['metadata']['name']}",
        query={"fieldManager": "test", "force": "true", "dryRun": "All", "fieldValidation": "Strict"},
        body=wanted,
        content_type="application/apply-patch+yaml",
    )
    served = await client._requests.send(request)
    conditions = {one["type"]: one["status"] for one in served["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert served["spec"]["versions"][0]["schema"] == wanted["spec"]["versions"][0]["schema"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_good_object_is_accepted_and_read_back_by_its_model(create, kind):
    found = await create(kind, SPECS[kind])
    assert kind.model_validate(found).to_wire()["spec"] == found["spec"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_defaults_of_the_server_are_those_of_the_model(create, kind):
    served = (await create(kind, SPECS[kind]))["spec"]
    ours = kind.model_validate({"metadata": {"name": "one"}, "spec": SPECS[kind]}).to_wire()["spec"]
    assert served == ours


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_object_is_refused_by_its_field(create, kind, path, value, message):
    with pytest.raises(InvalidData) as refused:
        await create(kind, _changed(SPECS[kind], path, value))
    assert re.search(message, refused.value.message), refused.value.message


@pytest.mark.parametrize("case", FROZEN.values(), ids=FROZEN.keys())
async def test_what_is_frozen_cannot_be_changed(client, create, case):
    kind, path, value, message = case
    found = await create(kind, SPECS[kind])
    with pytest.raises(InvalidData) as refused:
        await client.replace(found | {"spec": _changed(found["spec"], path, value)})
    assert re.search(message, refused.value.message), refused.value.message


async def test_a_snapshot_moves_forward_and_never_back(client, create):
    found = await create(ModelSnapshot, SPECS[ModelSnapshot])
    retired = await client.replace(found | {"spec": found["spec"] | {"state": "Retired"}})
    with pytest.raises(InvalidData, match=r"spec\.state: .*moves only forward: Active, Retired, Shredded"):
        await client.replace(retired | {"spec": retired["spec"] | {"state": "Active"}})
    shredded = await client.replace(retired | {"spec": retired["spec"] | {"state": "Shredded"}})
    assert shredded["spec"]["state"] == "Shredded"


async def test_a_round_may_be_suspended_and_aborted(client, create):
    found = await create(FederatedRound, SPECS[FederatedRound])
    suspended = await client.replace(found | {"spec": found["spec"] | {"suspend": True}})
    aborted = await client.replace(suspended | {"spec": suspended["spec"] | {"abort": True}})
    with pytest.raises(InvalidData, match=r"abort is taken back only together with a higher spec\.retry"):
        await client.replace(aborted | {"spec": aborted["spec"] | {"abort": False}})
    again = await client.replace(aborted | {"spec": aborted["spec"] | {"abort": False, "retry": 1}})
    with pytest.raises(InvalidData, match=r"spec\.retry: .*retry only grows"):
        await client.replace(again | {"spec": again["spec"] | {"retry": 0}})


async def test_more_rounds_may_be_asked_of_a_model(client, create):
    found = await create(SharedModel, SPECS[SharedModel])
    more = await client.replace(found | {"spec": _changed(found["spec"], "training.rounds", 10)})
    assert more["spec"]["training"]["rounds"] == 10


async def test_a_name_too_long_for_labels_is_refused(client, namespace):
    metadata = {"name": "a" * 64, "namespace": namespace}
    with pytest.raises(InvalidData, match=r"metadata\.name: .*63"):
        await client.create(
            {"apiVersion": API_VERSION, "kind": "FederatedRound", "metadata": metadata, "spec": SPECS[FederatedRound]}
        )


@pytest.mark.parametrize("name", ["heart-2", "heart-01", "lung-1", "heart"])
@pytest.mark.parametrize("kind", NUMBERED, ids=lambda kind: kind.__name__)
async def test_what_belongs_to_a_model_is_called_after_it_so_that_there_is_only_one(create, kind, name):
    with pytest.raises(InvalidData, match=r"metadata\.name: .*for example heart-3"):
        await create(kind, SPECS[kind], name)


async def test_a_status_is_no_part_of_what_people_write(create, client):
    found = await create(FederatedRound, SPECS[FederatedRound])
    written = await client.replace(found | {"status": {"stage": "Succeeded"}})
    assert "stage" not in written.get("status", {})


async def test_a_bad_condition_in_a_status_is_refused_by_its_field(client, create):
    found = await create(SharedModel, SPECS[SharedModel])
    condition = {"type": "Ready", "status": "Yes", "reason": "Trained"}
    metadata = found["metadata"]
    with pytest.raises(InvalidData, match=r"status\.conditions\[0\]\.status: Unsupported value"):
        await client.apply_status(
            of_kind(SharedModel), metadata["namespace"], metadata["name"], {"conditions": [condition]}
        )
