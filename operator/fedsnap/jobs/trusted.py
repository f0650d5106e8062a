"""Plan, roster and commits: read from the store and believed only after signature, digest and contents were checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fedsnap.api.organization import IdentityKey
from fedsnap.clients.store import Store
from fedsnap.formats.cobblestone import ciphertext_size
from fedsnap.formats.control import Commit, Plan, Roster
from fedsnap.formats.dsse import pinned_keys
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import Signed, read_control
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.tasks import CohortTask, RoundTask
from fedsnap.secagg.encoding import COORDINATE_BYTES, FixedPoint

MAX_CONTROL_BYTES = 1024 * 1024


def valid_now(keys: Iterable[IdentityKey]) -> dict[str, bytes]:
    """The pinned keys that may sign now, by key id."""
    return pinned_keys(keys, datetime.now(UTC))


def read_plan(task: RoundTask, store: Store) -> Plan:
    """The plan that the task names by digest, signed by a pinned key of the hub.

    Raises:
        Refused: where it is another plan, or the plan of another round.
    """
    paths = RoundPaths(task.round_prefix)
    signed = read_control(Plan, store.get(paths.plan, MAX_CONTROL_BYTES), valid_now(task.hub_keys), paths.plan)
    if signed.digest != task.plan_digest:
        raise Refused(
            "PlanMismatch", f"expected plan {task.plan_digest} in {paths.plan}, it holds {signed.digest}; start anew"
        )
    plan = signed.value
    own = RoundPaths.of(plan.namespace, plan.model, plan.round, plan.attempt)
    if own != paths:
        raise Refused("PlanMismatch", f"the plan in {paths.plan} is for {own.prefix}; ask the hub for the right one")
    return plan


def read_earlier_plan(task: RoundTask, plan: Plan, store: Store) -> Plan:
    """The plan of the attempt whose updates `plan` uses again; it must encode updates alike.

    Raises:
        Refused: where it is not the one that is named, or encodes otherwise.
    """
    reused = plan.reuses
    if reused is None:
        raise Refused("PlanMismatch", "the plan does not name an earlier attempt whose updates are used again")
    paths = RoundPaths.of(plan.namespace, plan.model, plan.round, reused.attempt)
    earlier = read_plan(
        task.model_copy(update={"round_prefix": paths.prefix, "plan_digest": reused.plan_digest}), store
    )
    if codec_of(earlier) != codec_of(plan) or (earlier.base, earlier.coordinates) != (plan.base, plan.coordinates):
        raise Refused("PlanMismatch", f"{paths.plan} trains another base or encodes otherwise; train anew")
    return earlier


def expect_member(plan: Plan, organization: str) -> None:
    """Refuse to work on a round that this organization was not invited to."""
    if organization not in plan.organizations:
        raise Refused("NotInvited", f"the plan does not name organization {organization!r}; ask the hub")


def expect_mode(plan: Plan, commit: Commit) -> None:
    """Refuse a commit that brings other keys than the plan's mode needs."""
    masked = plan.secure_aggregation == "Masked"
    found = (commit.masking is not None, commit.masking_secret is not None, commit.aggregator_key is not None)
    if found != (masked, masked, not masked):
        raise Refused(
            "CommitInvalid", f"the commit of {commit.organization!r} has not the keys of {plan.secure_aggregation} mode"
        )


def codec_of(plan: Plan) -> FixedPoint:
    """The fixed-point encoding that the plan prescribes."""
    return FixedPoint(members=len(plan.organizations), clip_norm=plan.clip_norm, scale_exponent=plan.scale_exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Plan, roster and commits of a closed round, all checked against each other."""

    plan: Plan
    roster: Signed[Roster]
    commits: dict[str, Signed[Commit]]

    @property
    def coordinates(self) -> int:
        """Length of an update."""
        return self.plan.coordinates

    @property
    def weights(self) -> dict[str, int]:
        """Examples of each member."""
        return {name: commit.value.examples for name, commit in self.commits.items()}


def read_cohort(task: CohortTask, store: Store) -> Cohort:
    """Everything signed that an aggregation depends on.

    Raises:
        Refused: where roster and commits do not fit the plan or each other; the message names the member.
    """
    plan, paths = read_plan(task, store), RoundPaths(task.round_prefix)
    data = store.get(paths.roster, MAX_CONTROL_BYTES)
    roster = read_control(Roster, data, valid_now(task.hub_keys), paths.roster)
    if roster.value.plan_digest != task.plan_digest:
        raise Refused("RosterMismatch", f"the roster in {paths.roster} is for plan {roster.value.plan_digest}")
    commits = {
        one.organization: _read_commit(task, store, one.organization, one.commit_digest) for one in roster.value.members
    }
    if not commits:
        raise Refused("RosterEmpty", f"the roster in {paths.roster} has no members; there is nothing to aggregate")
    cohort = Cohort(plan=plan, roster=roster, commits=commits)
    for name, commit in commits.items():
        _check_commit(cohort, task, name, commit.value)
    return cohort


def _read_commit(task: CohortTask, store: Store, organization: str, digest: str) -> Signed[Commit]:
    pinned = task.organizations.get(organization)
    if pinned is None:
        raise Refused("IdentityUnknown", f"no identity keys of {organization!r} in the task; pin them in Organization")
    path = RoundPaths(task.round_prefix).commit(organization)
    signed = read_control(Commit, store.get(path, MAX_CONTROL_BYTES), valid_now(pinned), path)
    if signed.digest != digest:
        raise Refused(
            "CommitMismatch", f"the roster counts commit {digest} of {organization!r}, {path} holds {signed.digest}"
        )
    return signed


def _check_commit(cohort: Cohort, task: CohortTask, organization: str, commit: Commit) -> None:
    expected = {
        "organization": organization,
        "plan digest": task.plan_digest,
        "sealed path": RoundPaths(task.round_prefix).sealed(organization, commit.train_attempt),
        "coordinates": cohort.coordinates,
        "sealed size": ciphertext_size(COORDINATE_BYTES * cohort.coordinates),
    }
    found = {
        "organization": commit.organization,
        "plan digest": commit.plan_digest,
        "sealed path": commit.sealed.path,
        "coordinates": commit.coordinates,
        "sealed size": commit.sealed.size,
    }
    expect_mode(cohort.plan, commit)
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise Refused(
                "CommitInvalid", f"commit of {organization!r}: expected {name} {wanted!r}, it says {found[name]!r}"
            )
    if organization not in cohort.plan.organizations:
        raise Refused("CommitInvalid", f"the roster names {organization!r}, whom the plan did not invite")
