"""A model with its key, its rounds and its snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedsnap.api.federatedround import FINISHED, FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.schema import find_condition
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.clients.vault import KeyInfo
from fedsnap.reconcilers.jobstate import SeenJob


def latest_number(snapshots: Mapping[int, ModelSnapshot], initial: ModelSnapshot | None) -> int | None:
    """Number of the latest snapshot; an initial one counts as round 0. None where there is neither."""
    if snapshots:
        return max(snapshots)
    return 0 if initial else None


def is_finished(one: FederatedRound) -> bool:
    """Whether a round said its last word, good or bad."""
    finished = find_condition(one.status.conditions, FINISHED)
    return finished is not None and finished.status == "True"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that the decision about a model needs.

    Attributes:
        owner: the ownerReference of what the model makes.
        key: versions of its key; None where Vault has no such key for us, as `key_problem` says.
        snapshots: by number of their round, of this model alone.
        current: the round of the latest snapshot until it is finished, then the one after it; None before that is made.
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
    def number(self) -> int:
        """Of the round that is going on or comes next."""
        return self.current.spec.number if self.current else (self.latest or 0) + 1

    @property
    def latest_snapshot(self) -> ModelSnapshot | None:
        """The latest snapshot."""
        return self.snapshots[max(self.snapshots)] if self.snapshots else self.initial
