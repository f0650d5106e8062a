"""Objects of our own kinds: Participations, rounds and snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsnap.api.federatedround import FederatedRoundSpec
from fedsnap.api.modelsnapshot import ModelSnapshotSpec
from fedsnap.api.participation import ParticipationSpec
from fedsnap.api.schema import API_VERSION, Model
from fedsnap.builders import names

Object = dict[str, Any]


def participation(name: str, namespace: str, spec: ParticipationSpec) -> Object:
    """The mailbox of one organization for one attempt of a round."""
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGER,
        names.LABEL_MODEL: spec.model,
        names.LABEL_ROUND: spec.round.name,
        names.LABEL_ROUND_NAMESPACE: spec.round.namespace,
        names.LABEL_ROUND_ATTEMPT: str(spec.round.attempt),
        names.LABEL_ORGANIZATION: spec.organization,
    }
    return _object("Participation", name, namespace, labels, spec)


def federated_round(namespace: str, spec: FederatedRoundSpec, owner: Mapping[str, Any]) -> Object:
    """A round that a SharedModel makes; it goes when the model goes."""
    model = spec.model_ref.name
    labels = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_MODEL: model}
    made = _object("FederatedRound", names.round_name(model, spec.number), namespace, labels, spec)
    made["metadata"]["ownerReferences"] = [dict(owner)]
    return made


def model_snapshot(namespace: str, spec: ModelSnapshotSpec) -> Object:
    """The record of a published snapshot. It has no owner: it stays when round and model go."""
    model = spec.model_ref.name
    labels = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_MODEL: model}
    return _object("ModelSnapshot", names.snapshot_name(model, spec.round), namespace, labels, spec)


def _object(kind: str, name: str, namespace: str, labels: Mapping[str, str], spec: Model) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec.to_wire()}
