"""Pure: which members are out, and why."""

from __future__ import annotations

from fedsnap.api.schema import RECONCILING, STALLED, find_condition
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.observed import Observed

# What a member's entry in status and roster holds.
MAX_WHY = 1024


def refusals(observed: Observed) -> dict[str, str]:
    """Why each member that is out is out, by organization."""
    return {name: f"{reason}: {message}" for name, (reason, message) in exclusions(observed).items()}


def exclusions(observed: Observed) -> dict[str, tuple[str, str]]:
    """Reason and message of each member that is out; the roster, once agreed, has the last word."""
    found = {name: out for name in observed.participations if (out := _exclusion(observed, name))}
    why = {name: (reason, say.one_line(message)) for name, (reason, message) in found.items()}
    if observed.roster:
        counted = observed.counted()
        why = {name: out for name, out in why.items() if name not in counted or _dropped(observed, name)}
        why |= {out.organization: (out.reason, out.message) for out in observed.roster.excluded}
    return why


def _exclusion(observed: Observed, name: str) -> tuple[str, str] | None:
    one, commit = observed.participations[name], observed.commits.get(name)
    status = one.status
    dropped = _dropped(observed, name)
    if dropped:
        return dropped
    if commit and commit.refusal:
        return commit.refusal[0], commit.refusal[1][:MAX_WHY]
    if status.decision == "Refused" or status.outcome == "Failed":
        return status.reason, status.message
    # It has not replied, but perhaps said what keeps it from replying.
    troubles = (find_condition(status.conditions, kind) for kind in (STALLED, RECONCILING))
    trouble = next((one for one in troubles if one), None)
    return (trouble.reason, trouble.message[:MAX_WHY]) if trouble else None


def _dropped(observed: Observed, name: str) -> tuple[str, str] | None:
    """Masked: why a member of the roster fell out after training."""
    seen = observed.masking
    if seen is None or name not in seen.roster:
        return None
    reply = seen.replies.get(name)
    if reply and reply.refusal:
        return reply.refusal[0], reply.refusal[1][:MAX_WHY]
    status = observed.participations[name].status
    failed = next((one for one in status.stages if one.outcome == "Failed"), None)
    if failed:
        return failed.reason, f"{failed.stage}: {failed.message}"[:MAX_WHY]
    is_out = seen.survivors is not None and name not in observed.counted()
    return (say.DEADLINE_EXCEEDED, "no masked update before the deadline") if is_out else None
