"""The control files of a round and the records of a snapshot: what each says, with a bound on every field.

Numbers are integers or decimal text: JSON readers disagree about floats, and digests are over the text.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

from fedsnap.api.federatedround import AggregationMode, Hyperparameters
from fedsnap.api.modelsnapshot import ModelSnapshotSpec, ObjectPath, WrappedKey
from fedsnap.api.schema import Decimal, Digest, ImageReference, Key, Name
from fedsnap.formats.errors import InvalidFormat

MAX_MEMBERS = 200
MAX_SHARDS = 1024
MAX_INTEGER = 2**53 - 1
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def decimal_text(value: float) -> str:
    """The shortest decimal text that reads back as the same double.

    Raises:
        InvalidFormat: for NaN and infinity.
    """
    if not math.isfinite(value):
        raise InvalidFormat(f"expected a finite number to write as decimal text, got {value}")
    return repr(float(value))


def _read_timestamp(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise ValueError("expected a time such as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(value)


def _whole_seconds(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("expected a time with a time zone")
    return value.astimezone(UTC).replace(microsecond=0)


def _write_timestamp(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


Timestamp = Annotated[
    datetime,
    BeforeValidator(_read_timestamp),
    AfterValidator(_whole_seconds),
    PlainSerializer(_write_timestamp, return_type=str, when_used="json"),
]
DecimalText = Annotated[
    str, Field(min_length=1, max_length=32, pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-][0-9]{1,3})?$")
]
PublicKey = Annotated[str, Field(min_length=44, max_length=44, pattern=r"^[A-Za-z0-9+/]{43}=$")]
SealedKey = Annotated[str, Field(min_length=4, max_length=256, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_./-]+$")]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


class Record(BaseModel):
    """A part of a control file: camelCase in JSON, frozen, and nothing but what is described here."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Control(Record):
    """A whole control file; KIND is part of its media type."""

    KIND: ClassVar[str]


class BaseSnapshot(Record):
    """A published snapshot: all that a holder of the right Vault role needs to open and check it."""

    content_root: Digest
    plaintext_digest: Digest
    plaintext_size: Annotated[int, Field(ge=8, le=MAX_INTEGER)]
    path: ObjectPath
    ciphertext_digest: Digest
    ciphertext_size: Annotated[int, Field(ge=56, le=MAX_INTEGER)]
    wrapped_key: WrappedKey
    vault_mount: Key
    vault_key: Key
    key_version: Positive

    @classmethod
    def of(cls, spec: ModelSnapshotSpec) -> Self:
        """The part of a ModelSnapshot that opening it takes."""
        return cls(
            content_root=spec.content_root,
            plaintext_digest=spec.plaintext_digest,
            plaintext_size=spec.plaintext_size,
            path=spec.location.path,
            ciphertext_digest=spec.ciphertext_digest,
            ciphertext_size=spec.ciphertext_size,
            wrapped_key=spec.encryption.wrapped_key,
            vault_mount=spec.encryption.vault_mount,
            vault_key=spec.encryption.vault_key,
            key_version=spec.encryption.key_version,
        )


class Aggregator(Record):
    """The round's HPKE key pair; the private key is wrapped for the aggregation Job alone."""

    public_key: PublicKey = Field(description="Raw X25519 public key, base64.")
    wrapped_private_key: WrappedKey


class EarlierAttempt(Record):
    """An attempt of the same round whose updates are used again."""

    attempt: Positive
    plan_digest: Digest


class Plan(Control):
    """What one attempt of a round is; signed by the coordinator, accepted by each member's own policy."""

    KIND: ClassVar[str] = "plan"
    namespace: Name
    model: Name
    round: Positive
    attempt: Positive
    organizations: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    quorum: Annotated[int, Field(ge=1, le=MAX_MEMBERS)]
    image: ImageReference
    secure_aggregation: AggregationMode
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    clip_norm: Decimal
    scale_exponent: Annotated[int, Field(ge=8, le=40)]
    seed: Count
    accept_by: Timestamp
    train_by: Timestamp
    bucket: Key
    base: BaseSnapshot
    layout_digest: Digest
    coordinates: Positive = Field(description="Length of an update: elements of all floating tensors of the base.")
    hyperparameters: Hyperparameters
    aggregator: Aggregator
    reuses: EarlierAttempt | None = Field(
        None, description="Members that committed in this earlier attempt seal that update anew instead of training."
    )
    shards: Annotated[int, Field(ge=1, le=MAX_SHARDS)] = 1

    @model_validator(mode="after")
    def _organizations_are_distinct(self) -> Self:
        _expect_distinct(self.organizations)
        if self.quorum > len(self.organizations):
            raise ValueError("quorum exceeds the number of organizations")
        return self


class SealedObject(Record):
    """An encrypted update in the store."""

    path: ObjectPath
    size: Annotated[int, Field(ge=56, le=MAX_INTEGER)]
    digest: Digest


class MaskingKeys(Record):
    """What a commit says of its sender's keys in a masked attempt: they serve this attempt alone."""

    mask_key: PublicKey = Field(description="Raw X25519 public key, base64.")
    box_key: PublicKey = Field(description="Raw X25519 public key, base64.")
    self_mask_digest: Digest = Field(description="Digest of the seed of the sender's own mask.")


class Commit(Control):
    """An organization's word for its update, given after training."""

    KIND: ClassVar[str] = "commit"
    organization: Name
    plan_digest: Digest
    train_attempt: Annotated[int, Field(ge=1, le=2**31)]
    sealed: SealedObject
    coordinates: Positive
    examples: Annotated[int, Field(ge=1, le=2**31)]
    metrics: Annotated[dict[Label, DecimalText], Field(max_length=16)] = Field(default_factory=dict)
    update_norm: DecimalText = Field(description="L2 norm before clipping.")
    clipped: bool
    clip_factor: DecimalText
    saturated: Count = Field(description="Coordinates that rounding put beyond the bound of the encoding.")
    wrapped_key: WrappedKey = Field(description="The update's data key, for the organization itself.")
    aggregator_key: SealedKey | None = Field(None, description="Plain: the same key, HPKE-encrypted to the aggregator.")
    masking: MaskingKeys | None = Field(None, description="Masked: the sender's keys in this attempt.")
    masking_secret: WrappedKey | None = Field(
        None, description="Masked: what these keys follow from, for the organization itself."
    )
    environment: Annotated[dict[Label, Annotated[str, Field(max_length=128)]], Field(max_length=16)] = Field(
        default_factory=dict
    )


class RosterMember(Record):
    """A commit that counts."""

    organization: Name
    commit_digest: Digest


class Excluded(Record):
    """A member whose update does not count, and why."""

    organization: Name
    reason: Annotated[str, Field(max_length=128)]
    message: Annotated[str, Field(max_length=1024)] = ""


class Roster(Control):
    """Whose commits count; signed by the coordinator, never changed."""

    KIND: ClassVar[str] = "roster"
    plan_digest: Digest
    members: Annotated[tuple[RosterMember, ...], Field(max_length=MAX_MEMBERS)]
    excluded: Annotated[tuple[Excluded, ...], Field(max_length=MAX_MEMBERS)] = ()

    @model_validator(mode="after")
    def _organizations_are_distinct(self) -> Self:
        members, excluded = self.members, self.excluded
        _expect_distinct((*(one.organization for one in members), *(one.organization for one in excluded)))
        return self


class Contribution(Record):
    """One member's part in an aggregate."""

    organization: Name
    commit_digest: Digest
    weight: Positive
    sealed_digest: Digest | None = Field(None, description="Plain: of the sealed update.")
    masked_digest: Digest | None = Field(None, description="Masked: of the control file `masked`.")


class ShardDigest(Record):
    """One shard of the weighted sums: coordinates `start` to `stop`, exclusive."""

    index: Annotated[int, Field(ge=0, lt=MAX_SHARDS)]
    start: Count
    stop: Count
    digest: Digest


class Transcript(Control):
    """What went into a snapshot: enough to make it again from the stored objects."""

    KIND: ClassVar[str] = "transcript"
    plan_digest: Digest
    roster_digest: Digest
    survivors_digest: Digest | None = None
    base_content_root: Digest
    content_root: Digest
    layout_digest: Digest
    coordinates: Positive
    scale_exponent: Annotated[int, Field(ge=8, le=40)]
    total_weight: Positive
    members: Annotated[tuple[Contribution, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    shards: Annotated[tuple[ShardDigest, ...], Field(min_length=1, max_length=MAX_SHARDS)]


class KeyRecord(Control):
    """The wrapped data key of a snapshot, stored before its bytes."""

    KIND: ClassVar[str] = "key"
    content_root: Digest
    wrapped_key: WrappedKey
    vault_mount: Key
    vault_key: Key
    key_version: Positive


class SnapshotRecord(Control):
    """What lies beside a snapshot's bytes: its digests, its key and where it comes from."""

    KIND: ClassVar[str] = "snapshot"
    content_root: Digest
    layout_digest: Digest
    plaintext_digest: Digest
    plaintext_size: Annotated[int, Field(ge=8, le=MAX_INTEGER)]
    ciphertext_digest: Digest
    ciphertext_size: Annotated[int, Field(ge=56, le=MAX_INTEGER)]
    wrapped_key: WrappedKey
    vault_mount: Key
    vault_key: Key
    key_version: Positive
    coordinates: Positive
    path: ObjectPath
    base_content_root: Digest | None = None
    plan_digest: Digest | None = None
    transcript_digest: Digest | None = None


def _expect_distinct(names: tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"organization {twice[0]!r} is named twice")
