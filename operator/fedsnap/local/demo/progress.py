"""Pure: how far the demo's training came, read from the objects' conditions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fedsnap.api.federatedround import COMPLETED, FINISHED, SUCCESSES, FederatedRound, MemberStatus
from fedsnap.api.schema import RECONCILING, STALLED, Condition, find_condition
from fedsnap.api.sharedmodel import SharedModel

NOT_ASKED = "-"
# Reasons of a model's Ready that do not go away by waiting.
_DEAD_ENDS = ("RoundFailed", "InitializationFailed", "InitialSnapshotNotFound", "TemplateInvalid")


@dataclass(frozen=True, slots=True)
class Progress:
    """The model and its rounds as they are now."""

    model: SharedModel
    rounds: Sequence[FederatedRound]

    @property
    def ready(self) -> Condition | None:
        """The model's Ready condition."""
        return find_condition(self.model.status.conditions, "Ready")

    @property
    def verdict(self) -> Literal["Trained", "Failed"] | None:
        """What training came to; None while it goes on."""
        ready = self.ready
        if ready and ready.status == "True":
            return "Trained"
        if (ready and ready.reason in _DEAD_ENDS) or _stalled(self.model.status.conditions):
            return "Failed"
        return "Failed" if any(is_failed(one) for one in self.rounds) else None


def is_failed(one: FederatedRound) -> bool:
    """Whether a round ended without a snapshot, or stands still until somebody changes it."""
    finished = find_condition(one.status.conditions, FINISHED)
    ended_badly = finished is not None and finished.status == "True" and finished.reason not in SUCCESSES
    return ended_badly or _stalled(one.status.conditions)


def reasons(progress: Progress) -> list[str]:
    """Why training failed or waits: every condition that is not as it should be, with the members' own words."""
    found = _unmet(f"SharedModel {progress.model.metadata.name}", progress.model.status.conditions)
    for one in progress.rounds:
        finished = find_condition(one.status.conditions, FINISHED)
        if finished and finished.reason in SUCCESSES:
            continue
        found += _unmet(f"FederatedRound {one.metadata.name}", one.status.conditions)
        found += [
            f"  {member.organization}: {member.state}, {member.reason}: {member.message}"
            for member in one.status.participants
            if member.reason
        ]
    return found


def _stalled(conditions: list[Condition]) -> bool:
    stalled = find_condition(conditions, STALLED)
    return stalled is not None and stalled.status == "True"


def _unmet(name: str, conditions: list[Condition]) -> list[str]:
    # A stage that ended the round says the same as Finished.
    bad = {one.message: one for one in conditions if _is_bad(one)}.values()
    return [f"{name}: {one.type}={one.status}, {one.reason}: {one.message}" for one in bad]


def _is_bad(condition: Condition) -> bool:
    if condition.type in (STALLED, RECONCILING):
        return condition.status == "True"
    if condition.type == FINISHED:
        return condition.reason not in SUCCESSES
    return condition.status != "True"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the view."""

    name: str
    stage: str
    members: tuple[tuple[str, str], ...]
    seconds: float | None
    note: str = ""


def rows(progress: Progress, now: datetime) -> list[Row]:
    """Round 0, which makes the first weights, and every round since, oldest first."""
    ordered = sorted(progress.rounds, key=lambda one: one.spec.number)
    return [_first_weights(progress), *(_row(one, now) for one in ordered)]


def _first_weights(progress: Progress) -> Row:
    if progress.model.status.latest_snapshot:
        return Row("0 (first weights)", "Published", (), None)
    ready = progress.ready
    return Row("0 (first weights)", ready.reason if ready else "Pending", (), None, ready.message if ready else "")


def _row(one: FederatedRound, now: datetime) -> Row:
    status = one.status
    finished = find_condition(status.conditions, FINISHED)
    ended = status.finished_at if finished else None
    seconds = ((ended or now) - status.started_at).total_seconds() if status.started_at else None
    by_name = {member.organization: member for member in status.participants}
    members = tuple((name, _member(by_name.get(name))) for name in one.spec.participants.organizations)
    stage = finished.reason if finished else status.stage or "Pending"
    return Row(str(one.spec.number), stage, members, max(0.0, seconds) if seconds is not None else None, _note(one))


def _member(member: MemberStatus | None) -> str:
    if member is None:
        return NOT_ASKED
    again = f" (attempt {member.attempt})" if member.attempt > 1 else ""
    why = f": {member.reason}" if member.reason and member.state in ("Refused", "Failed", "Late", "Missing") else ""
    return f"{member.state}{again}{why}"


def _note(one: FederatedRound) -> str:
    """What the round waits for, or why it ended as it did; nothing where all is well."""
    finished = find_condition(one.status.conditions, FINISHED)
    if finished:
        return "" if finished.reason == COMPLETED else finished.message
    waiting = [condition.message for condition in one.status.conditions if _is_bad(condition)]
    return waiting[-1] if waiting else ""
