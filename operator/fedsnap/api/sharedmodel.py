"""SharedModel: the thing that is shared, and how many rounds it is trained."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedsnap.api.federatedround import RoundTemplate
from fedsnap.api.schema import (
    Column,
    Conditions,
    Digest,
    Generation,
    ImageReference,
    Key,
    Model,
    Name,
    NameReference,
    Object,
    Resource,
    rule,
    validations,
)


class Architecture(Model):
    """The code that members run."""

    image: ImageReference = Field(description="Trainer image that members' templates must use; pin it by digest.")
    digest: Digest | None = Field(None, description="Digest of the parameter layout; checked where it is given.")


class Initialization(Model):
    """How round 0 comes to be: the trainer makes the first weights from a seed."""

    template: Name = Field(description="PodTemplate of this namespace whose container `train` runs the trainer.")
    seed: int = Field(description="Seed of the first weights, recorded.", ge=0, le=2**53 - 1)


class Training(Model):
    """How often, and by which rounds."""

    rounds: int = Field(description="Desired number of finished rounds.", ge=0, le=100_000)
    round_template: RoundTemplate = Field(description="What all rounds have in common.")


class VaultKey(Model):
    """A transit key."""

    mount: Key = Field("transit", description="Mount of the transit engine.")
    key: Key = Field(description="Name of the key; type aes256-gcm96, derived.")


class Keys(Model):
    """Envelope encryption of every snapshot."""

    vault: VaultKey


class SnapshotStore(Model):
    """Where snapshots and the files of rounds lie."""

    bucket: Key = Field(description="S3 bucket.")
    prefix: Key = Field(description="Prefix of published snapshots in the bucket.")


class Publication(Model):
    """Where snapshots go."""

    store: SnapshotStore


class SharedModelSpec(Model):
    """What is trained, how often, and where the result goes."""

    model_config = Model.model_config | {
        "json_schema_extra": validations(
            rule(
                "has(self.initialSnapshot) != has(self.initialization)",
                "give exactly one of initialSnapshot (a ModelSnapshot) and initialization (template and seed)",
            ),
            *(
                rule(f"self.{part} == oldSelf.{part}", f"spec.{part} is immutable", field_path=f".{part}")
                for part in ("architecture", "keys", "publication")
            ),
        )
    }
    architecture: Architecture
    initialization: Initialization | None = None
    initial_snapshot: NameReference | None = Field(
        None, description="ModelSnapshot of this namespace to start from, in the place of first weights from a seed."
    )
    training: Training
    keys: Keys
    publication: Publication
    suspend: bool = Field(False, description="While true no new round is created.")


class SharedModelStatus(Model):
    """How far training came."""

    observed_generation: Generation = 0
    latest_snapshot: str | None = Field(None, description="ModelSnapshot that was published last.", max_length=253)
    current_round: str | None = Field(None, description="FederatedRound that is under way.", max_length=253)
    rounds_finished: int = Field(0, description="Rounds that published a snapshot.", ge=0)
    key_version: int | None = Field(None, description="Latest version of the model's transit key.", ge=0)
    architecture_digest: Digest | None = Field(None, description="Layout digest of the latest snapshot.")
    conditions: Conditions = Field(default_factory=list)


class SharedModel(Object):
    """A model that several organizations train together."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="SharedModel",
        plural="sharedmodels",
        short_names=("sm",),
        # Room for the number of a round.
        name_length=55,
        columns=(
            Column("Rounds", ".status.roundsFinished", "integer"),
            Column("Desired", ".spec.training.rounds", "integer"),
            Column("Latest", ".status.latestSnapshot"),
            Column("KeyVersion", ".status.keyVersion", "integer"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    spec: SharedModelSpec
    status: SharedModelStatus = Field(default_factory=SharedModelStatus)
