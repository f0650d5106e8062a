"""The control files of a masked round: what each says, with a bound on every field."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from fedsnap.api.schema import Digest, Name
from fedsnap.formats.control import MAX_MEMBERS, Control, Positive, Record

PART_BYTES = 64 * 1024 * 1024
MAX_PARTS = 4096

ShareText = Annotated[str, Field(min_length=88, max_length=88, pattern=r"^[A-Za-z0-9+/]{88}$")]
# Two shares of 66 bytes and a tag of 16.
BoxText = Annotated[str, Field(min_length=200, max_length=200, pattern=r"^[A-Za-z0-9+/]{198}==$")]
Sealed = Annotated[str, Field(min_length=4, max_length=128 * 1024, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
Members = Annotated[tuple[Name, ...], Field(max_length=MAX_MEMBERS)]


class Box(Record):
    """One member's shares, for its eyes, and their digests, for who will recover a secret from them."""

    to: Name
    box: BoxText = Field(description="ChaCha20-Poly1305 of self-mask share and key share, base64.")
    self_mask_share_digest: Digest
    key_share_digest: Digest


class Shares(Control):
    """An organization's two secrets, shared among the whole roster, itself included."""

    KIND: ClassVar[str] = "shares"
    organization: Name
    context: Digest
    boxes: Annotated[tuple[Box, ...], Field(min_length=1, max_length=MAX_MEMBERS)]

    @model_validator(mode="after")
    def _recipients_are_distinct(self) -> Self:
        _expect_sorted(one.to for one in self.boxes)
        return self


class Sharer(Record):
    """A member whose shares arrived."""

    organization: Name
    shares_digest: Digest


class ShareRoster(Control):
    """Who masks with whom; signed by the coordinator, never changed."""

    KIND: ClassVar[str] = "share-roster"
    context: Digest
    members: Annotated[tuple[Sharer, ...], Field(min_length=1, max_length=MAX_MEMBERS)]

    @model_validator(mode="after")
    def _members_are_distinct(self) -> Self:
        _expect_sorted(one.organization for one in self.members)
        return self

    @property
    def names(self) -> frozenset[str]:
        """The members."""
        return frozenset(one.organization for one in self.members)


class Part(Record):
    """One object of a masked update."""

    size: Annotated[int, Field(ge=4, le=PART_BYTES, multiple_of=4)]
    digest: Digest


class Masked(Control):
    """An organization's word for its masked update, in parts of 64 MiB."""

    KIND: ClassVar[str] = "masked"
    organization: Name
    context: Digest
    share_roster_digest: Digest
    coordinates: Positive = Field(description="Coordinates of the update and one for its weight.")
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=MAX_PARTS)]

    @model_validator(mode="after")
    def _parts_are_whole(self) -> Self:
        if any(part.size != PART_BYTES for part in self.parts[:-1]):
            raise ValueError(f"every part but the last has {PART_BYTES} bytes")
        if sum(part.size for part in self.parts) != 4 * self.coordinates:
            raise ValueError("the parts do not hold 4 bytes for each coordinate")
        return self


class Survivor(Record):
    """A member whose masked update is counted."""

    organization: Name
    masked_digest: Digest = Field(description="Digest of its control file `masked`.")


class Survivors(Control):
    """Whose masked updates are counted, and whose masks must be taken away without them."""

    KIND: ClassVar[str] = "survivors"
    context: Digest
    share_roster_digest: Digest
    members: Annotated[tuple[Survivor, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    dropped: Members = ()

    @model_validator(mode="after")
    def _members_are_distinct(self) -> Self:
        _expect_sorted(one.organization for one in self.members)
        _expect_sorted(self.dropped)
        return self


class Ack(Control):
    """A survivor's word that it saw these survivors, and will answer for no others."""

    KIND: ClassVar[str] = "ack"
    organization: Name
    context: Digest
    survivors_digest: Digest


class UnmaskShares(Control):
    """What a survivor reveals: one share of each member's one secret, never of both."""

    KIND: ClassVar[str] = "unmask-shares"
    organization: Name
    self_masks: Annotated[dict[Name, ShareText], Field(max_length=MAX_MEMBERS, description="Of survivors.")]
    keys: Annotated[dict[Name, ShareText], Field(max_length=MAX_MEMBERS, description="Of the dropped.")]


class Unmask(Control):
    """The same, readable by the aggregation Job alone."""

    KIND: ClassVar[str] = "unmask"
    organization: Name
    context: Digest
    survivors_digest: Digest
    sealed: Sealed = Field(description="HPKE of the control file `unmask-shares` to the plan's aggregator, base64.")


def _expect_sorted(names: Iterable[str]) -> None:
    if any(one >= other for one, other in pairwise(names)):
        raise ValueError("organizations are not in the order of their names, each once")
