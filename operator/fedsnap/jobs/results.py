"""What a Job reports: its termination message, at most 4096 bytes of JSON, and its exit code."""

from __future__ import annotations

from typing import Annotated, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fedsnap.api.modelsnapshot import ObjectPath, WrappedKey
from fedsnap.api.schema import Digest, Key

# The kubelet cuts a termination message here.
MAX_MESSAGE_BYTES = 4096
# Exit codes that mean "do not retry"; anything else but 0 may pass.
EXIT_REFUSED_INPUT = 42
EXIT_PERMISSION_DENIED = 43
EXIT_CONFIGURATION = 44
EXIT_RETRY = 1
MAX_METRICS = 16


class Result(BaseModel):
    """A part of a termination message: camelCase in JSON, frozen, strict."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    def to_json(self) -> str:
        """The termination message."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


class FetchResult(Result):
    """The base snapshot lies in the pod."""

    content_root: Digest
    bytes: int = Field(ge=0)


class SealResult(Result):
    """The update is committed. `update_norm` is its L2 norm before clipping, as decimal text."""

    commit_digest: Digest
    examples: int = Field(ge=1)
    update_norm: Annotated[str, Field(max_length=64)]
    clipped: bool
    saturated: int = Field(ge=0)
    bytes: int = Field(ge=0)
    coordinates: int = Field(ge=1)
    metrics: dict[str, float] = Field(default_factory=dict, max_length=MAX_METRICS)


class ShareResult(Result):
    """The member's secrets are shared among the roster."""

    shares_digest: Digest


class MaskResult(Result):
    """The member's masked update is stored."""

    masked_digest: Digest
    masked_bytes: int = Field(ge=4)


class UnmaskResult(Result):
    """The member answered for these survivors, and will answer for no others."""

    survivors_digest: Digest


class AggregateResult(Result):
    """One shard of the sum is stored."""

    shard: int = Field(ge=0)
    shards: int = Field(ge=1)
    digest: Digest
    coordinates: int = Field(ge=0)


class PublishResult(Result):
    """All that a ModelSnapshot needs to know."""

    content_root: Digest
    layout_digest: Digest
    plaintext_digest: Digest
    plaintext_size: int = Field(ge=8)
    ciphertext_digest: Digest
    ciphertext_size: int = Field(ge=56)
    wrapped_key: WrappedKey
    vault_mount: Key
    vault_key: Key
    key_version: int = Field(ge=1)
    coordinates: int = Field(ge=1)
    path: ObjectPath


class Failure(Result):
    """Why a Job failed."""

    reason: Annotated[str, Field(max_length=128)]
    message: Annotated[str, Field(max_length=2048)]


class FailureMessage(Result):
    """The termination message of a Job that failed."""

    error: Failure


Message = (
    FetchResult
    | SealResult
    | ShareResult
    | MaskResult
    | UnmaskResult
    | AggregateResult
    | PublishResult
    | FailureMessage
)


def parse_termination(text: str) -> Message | None:
    """Read a termination message; None where it is none of ours, such as a kubelet's own text."""
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        return None
    for kind in get_args(Message):
        try:
            return cast("Message", kind.model_validate_json(text))
        except ValidationError:
            continue
    return None
