"""Everything that the decision about a round needs, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import IdentityKey, Organization
from fedsnap.api.participation import Participation
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.formats.control import MaskingKeys, Plan, Roster
from fedsnap.formats.paths import RoundPaths
from fedsnap.policies.quorum import Judgement, Standing, judge
from fedsnap.reconcilers.federatedround.masking import Masking
from fedsnap.reconcilers.jobstate import SeenJob

# Stages of the hub's own Jobs.
AGGREGATE, PUBLISH = "aggregate", "publish"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """The plan of this attempt, as it lies signed in the store."""

    plan: Plan
    digest: str
    path: str


@dataclass(frozen=True, slots=True)
class CheckedCommit:
    """A member's commit after its signature and contents were checked; `refusal` is (reason, message)."""

    digest: str = ""
    examples: int = 0
    keys: MaskingKeys | None = None
    refusal: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One round and all that belongs to its current attempt.

    Attributes:
        owner: the ownerReference of what the round makes in its own namespace.
        hub_keys: public keys of the hub's own identity.
        earlier: Participations of earlier attempts.
        previous: plan of the attempt before, looked for while this one has none.
        masking: of a masked round whose roster is agreed; None otherwise.
    """

    round: FederatedRound
    owner: Mapping[str, Any] = field(default_factory=dict)
    hub_keys: tuple[IdentityKey, ...] = ()
    model: SharedModel | None = None
    base: ModelSnapshot | None = None
    organizations: dict[str, Organization] = field(default_factory=dict)
    participations: dict[str, Participation] = field(default_factory=dict)
    earlier: tuple[Participation, ...] = ()
    plan: StoredPlan | None = None
    previous: StoredPlan | None = None
    commits: dict[str, CheckedCommit] = field(default_factory=dict)
    roster: Roster | None = None
    masking: Masking | None = None
    jobs: tuple[SeenJob, ...] = ()
    snapshot: ModelSnapshot | None = None

    @property
    def attempt(self) -> int:
        """Number of the round's attempt: each retry is a new one, with a plan of its own."""
        return self.round.spec.retry + 1

    @property
    def paths(self) -> RoundPaths:
        """Where this attempt's objects lie in the store."""
        namespace, _ = self.round.key
        spec = self.round.spec
        return RoundPaths.of(namespace, spec.model_ref.name, spec.number, self.attempt)

    @property
    def is_masked(self) -> bool:
        """Whether this round hides single updates from the hub."""
        return self.round.spec.privacy.secure_aggregation == "Masked"

    def counted(self) -> set[str]:
        """Whose updates count, as far as it is agreed: survivors where there are some, else the roster."""
        if self.masking and self.masking.survivors:
            return {one.organization for one in self.masking.survivors.value.members}
        return {one.organization for one in self.roster.members} if self.roster else set()

    def jobs_of(self, stage: str) -> tuple[SeenJob, ...]:
        """The hub's Jobs of one stage of this attempt, in order."""
        return tuple(job for job in self.jobs if job.stage == stage)


def judge_acceptance(participations: dict[str, Participation], plan: Plan, now: datetime) -> Judgement:
    """Whether enough members accepted, by their own policies and pre-flight checks."""
    standings = {name: _acceptance(participations.get(name)) for name in plan.organizations}
    return judge(standings, plan.quorum, deadline_passed=now >= plan.accept_by)


def _acceptance(participation: Participation | None) -> Standing:
    decision = participation.status.decision if participation else None
    if decision is None:
        return Standing.PENDING
    return Standing.VALID if decision == "Accepted" else Standing.EXCLUDED


def in_training(participations: dict[str, Participation]) -> dict[str, Participation]:
    """Members that were asked to train."""
    return {name: one for name, one in participations.items() if one.spec.stage == "Training"}


def judge_training(
    participations: dict[str, Participation], commits: dict[str, CheckedCommit], plan: Plan, now: datetime
) -> Judgement:
    """Whether enough valid updates were committed; a commit that was refused counts as a reply, not as an update."""
    standings = {name: _training(one, commits.get(name)) for name, one in in_training(participations).items()}
    return judge(standings, plan.quorum, deadline_passed=now >= plan.train_by)


def _training(participation: Participation, commit: CheckedCommit | None) -> Standing:
    outcome = participation.status.outcome
    if outcome is None:
        return Standing.PENDING
    if outcome == "Failed" or (commit is not None and commit.refusal):
        return Standing.EXCLUDED
    return Standing.VALID
