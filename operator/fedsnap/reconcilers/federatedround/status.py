"""Pure: the status of a round, from how far its steps came."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from fedsnap.api.federatedround import FINISHED, SUCCESSES, FederatedRoundStatus
from fedsnap.api.schema import Condition, NameReference
from fedsnap.jobs.results import AggregateResult
from fedsnap.reconcilers.conditions import MAX_MESSAGE
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.members import counts, member_statuses
from fedsnap.reconcilers.federatedround.observed import AGGREGATE, Observed
from fedsnap.reconcilers.federatedround.outcomes import Ended, Held, Passed


def status_of(observed: Observed, passed: list[Passed], stop: Held | Ended, now: datetime) -> dict[str, Any]:
    """The whole status on the wire."""
    done = {step.condition: step for step in passed if step.condition}
    ended = isinstance(stop, Ended)
    members = member_statuses(observed, aggregated=say.AGGREGATED in done, closed=ended)
    tally = counts(observed, members)
    status = FederatedRoundStatus(
        stage="Finished" if isinstance(stop, Ended) else stop.stage,
        attempt=observed.attempt,
        members=f"{tally.trained}/{tally.invited}" if members else "",
        base_snapshot=observed.base.metadata.name if observed.base else None,
        snapshot_ref=NameReference(name=observed.snapshot.metadata.name) if observed.snapshot else None,
        aggregate_digest=_aggregate_digest(observed),
        counts=tally,
        participants=members,
        conditions=_conditions(say.conditions(masked=observed.is_masked), done, stop),
        **_times(observed, done, ended=ended, now=now),
    )
    return status.to_wire()


def _conditions(order: tuple[str, ...], done: dict[str, Passed], stop: Held | Ended) -> list[Condition]:
    stop = replace(stop, message=stop.message[:MAX_MESSAGE])
    made = [
        Condition(type=name, status="True", reason=say.REACHED[name], message=done[name].message)
        for name in order
        if name in done
    ]
    if isinstance(stop, Held):
        return [*made, Condition(type=stop.condition, status="False", reason=stop.reason, message=stop.message)]
    if stop.reason not in SUCCESSES:
        failed = next(name for name in order if name not in done)
        if failed != FINISHED:
            made.append(Condition(type=failed, status="False", reason=stop.reason, message=stop.message))
    return [*made, Condition(type=FINISHED, status="True", reason=stop.reason, message=stop.message)]


def _times(observed: Observed, done: dict[str, Passed], *, ended: bool, now: datetime) -> dict[str, datetime]:
    """When this attempt came how far; a time that was written once stays."""
    before = observed.round.status
    reached = {
        "started_at": True,
        "accepted_at": say.ACCEPTED in done,
        "trained_at": say.TRAINED in done,
        "shared_at": say.SHARED in done,
        "masked_at": say.MASKED in done,
        "unmasked_at": say.UNMASKED in done,
        "finished_at": ended,
    }
    same = before.attempt == observed.attempt
    return {name: (same and getattr(before, name)) or now for name, is_so in reached.items() if is_so}


def _aggregate_digest(observed: Observed) -> str | None:
    """Digest of the weighted sums, where they are one object; the transcript names all shards."""
    reports = [report for job in observed.jobs_of(AGGREGATE) if job.result.succeeded for report in job.reports]
    found = [report for report in reports if isinstance(report, AggregateResult)]
    return found[0].digest if len(found) == 1 and found[0].shards == 1 else None
