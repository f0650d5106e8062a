"""What each Job is asked to do. A task holds no secret: it lies in a ConfigMap beside its Job.

Tokens and credentials come from directories that the environment names (see `fedsnap.jobs.entry`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from fedsnap.api.organization import IdentityKey
from fedsnap.api.schema import Digest, Key, Name
from fedsnap.clients.store import StoreSettings
from fedsnap.clients.vault import VaultSettings

Prefix = Annotated[str, Field(min_length=2, max_length=512, pattern=r"^[A-Za-z0-9][^\s]*/$")]
MAX_PINNED = 8
PinnedKeys = Annotated[tuple[IdentityKey, ...], Field(min_length=1, max_length=MAX_PINNED)]


class Task(BaseModel):
    """A part of a task: camelCase in JSON, frozen, and nothing but what is described here."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    def to_json(self) -> str:
        """The JSON document that goes into the ConfigMap."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class TransitKey(Task):
    """A key of Vault's transit engine."""

    mount: Key = "transit"
    key: Key


class RoundTask(Task):
    """What every Job of a round needs to find and to believe the plan."""

    vault: VaultSettings
    store: StoreSettings
    round_prefix: Prefix = Field(description="P: rounds/<model namespace>/<model>/<number>/<round attempt>/")
    plan_digest: Digest = Field(description="SHA-256 of the plan's payload.")
    hub_keys: PinnedKeys = Field(description="Pinned public keys that sign plan and roster.")


class FetchTask(RoundTask):
    """Bring the base snapshot into the pod. `vault` is the one that holds the model's key."""

    organization: Name


class SealTask(RoundTask):
    """Check, encode, encrypt and commit the update. `vault` is the organization's own."""

    organization: Name
    train_attempt: int = Field(ge=1)
    data_key: TransitKey = Field(description="Derived aes256-gcm96 key of the organization; wraps the sealing key.")
    identity_key: TransitKey = Field(description="Ed25519 key that signs the commit.")


class CohortTask(RoundTask):
    """What every Job needs that reads what members signed."""

    organizations: dict[Name, PinnedKeys] = Field(description="Pinned identity keys of every invited member.")


class CohortLimits(Task):
    """What a member's policy asks of a masked round; see `secagg.masking.cohort.Limits`."""

    least_members: int = Field(ge=1)
    assumed_colluders: int = Field(ge=0)
    least_honest: int = Field(ge=1)
    least_difference: int = Field(ge=1)


class RevealedCohort(Task):
    """Whose sum this organization helped to reveal before."""

    base_content_root: Digest
    federation: str = Field(min_length=1, max_length=255)
    round: int = Field(ge=1)
    survivors: tuple[Name, ...]


class MaskingTask(CohortTask):
    """What every Job of a member in a masked round needs. `vault` is the organization's own."""

    organization: Name
    data_key: TransitKey = Field(description="Derived aes256-gcm96 key of the organization, as for its update.")
    identity_key: TransitKey = Field(description="Ed25519 key that signs its control files.")
    limits: CohortLimits
    revealed: tuple[RevealedCohort, ...] = Field((), max_length=1000, description="In other attempts.")


class ShareTask(MaskingTask):
    """Share the member's secrets among the roster."""


class MaskTask(MaskingTask):
    """Mask the member's sealed update and upload it."""


class UnmaskTask(MaskingTask):
    """Acknowledge the survivors, wait for others to do so, and answer."""

    survivors_digest: Digest = Field(description="What the organization recorded that it answers for, before.")
    wait_s: int = Field(ge=1, description="How long others are waited for.")


class ResealTask(SealTask):
    """Commit anew to the update that an earlier attempt, named by the plan, was given."""


class AggregateTask(CohortTask):
    """Sum one shard of all updates; the shard is JOB_COMPLETION_INDEX."""

    shards: int = Field(ge=1, le=1024)
    round_key: TransitKey = Field(description="Derived key under which the round's HPKE private key is wrapped.")


class PublishTask(Task):
    """Make, encrypt and publish a snapshot."""

    mode: Literal["Round", "Initialize"]
    vault: VaultSettings
    store: StoreSettings
    snapshot_prefix: Prefix = Field(description="S: <prefix>/<round number>/<round attempt>/")
    model_key: TransitKey = Field(description="Derived key that wraps the snapshot's data key.")
    layout_digest: Digest | None = Field(None, description="Initialize: required layout, where the model pins one.")
    round: AggregateTask | None = Field(None, description="Round: the task that the aggregation was given.")

    @model_validator(mode="after")
    def _round_has_its_task(self) -> Self:
        if (self.mode == "Round") != (self.round is not None):
            raise ValueError("a task of mode Round needs `round`, one of mode Initialize must not have it")
        return self
