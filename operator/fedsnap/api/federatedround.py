"""FederatedRound: one round of training, and the template a SharedModel makes rounds from."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fedsnap.api.schema import (
    LIST_SET,
    Column,
    Conditions,
    Decimal,
    Digest,
    Duration,
    Generation,
    Model,
    Name,
    NameReference,
    Object,
    Resource,
    Timestamp,
    list_map,
    named_after,
    rule,
    validations,
)

Algorithm = Literal["FedAvg", "FedProx"]
# The condition that says that a round is over, and its reasons where it made a snapshot.
FINISHED, COMPLETED, DEGRADED = "Finished", "Completed", "Degraded"
SUCCESSES = frozenset({COMPLETED, DEGRADED})
AggregationMode = Literal["Plain", "Masked"]
MemberState = Literal[
    "Invited",
    "Accepted",
    "Training",
    "Committed",
    "Shared",
    "Masked",
    "Unmasked",
    "Aggregated",
    "Refused",
    "Failed",
    "Late",
    "Missing",
]


class Participants(Model):
    """Who is invited, and how many replies make a round."""

    organizations: list[Name] = Field(
        description="Names of the invited Organizations.", min_length=1, max_length=200, json_schema_extra=LIST_SET
    )
    quorum: int = Field(description="Least number of valid replies for which the round goes on.", ge=1, le=200)


class Deadlines(Model):
    """How long each stage may take, by the coordinator's clock; durations such as 90s, 5m, 2h."""

    accept: Duration = Field("5m", description="From the invitation until a member has accepted or refused.")
    train: Duration = Field("2h", description="From the acceptance until a member has committed its update.")
    mask: Duration = Field("10m", description="Masked rounds: for sharing, masking and unmasking, each.")
    aggregate: Duration = Field("30m", description="For aggregation and publication, each.")


class Aggregation(Model):
    """How updates become one model."""

    algorithm: Algorithm = Field(
        "FedAvg", description="FedProx is FedAvg with hyperparameters.proximalMu in the members' loss."
    )


class Privacy(Model):
    """What protects a single organization's update."""

    secure_aggregation: AggregationMode = Field(
        "Masked",
        description="Masked: nobody sees a single update. Plain: updates are encrypted to the aggregation Job, which "
        "sees each; every member's policy must allow it.",
    )
    clip_norm: Decimal = Field("8", description="Bound on the L2 norm of one update; larger updates are scaled down.")


class Stragglers(Model):
    """What happens to members that are late or fail."""

    late: Literal["Exclude"] = Field("Exclude", description="Late replies are recorded and never change a roster.")
    retries: int = Field(1, description="Training Jobs tried again after a failure that may pass.", ge=0, le=10)


class Hyperparameters(Model):
    """The only thing that a hub may set in an organization's training."""

    local_epochs: int = Field(1, description="Passes over the local data in one round.", ge=1, le=10_000)
    batch_size: int = Field(32, description="Examples per optimizer step.", ge=1, le=1_000_000)
    learning_rate: Decimal = Field("0.01", description="Step size of the local optimizer.")
    proximal_mu: Decimal | None = Field(None, description="FedProx: weight of the proximal term.")


_QUORUM_FITS = rule(
    "self.participants.quorum <= size(self.participants.organizations)",
    "spec.participants.quorum must not exceed the number of organizations; lower quorum or invite more",
    field_path=".participants.quorum",
)
_PROX_HAS_MU = rule(
    "(self.aggregation.algorithm == 'FedProx') == has(self.hyperparameters.proximalMu)",
    'FedProx needs hyperparameters.proximalMu, for example "0.01", and no other algorithm has it',
    field_path=".hyperparameters",
)
_MASKED_HIDES = rule(
    "self.privacy.secureAggregation != 'Masked' || self.participants.quorum >= 3",
    "a masked sum of fewer than 3 members hides nobody; raise participants.quorum to 3 or more, or choose "
    "privacy.secureAggregation: Plain where every member's policy allows it",
    field_path=".participants.quorum",
)


class RoundTemplate(Model):
    """What all rounds of a model have in common."""

    model_config = Model.model_config | {"json_schema_extra": validations(_QUORUM_FITS, _PROX_HAS_MU, _MASKED_HIDES)}
    participants: Participants
    deadlines: Deadlines = Field(default_factory=Deadlines)
    aggregation: Aggregation = Field(default_factory=Aggregation)
    privacy: Privacy = Field(default_factory=Privacy)
    stragglers: Stragglers = Field(default_factory=Stragglers)
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)


_FROZEN_PARTS = (
    "modelRef",
    "number",
    "participants",
    "deadlines",
    "aggregation",
    "privacy",
    "stragglers",
    "hyperparameters",
)


class FederatedRoundSpec(RoundTemplate):
    """One round; only suspend, abort and retry may change after creation."""

    model_config = Model.model_config | {
        "json_schema_extra": validations(
            _QUORUM_FITS,
            _PROX_HAS_MU,
            _MASKED_HIDES,
            *(
                rule(
                    f"self.{part} == oldSelf.{part}",
                    f"spec.{part} is immutable; make a new round",
                    field_path=f".{part}",
                )
                for part in _FROZEN_PARTS
            ),
            rule(
                "!oldSelf.abort || self.abort || self.retry > oldSelf.retry",
                "abort is taken back only together with a higher spec.retry, which starts a new attempt",
            ),
            rule("self.retry >= oldSelf.retry", "retry only grows", field_path=".retry"),
        )
    }
    model_ref: NameReference = Field(description="The SharedModel of this namespace that is trained.")
    number: int = Field(description="Number of the round; it trains the snapshot of number - 1.", ge=1, le=1_000_000)
    suspend: bool = Field(False, description="While true nothing new is started and Jobs are suspended.")
    abort: bool = Field(False, description="Ends the round; its Jobs are deleted.")
    retry: int = Field(0, description="Raise by one to run a finished, failed round again.", ge=0, le=1000)


class MemberStatus(Model):
    """Where one organization stands in the round."""

    organization: Name = Field(description="Name of the Organization.")
    state: MemberState = Field(description="How far it came, or how it fell out.")
    reason: str = Field("", description="Why, in one word for programs.", max_length=128)
    message: str = Field("", description="Why, in words for people.", max_length=1024)
    attempt: int = Field(0, description="Number of its latest training Job; 0 before the first.", ge=0)
    examples: int | None = Field(None, description="Examples that it trained on: its weight in the mean.", ge=0)
    clipped: bool | None = Field(None, description="Whether its update was scaled down to clipNorm.")
    saturated: int | None = Field(None, description="Coordinates that were moved to the encoding's bound.", ge=0)
    last_heartbeat_time: Timestamp | None = Field(None, description="When it last reported.")


class Counts(Model):
    """How many members reached which stage."""

    invited: int = Field(0, description="Members that were asked.")
    accepted: int = Field(0, description="Members that accepted, whether they replied since or not.")
    trained: int = Field(0, description="Members with a valid update.")
    aggregated: int = Field(0, description="Members whose update is in the sum.")


class FederatedRoundStatus(Model):
    """What is known of the round; conditions are what tools depend on, stage is for people."""

    stage: str = Field("", description="How far the round came, for people.", max_length=32)
    observed_generation: Generation = 0
    attempt: int = Field(0, description="Number of the attempt, which is spec.retry + 1.", ge=0)
    members: str = Field("", description="Members with a valid update of those invited, as `3/4`.", max_length=32)
    base_snapshot: str | None = Field(None, description="ModelSnapshot that is trained.", max_length=253)
    snapshot_ref: NameReference | None = Field(None, description="ModelSnapshot that the round published.")
    aggregate_digest: Digest | None = Field(
        None, description="SHA-256 of the weighted sums, where they are one object; the transcript names all shards."
    )
    started_at: Timestamp | None = Field(None, description="When this attempt began.")
    accepted_at: Timestamp | None = Field(None, description="When enough members had accepted.")
    trained_at: Timestamp | None = Field(None, description="When the roster was agreed.")
    shared_at: Timestamp | None = Field(None, description="Masked: when enough members had shared their secrets.")
    masked_at: Timestamp | None = Field(None, description="Masked: when the survivors were agreed.")
    unmasked_at: Timestamp | None = Field(None, description="Masked: when enough survivors had answered.")
    finished_at: Timestamp | None = Field(None, description="When this attempt was over.")
    counts: Counts = Field(default_factory=Counts)
    participants: list[MemberStatus] = Field(
        default_factory=list,
        description="The invited organizations, by name.",
        max_length=200,
        json_schema_extra=list_map("organization"),
    )
    conditions: Conditions = Field(default_factory=list)


class FederatedRound(Object):
    """One round: members train a base snapshot, their updates become the next snapshot."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="FederatedRound",
        plural="federatedrounds",
        short_names=("fr", "round"),
        columns=(
            Column("Model", ".spec.modelRef.name"),
            Column("Round", ".spec.number", "integer"),
            Column("Stage", ".status.stage"),
            Column("Members", ".status.members"),
            Column("Verdict", '.status.conditions[?(@.type=="Finished")].reason'),
            Column("Snapshot", ".status.snapshotRef.name"),
            Column("Message", '.status.conditions[?(@.type=="Finished")].message', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        rules=(named_after("self.spec.modelRef.name", "self.spec.number"),),
    )
    spec: FederatedRoundSpec
    status: FederatedRoundStatus = Field(default_factory=FederatedRoundStatus)
