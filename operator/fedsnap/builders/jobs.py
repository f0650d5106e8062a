"""Jobs and the ConfigMaps that hold their tasks. Each attempt is a Job of its own: none restarts its pods by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedsnap.builders.names import ANNOTATION_PLAN, LABEL_ATTEMPT
from fedsnap.builders.pods import PodSpec, own_container, pod, trainer_container

Object = dict[str, Any]
TRAIN_CONTAINER = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """What a Job is called and whom it belongs to.

    Attributes:
        plan_digest: of the plan that it works for; None where there is no round yet.
        owner: ownerReference; None where the owner is in another cluster or namespace.
        deadline_s: seconds after which the Job controller ends it.
    """

    name: str
    namespace: str
    labels: Mapping[str, str]
    attempt: int
    deadline_s: int
    plan_digest: str | None = None
    owner: Mapping[str, Any] | None = None

    def metadata(self) -> dict[str, Any]:
        """Metadata of the Job and of its ConfigMap, which share a name."""
        made: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {**self.labels, LABEL_ATTEMPT: str(self.attempt)},
        }
        if self.plan_digest:
            made["annotations"] = {ANNOTATION_PLAN: self.plan_digest}
        if self.owner:
            made["ownerReferences"] = [dict(self.owner)]
        return made


def owner_reference(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The reference by which children follow their owner into deletion."""
    return {
        "apiVersion": raw["apiVersion"],
        "kind": raw["kind"],
        "name": raw["metadata"]["name"],
        "uid": raw["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def tasks_config_map(identity: JobIdentity, tasks: Mapping[str, str]) -> Object:
    """The tasks, by file name; JSON without secrets."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(),
        "immutable": True,
        "data": dict(tasks),
    }


def train_job(identity: JobIdentity, *, template: Mapping[str, Any], image: str, trainer: Mapping[str, Any]) -> Object:
    """Fetch → the template's own init containers → train → seal. `trainer`: arguments of `trainer_container`."""
    spec: PodSpec = dict(template.get("spec") or {})
    train = next(one for one in spec.get("containers") or () if one["name"] == TRAIN_CONTAINER)
    init = [
        own_container("fetch", image, "fetch", "fetch.json"),
        *(spec.pop("initContainers", None) or ()),
        trainer_container(train, mode="Train", **trainer),
    ]
    seal = own_container("seal", image, "seal", "seal.json")
    return _job(identity, pod([seal], init=init, config_map=identity.name, base=spec), template.get("metadata") or {})


def initialize_job(
    identity: JobIdentity, *, template: Mapping[str, Any], image: str, trainer: Mapping[str, Any]
) -> Object:
    """Train in mode Initialize → publish: round 0 of a model."""
    spec: PodSpec = dict(template.get("spec") or {})
    train = next(one for one in spec.get("containers") or () if one["name"] == TRAIN_CONTAINER)
    init = [*(spec.pop("initContainers", None) or ()), trainer_container(train, mode="Initialize", **trainer)]
    publish = own_container("publish", image, "publish", "publish.json")
    return _job(
        identity, pod([publish], init=init, config_map=identity.name, base=spec), template.get("metadata") or {}
    )


def aggregate_job(identity: JobIdentity, *, image: str, shards: int) -> Object:
    """An Indexed Job: each index sums one range of coordinates."""
    container = own_container("aggregate", image, "aggregate", "aggregate.json")
    job = _job(identity, pod([container], init=[], config_map=identity.name))
    job["spec"] |= {"completionMode": "Indexed", "completions": shards, "parallelism": shards}
    return job


def stage_job(identity: JobIdentity, *, image: str, module: str) -> Object:
    """One pod that runs one of our Jobs, and nothing of anybody else's."""
    container = own_container(module, image, module, f"{module}.json")
    return _job(identity, pod([container], init=[], config_map=identity.name))


def record_config_map(metadata: Mapping[str, Any], data: Mapping[str, str]) -> Object:
    """What an organization writes down for itself, for good."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict(metadata), "immutable": True, "data": dict(data)}


def _job(identity: JobIdentity, spec: PodSpec, template: Mapping[str, Any] | None = None) -> Object:
    metadata = identity.metadata()
    of_template = template or {}
    pod_metadata = {"labels": {**(of_template.get("labels") or {}), **metadata["labels"]}}
    if of_template.get("annotations"):
        pod_metadata["annotations"] = of_template["annotations"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, identity.deadline_s),
            "suspend": False,
            "template": {"metadata": pod_metadata, "spec": spec},
        },
    }
