"""SharingPolicy: an organization's consent, in its own cluster."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fedsnap.api.schema import (
    LIST_SET,
    Column,
    Conditions,
    Model,
    Name,
    Object,
    Resource,
    Timestamp,
    list_map,
)

ModelPattern = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$")]
ImagePattern = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]


class Requirements(Model):
    """What a round must offer before the rule allows it."""

    secure_aggregation: Literal["Plain", "Masked"] = Field(
        "Masked", description="Masked is refused by a Plain round; Plain accepts both."
    )
    min_participants: int = Field(3, description="Least quorum of the round.", ge=1, le=200)
    assumed_colluders: int = Field(
        1, description="Masked: other members that may tell the hub all they know.", ge=0, le=66
    )
    min_honest: int = Field(
        3, description="Masked: least members of a sum beyond the assumed colluders, oneself included.", ge=2, le=200
    )


class Rule(Model):
    """One rule; the first whose models and images match decides."""

    name: Name = Field(description="Name of the rule, which its decisions carry.")
    models: list[ModelPattern] = Field(
        description="Names of models, `*` matches any characters.",
        min_length=1,
        max_length=64,
        json_schema_extra=LIST_SET,
    )
    images: list[ImagePattern] = Field(
        description="Trainer images, `*` matches any characters.",
        min_length=1,
        max_length=64,
        json_schema_extra=LIST_SET,
    )
    expires: Timestamp = Field(description="The rule allows nothing from then on.")
    requires: Requirements = Field(default_factory=Requirements)
    template: Name = Field(description="PodTemplate of this namespace that trains; never overridden by the hub.")


class SharingPolicySpec(Model):
    """Rules in order; where none matches the round is refused."""

    rules: list[Rule] = Field(
        description="Tried in order.", min_length=1, max_length=64, json_schema_extra=list_map("name")
    )
    suspend: bool = Field(False, description="While true every round is refused that no earlier policy decided.")


class RuleStatus(Model):
    """How a rule was used, by the Participations that exist."""

    name: Name = Field(description="Name of the rule.")
    rounds_allowed: int = Field(0, description="Round attempts that it accepted.", ge=0)
    last_decision: str = Field("", description="Its latest decision and the Participation's name.", max_length=128)
    last_decision_time: Timestamp | None = Field(None, description="When that round was offered.")


class SharingPolicyStatus(Model):
    """How the rules were used."""

    rules: list[RuleStatus] = Field(
        default_factory=list,
        description="Use of each rule.",
        max_length=64,
        json_schema_extra=list_map("name"),
    )
    conditions: Conditions = Field(default_factory=list)


class SharingPolicy(Object):
    """Which models may be trained on this organization's data, by which code, until when."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="SharingPolicy",
        plural="sharingpolicies",
        short_names=("sp",),
        columns=(
            Column("Rules", ".spec.rules[*].name"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    spec: SharingPolicySpec
    status: SharingPolicyStatus = Field(default_factory=SharingPolicyStatus)
