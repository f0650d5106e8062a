"""Participation: the mailbox between the hub and one organization, for one attempt of one round."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fedsnap.api.federatedround import AggregationMode, Hyperparameters
from fedsnap.api.schema import (
    Column,
    Conditions,
    Digest,
    ImageReference,
    Key,
    Model,
    Name,
    Object,
    Resource,
    Timestamp,
    list_map,
)

Stage = Literal["Invited", "Training", "Closed", "Aborted"]
Decision = Literal["Accepted", "Refused"]
Outcome = Literal["Succeeded", "Failed"]


class RoundReference(Model):
    """Which attempt of which round."""

    namespace: Name
    name: Annotated[str, Field(min_length=1, max_length=253)]
    number: Annotated[int, Field(ge=1)]
    attempt: Annotated[int, Field(ge=1)]


class PlanReference(Model):
    """The signed plan in the store; nothing in this object is believed that contradicts it."""

    bucket: Key
    path: Annotated[str, Field(min_length=1, max_length=1024)]
    digest: Digest = Field(description="SHA-256 of the plan's payload.")


class BaseKey(Model):
    """The key that the base snapshot is wrapped with; checked before anything starts."""

    vault_mount: Key
    vault_key: Key
    key_version: Annotated[int, Field(ge=1)]


class ParticipationSpec(Model):
    """From the hub to the organization."""

    organization: Name
    model: Name
    round: RoundReference
    plan: PlanReference
    base: BaseKey
    image: ImageReference = Field(description="Trainer image that the local template must use.")
    secure_aggregation: AggregationMode
    invited: int = Field(description="Members invited, for policies on minimum participants.", ge=1, le=200)
    quorum: int = Field(description="Least number of replies.", ge=1, le=200)
    hyperparameters: Hyperparameters
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    accept_by: Timestamp
    train_by: Timestamp | None = None
    stage: Stage = Field("Invited", description="How far the hub wants the member to go.")
    suspend: bool = False


class TrainingResult(Model):
    """What the seal container reported."""

    commit_digest: Digest
    examples: Annotated[int, Field(ge=1)]
    update_norm: Annotated[str, Field(max_length=64)] = ""
    clipped: bool = False


class Attempt(Model):
    """One training Job."""

    number: Annotated[int, Field(ge=1)]
    job: Annotated[str, Field(max_length=253)]
    outcome: Outcome | None = None
    reason: Annotated[str, Field(max_length=128)] = ""
    message: Annotated[str, Field(max_length=1024)] = ""


class ParticipationStatus(Model):
    """From the organization to the hub."""

    observed_generation: Annotated[int, Field(ge=0)] = 0
    decision: Decision | None = None
    rule: Annotated[str, Field(max_length=63, description="Rule of the SharingPolicy that decided.")] = ""
    reason: Annotated[str, Field(max_length=128)] = ""
    message: Annotated[str, Field(max_length=1024)] = ""
    last_heartbeat_time: Timestamp | None = None
    attempts: Annotated[list[Attempt], Field(max_length=16, json_schema_extra=list_map("number"))] = Field(
        default_factory=list
    )
    outcome: Outcome | None = Field(None, description="Set once: no more attempts will follow.")
    result: TrainingResult | None = None
    conditions: Conditions = Field(default_factory=list)


class Participation(Object):
    """The mailbox of one organization in one round: spec is the hub's half, status the organization's."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="Participation",
        plural="participations",
        short_names=("part",),
        columns=(
            Column("Organization", ".spec.organization"),
            Column("Round", ".spec.round.name"),
            Column("Stage", ".spec.stage"),
            Column("Decision", ".status.decision"),
            Column("Rule", ".status.rule"),
            Column("Outcome", ".status.outcome"),
            Column("Reason", ".status.reason"),
            Column("Heartbeat", ".status.lastHeartbeatTime", "date", priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    spec: ParticipationSpec
    status: ParticipationStatus = Field(default_factory=ParticipationStatus)
