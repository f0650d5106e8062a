"""Valid objects of our kinds, to be changed by the test that needs another one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import Organization
from fedsnap.api.participation import Participation
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.api.sharingpolicy import SharingPolicy
from fedsnap.formats.control import Aggregator, BaseSnapshot, Plan

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MEMBERS = ("cleveland", "hungary", "switzerland", "va-long-beach")
DIGEST = "sha256:" + "ab" * 32
IMAGE = "heart:1"
WRAPPED = "vault:v1:" + "A" * 40
PUBLIC_KEY = base64.b64encode(bytes(32)).decode()


def metadata(name, **more):
    return {"name": name, "namespace": "research", "uid": f"uid-{name}", "generation": 1, "resourceVersion": "7"} | more


def round_template(**more):
    privacy = {"secureAggregation": "Plain"}
    return {"participants": {"organizations": list(MEMBERS), "quorum": 3}, "privacy": privacy} | more


def shared_model(**spec):
    return SharedModel.model_validate({"metadata": metadata("heart"), "spec": shared_model_spec() | spec})


def shared_model_spec():
    return {
        "architecture": {"image": IMAGE},
        "initialization": {"template": "heart-init", "seed": 42},
        "training": {"rounds": 3, "roundTemplate": round_template()},
        "keys": {"vault": {"key": "heart"}},
        "publication": {"store": {"bucket": "fedsnap", "prefix": "snapshots/heart"}},
    }


def federated_round(number=1, status=None, meta=None, **spec):
    made = {"modelRef": {"name": "heart"}, "number": number} | round_template() | spec
    return FederatedRound.model_validate(
        {"metadata": metadata(f"heart-{number}", **(meta or {})), "spec": made, "status": status or {}}
    )


def model_snapshot(number=0):
    encryption = {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1, "wrappedKey": WRAPPED}
    spec = {
        "modelRef": {"name": "heart"},
        "round": number,
        "encryption": encryption,
        "location": {"bucket": "fedsnap", "path": f"snapshots/heart/{number}/1/model.safetensors.c2sp"},
        "coordinates": 50,
        "plaintextSize": 100,
        "ciphertextSize": 200,
    }
    digests = ("contentRoot", "layoutDigest", "plaintextDigest", "ciphertextDigest")
    return ModelSnapshot.model_validate(
        {"metadata": metadata(f"heart-{number}"), "spec": spec | dict.fromkeys(digests, DIGEST)}
    )


def organization(name):
    return Organization.model_validate(
        {
            "metadata": {"name": name},
            "spec": {"namespace": f"member-{name}", "identityKeys": [{"id": f"{name}:v1", "publicKey": PUBLIC_KEY}]},
        }
    )


def organizations():
    return {name: organization(name) for name in MEMBERS}


def plan(attempt=1, **more):
    made = {
        "namespace": "research",
        "model": "heart",
        "round": 1,
        "attempt": attempt,
        "organizations": MEMBERS,
        "quorum": 3,
        "image": IMAGE,
        "secure_aggregation": "Plain",
        "clip_norm": "8",
        "scale_exponent": 20,
        "retries": 1,
        "seed": 7,
        "bucket": "fedsnap",
        "coordinates": 50,
        "accept_by": NOW + timedelta(minutes=5),
        "train_by": NOW + timedelta(hours=2),
        "base": BaseSnapshot.of(model_snapshot().spec),
        "layout_digest": DIGEST,
        "hyperparameters": federated_round().spec.hyperparameters,
        "aggregator": Aggregator(public_key=PUBLIC_KEY, wrapped_private_key=WRAPPED),
    }
    return Plan(**(made | more))


def participation(name="cleveland", stage="Invited", status=None, meta=None, **spec):
    made = {
        "organization": name,
        "model": "heart",
        "round": {"namespace": "research", "name": "heart-1", "number": 1, "attempt": 1},
        "plan": {"bucket": "fedsnap", "path": "rounds/research/heart/1/1/plan.json", "digest": DIGEST},
        "base": {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1},
        "image": IMAGE,
        "secureAggregation": "Plain",
        "invited": 4,
        "quorum": 3,
        "hyperparameters": {},
        "retries": 1,
        "acceptBy": "2026-11-24T12:05:00Z",
        "trainBy": "2026-11-24T14:00:00Z",
        "stage": stage,
    }
    where = {"name": "research.heart-1.1", "namespace": f"member-{name}", "uid": "u", "resourceVersion": "1"}
    return Participation.model_validate({"metadata": where | (meta or {}), "spec": made | spec, "status": status or {}})


def sharing_policy(*rules, name="consent", suspend=False):
    return SharingPolicy.model_validate(
        {"metadata": metadata(name), "spec": {"rules": list(rules) or [rule()], "suspend": suspend}}
    )


def rule(name="heart", **more):
    return {
        "name": name,
        "models": ["heart"],
        "images": ["heart:*"],
        "expires": "2027-01-01T00:00:00Z",
        "requires": {"secureAggregation": "Plain", "minParticipants": 3},
        "template": "gpu-trainer",
    } | more
