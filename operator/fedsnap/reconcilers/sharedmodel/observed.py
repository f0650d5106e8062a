"""A model with its key, its rounds and its snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.clients.vault import KeyInfo
from fedsnap.reconcilers.jobstate import SeenJob


def latest_number(snapshots: Mapping[int, ModelSnapshot], initial: ModelSnapshot | None) -> int | None:
    """Number of the latest snapshot; an initial one counts as round 0. None where there is neither."""
    if snapshots:
        return max(snapshots)
    return 0 if initial else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that the decision about a model needs.

    Attributes:
        owner: the ownerReference of what the model makes.
        key: versions of its key; None where Vault has no such key for us, as `key_problem` says.
        snapshots: by number of their round, of this model alone.
        current: the round that comes after the latest snapshot; None where it is not made yet.
        template: the PodTemplate that initializes; None where there is none of that name.
        jobs: that initialize, in order.
    """

    model: SharedModel
    owner: Mapping[str, Any] = field(default_factory=dict)
    key: KeyInfo | None = None
    key_problem: str = ""
    snapshots: Mapping[int, ModelSnapshot] = field(default_factory=dict)
    initial: ModelSnapshot | None = None
    current: FederatedRound | None = None
    template: Mapping[str, Any] | None = None
    jobs: tuple[SeenJob, ...] = ()

    @property
    def latest(self) -> int | None:
        """Number of the latest snapshot; None before round 0 is done."""
        return latest_number(self.snapshots, self.initial)

    @property
    def latest_snapshot(self) -> ModelSnapshot | None:
        """The latest snapshot."""
        return self.snapshots[max(self.snapshots)] if self.snapshots else self.initial
