"""Participation: the mailbox between the hub and one organization, for one attempt of one round."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fedsnap.api.federatedround import AggregationMode, Hyperparameters
from fedsnap.api.schema import (
    Column,
    Conditions,
    Digest,
    Generation,
    ImageReference,
    Key,
    Model,
    Name,
    Object,
    Resource,
    Timestamp,
    list_map,
)

MaskingStage = Literal["Sharing", "Masking", "Unmasking"]
Stage = Literal["Invited", "Training", "Sharing", "Masking", "Unmasking", "Closed", "Aborted"]
Decision = Literal["Accepted", "Refused"]
Outcome = Literal["Succeeded", "Failed"]


class RoundReference(Model):
    """Which attempt of which round."""

    namespace: Name = Field(description="Namespace of the FederatedRound in the hub.")
    name: str = Field(description="Name of the FederatedRound.", min_length=1, max_length=253)
    number: int = Field(description="Number of the round.", ge=1)
    attempt: int = Field(description="Number of the round's attempt; each has a Participation of its own.", ge=1)


class PlanReference(Model):
    """The signed plan in the store; nothing in this object is believed that contradicts it."""

    bucket: Key = Field(description="S3 bucket.")
    path: str = Field(description="Object key in the bucket.", min_length=1, max_length=1024)
    digest: Digest = Field(description="SHA-256 of the plan's payload.")


class BaseKey(Model):
    """The key that the base snapshot is wrapped with; checked before anything starts."""

    vault_mount: Key = Field(description="Mount of the transit engine in the hub's Vault.")
    vault_key: Key = Field(description="Name of the model's transit key.")
    key_version: int = Field(description="Version of that key.", ge=1)


class ParticipationSpec(Model):
    """From the hub to the organization."""

    organization: Name = Field(description="Organization that is asked.")
    model: Name = Field(description="SharedModel that is trained.")
    round: RoundReference
    plan: PlanReference
    base: BaseKey
    image: ImageReference = Field(description="Trainer image that the local template must use.")
    secure_aggregation: AggregationMode = Field(description="What protects a single update in this round.")
    invited: int = Field(description="Members invited, for policies on minimum participants.", ge=1, le=200)
    quorum: int = Field(description="Least number of replies.", ge=1, le=200)
    hyperparameters: Hyperparameters
    retries: int = Field(0, description="Training Jobs tried again after a failure that may pass.", ge=0, le=10)
    accept_by: Timestamp = Field(description="Until when the invitation is open.")
    train_by: Timestamp | None = Field(None, description="Until when the update must be committed.")
    stage: Stage = Field("Invited", description="How far the hub wants the member to go.")
    stage_by: Timestamp | None = Field(None, description="Until when a stage after training must be done.")
    suspend: bool = Field(False, description="While true no Job is started and Jobs are suspended.")


class TrainingResult(Model):
    """What the seal container reported."""

    commit_digest: Digest = Field(description="SHA-256 of the commit's payload.")
    examples: int = Field(description="Examples that were trained on.", ge=1)
    update_norm: str = Field("", description="L2 norm of the update before clipping, as decimal text.", max_length=64)
    clipped: bool = Field(False, description="Whether the update was scaled down to the round's clipNorm.")
    saturated: int = Field(
        0, description="Coordinates that rounding put beyond the bound of the encoding; they were moved to it.", ge=0
    )


class Attempt(Model):
    """One training Job."""

    number: int = Field(description="Number of the attempt, from 1.", ge=1)
    job: str = Field(description="Name of the Job in the organization's cluster.", max_length=253)
    outcome: Outcome | None = Field(None, description="How it ended; unset while it runs.")
    reason: str = Field("", description="Why it failed, in one word for programs.", max_length=128)
    message: str = Field("", description="Why it failed, in words for people.", max_length=1024)


class StageReport(Model):
    """How one stage after training ended; set once."""

    stage: MaskingStage = Field(description="Which one.")
    outcome: Outcome = Field(description="How it ended.")
    digest: Digest | None = Field(None, description="Of the payload of the control file that the stage stored.")
    reason: str = Field("", description="Why it failed, in one word for programs.", max_length=128)
    message: str = Field("", description="Why it failed, in words for people.", max_length=1024)


class ParticipationStatus(Model):
    """From the organization to the hub."""

    observed_generation: Generation = 0
    decision: Decision | None = Field(None, description="Answer to the invitation; unset until there is one.")
    rule: str = Field("", description="SharingPolicy and rule that decided, as `policy/rule`.", max_length=127)
    reason: str = Field("", description="Why it stands where it stands, in one word for programs.", max_length=128)
    message: str = Field("", description="The same in words for people.", max_length=1024)
    last_heartbeat_time: Timestamp | None = Field(None, description="When the participant last reported.")
    attempts: list[Attempt] = Field(
        default_factory=list,
        description="Training Jobs, in order.",
        max_length=16,
        json_schema_extra=list_map("number"),
    )
    outcome: Outcome | None = Field(None, description="Of training; set once: no more attempts will follow.")
    result: TrainingResult | None = None
    stages: list[StageReport] = Field(
        default_factory=list,
        description="Masked rounds: the stages after training.",
        max_length=3,
        json_schema_extra=list_map("stage"),
    )
    conditions: Conditions = Field(default_factory=list)


def stage_report(status: ParticipationStatus, stage: str) -> StageReport | None:
    """How a member says that a stage ended; None while it has not."""
    return next((one for one in status.stages if one.stage == stage), None)


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
