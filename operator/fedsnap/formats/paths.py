"""Where the objects of a round and of a snapshot lie in the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fedsnap.formats.errors import InvalidFormat


def _checked_prefix(prefix: str) -> None:
    parts = prefix.split("/")
    if parts[-1] != "" or not parts[0] or any(part in {"", ".", ".."} for part in parts[:-1]):
        raise InvalidFormat(f"expected an object prefix such as rounds/a/b/1/1/ that ends in one slash, got {prefix!r}")


def _one_part(name: str) -> str:
    if not name or "/" in name or name in {".", ".."}:
        raise InvalidFormat(f"expected a name without slashes as part of an object path, got {name!r}")
    return name


@dataclass(frozen=True, slots=True)
class RoundPaths:
    """Objects of one attempt of a round; `prefix` ends in a slash."""

    prefix: str

    def __post_init__(self) -> None:
        _checked_prefix(self.prefix)

    @classmethod
    def of(cls, namespace: str, model: str, number: int, attempt: int) -> Self:
        """The attempt's paths: `rounds/<namespace>/<model>/<number>/<attempt>/`."""
        return cls(f"rounds/{_one_part(namespace)}/{_one_part(model)}/{number}/{attempt}/")

    @property
    def plan(self) -> str:
        """The plan that the coordinator signed."""
        return f"{self.prefix}plan.json"

    @property
    def roster(self) -> str:
        """Whose commits count, signed by the coordinator."""
        return f"{self.prefix}roster.json"

    @property
    def transcript(self) -> str:
        """What went into the published snapshot."""
        return f"{self.prefix}transcript.json"

    def sealed(self, organization: str, train_attempt: int) -> str:
        """An organization's encrypted update."""
        return f"{self.prefix}sealed/{_one_part(organization)}/{train_attempt}"

    def commit(self, organization: str) -> str:
        """An organization's signed commit."""
        return f"{self.prefix}commit/{_one_part(organization)}.json"

    def shares(self, organization: str) -> str:
        """Masked: an organization's secrets, shared among the roster."""
        return f"{self.prefix}shares/{_one_part(organization)}.json"

    @property
    def share_roster(self) -> str:
        """Masked: whose shares arrived, signed by the coordinator."""
        return f"{self.prefix}share-roster.json"

    def masked(self, organization: str) -> str:
        """Masked: an organization's word for its masked update."""
        return f"{self.prefix}masked/{_one_part(organization)}.json"

    def masked_part(self, organization: str, part: int) -> str:
        """Masked: one object of a masked update."""
        return f"{self.prefix}masked/{_one_part(organization)}/{part}"

    @property
    def survivors(self) -> str:
        """Masked: whose masked updates are counted, signed by the coordinator."""
        return f"{self.prefix}survivors.json"

    def ack(self, organization: str) -> str:
        """Masked: a survivor's word that it saw the survivors."""
        return f"{self.prefix}ack/{_one_part(organization)}.json"

    def unmask(self, organization: str) -> str:
        """Masked: what a survivor reveals, for the aggregation Job alone."""
        return f"{self.prefix}unmask/{_one_part(organization)}.json"

    def aggregate(self, shard: int) -> str:
        """The weighted sums of one shard."""
        return f"{self.prefix}aggregate/{shard}"


@dataclass(frozen=True, slots=True)
class SnapshotPaths:
    """Objects of one published snapshot; `prefix` ends in a slash."""

    prefix: str

    def __post_init__(self) -> None:
        _checked_prefix(self.prefix)

    @classmethod
    def of(cls, prefix: str, number: int, attempt: int) -> Self:
        """The snapshot's paths: `<prefix>/<number>/<attempt>/`."""
        return cls(f"{prefix.rstrip('/')}/{number}/{attempt}/")

    @property
    def key(self) -> str:
        """The wrapped data key; written before the bytes, so that a retried Job makes the same ciphertext."""
        return f"{self.prefix}key.json"

    @property
    def weights(self) -> str:
        """The encrypted weights."""
        return f"{self.prefix}model.safetensors.c2sp"

    @property
    def record(self) -> str:
        """The digests."""
        return f"{self.prefix}snapshot.json"
