"""Pure: where each member of a round stands."""

from __future__ import annotations

from fedsnap.api.federatedround import Counts, MemberState, MemberStatus
from fedsnap.api.participation import Participation
from fedsnap.reconcilers.federatedround.observed import Observed
from fedsnap.reconcilers.federatedround.steps import exclusions


def member_statuses(observed: Observed, *, aggregated: bool, closed: bool) -> list[MemberStatus]:
    """One entry for each invited organization, in name order."""
    out = exclusions(observed)
    return [
        _member(observed, name, out.get(name, ("", "")), aggregated=aggregated, closed=closed)
        for name in sorted(observed.participations)
    ]


def _member(observed: Observed, name: str, why: tuple[str, str], *, aggregated: bool, closed: bool) -> MemberStatus:
    one = observed.participations[name]
    attempts = one.status.attempts
    reason, message = why
    if not reason:
        reason, message = one.status.reason, one.status.message
    return MemberStatus(
        organization=name,
        state=_state(observed, name, one, aggregated=aggregated, closed=closed),
        reason=reason,
        message=message,
        attempt=attempts[-1].number if attempts else 0,
        examples=one.status.result.examples if one.status.result else None,
        last_heartbeat_time=one.status.last_heartbeat_time,
    )


def _state(observed: Observed, name: str, one: Participation, *, aggregated: bool, closed: bool) -> MemberState:
    if observed.roster and any(member.organization == name for member in observed.roster.members):
        return "Aggregated" if aggregated else "Committed"
    replied = _replied(observed, name, one)
    if replied:
        return replied
    if closed or observed.roster:
        return "Missing"
    if one.spec.stage == "Training":
        return "Training"
    return "Accepted" if one.status.decision == "Accepted" else "Invited"


def _replied(observed: Observed, name: str, one: Participation) -> MemberState | None:
    """Where a member stands that said its last word; None while it has not."""
    status, commit = one.status, observed.commits.get(name)
    if status.decision == "Refused":
        return "Refused"
    if status.outcome == "Failed" or (commit and commit.refusal):
        return "Failed"
    if status.outcome == "Succeeded":
        return "Late" if observed.roster else "Committed"
    return None


def counts(members: list[MemberStatus]) -> Counts:
    """How many members reached which stage."""
    states = [member.state for member in members]
    return Counts(
        invited=len(states),
        accepted=sum(state not in ("Invited", "Refused", "Missing") for state in states),
        trained=sum(state in ("Committed", "Aggregated") for state in states),
        aggregated=states.count("Aggregated"),
    )
