"""Pure: where each member of a round stands."""

from __future__ import annotations

from fedsnap.api.federatedround import Counts, MemberState, MemberStatus
from fedsnap.api.participation import MaskingStage, Participation
from fedsnap.reconcilers.federatedround.exclusions import exclusions
from fedsnap.reconcilers.federatedround.observed import Observed

_REACHED: dict[MaskingStage, MemberState] = {"Sharing": "Shared", "Masking": "Masked", "Unmasking": "Unmasked"}
_COMMITTED = ("Committed", "Shared", "Masked", "Unmasked", "Aggregated")


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
        clipped=one.status.result.clipped if one.status.result else None,
        saturated=one.status.result.saturated if one.status.result else None,
        last_heartbeat_time=one.status.last_heartbeat_time,
    )


def _state(observed: Observed, name: str, one: Participation, *, aggregated: bool, closed: bool) -> MemberState:
    if name in observed.counted() and not _fell_out(observed, name):
        return "Aggregated" if aggregated else _masking_state(one)
    if observed.masking and name in observed.masking.roster:
        reply = observed.masking.replies.get(name)
        failed = any(report.outcome == "Failed" for report in one.status.stages)
        return "Failed" if failed or (reply and reply.refusal) else "Missing"
    replied = _replied(observed, name, one)
    if replied:
        return replied
    if closed or observed.roster:
        return "Missing"
    if one.spec.stage == "Training":
        return "Training"
    return "Accepted" if one.status.decision == "Accepted" else "Invited"


def _fell_out(observed: Observed, name: str) -> bool:
    """Masked: whether a member failed in a stage that is still open; a survivor counts whether it answers or not."""
    seen = observed.masking
    if seen is None or seen.survivors is not None:
        return False
    reply, status = seen.replies.get(name), observed.participations[name].status
    dropped = seen.share_roster is not None and name not in seen.share_roster.value.names
    return dropped or bool(reply and reply.refusal) or any(one.outcome == "Failed" for one in status.stages)


def _masking_state(one: Participation) -> MemberState:
    """How far a member came whose update counts."""
    done = [report.stage for report in one.status.stages if report.outcome == "Succeeded"]
    return _REACHED[done[-1]] if done else "Committed"


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


def counts(observed: Observed, members: list[MemberStatus]) -> Counts:
    """How many members reached which stage."""
    states = [member.state for member in members]
    decisions = [one.status.decision for one in observed.participations.values()]
    return Counts(
        invited=len(states),
        accepted=decisions.count("Accepted"),
        trained=sum(state in _COMMITTED for state in states),
        aggregated=states.count("Aggregated"),
    )
