"""Pure: what a round does next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fedsnap.api.federatedround import COMPLETED, DEGRADED, FINISHED, SUCCESSES, FederatedRound
from fedsnap.api.participation import MaskingStage, Participation, Stage
from fedsnap.api.schema import find_condition, parse_duration
from fedsnap.clients.cluster import JOB, of_kind
from fedsnap.reconcilers.actions import Action, ApplyObject, CreateObject, DeleteObject, PatchObject
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.actions import StartHubJob, WriteControl, WritePlan
from fedsnap.reconcilers.federatedround.exclusions import refusals
from fedsnap.reconcilers.federatedround.observed import AGGREGATE, PUBLISH, Observed
from fedsnap.reconcilers.federatedround.outcomes import Do, Ended, Held, Passed
from fedsnap.reconcilers.federatedround.plan import make_roster, participation
from fedsnap.reconcilers.federatedround.status import status_of
from fedsnap.reconcilers.federatedround.steps import STEPS
from fedsnap.reconcilers.loop import Plan
from fedsnap.reconcilers.snapshotrecords import published_by, snapshot_record

FINALIZER = "fedsnap.dev/participations"
LOOK_AGAIN = timedelta(seconds=30)
_AT_ONCE = timedelta(0)
_SILENT = (Do.WRITE_PLAN, Do.WRITE_ROSTER, Do.WRITE_SHARE_ROSTER, Do.WRITE_SURVIVORS, Do.RECORD_SNAPSHOT)
_CLOSED = ("Closed", "Aborted")
_ROUND, _PARTICIPATION = of_kind(FederatedRound), of_kind(Participation)
Actions = tuple[Action, ...]


def decide(observed: Observed, now: datetime) -> Plan:
    """The next actions of a round and its status."""
    one = observed.round
    if one.being_deleted:
        return Plan(actions=(*_delete_participations(observed), *_without_finalizer(one)))
    if _is_over(observed):
        return Plan(actions=_close(observed, "Closed"))
    if one.spec.abort:
        over = Ended(say.ABORTED, "spec.abort is true")
        return _plan(observed, [], over, _close(observed, "Aborted"), now)
    passed, stop = _walk(observed, now)
    if one.spec.suspend:
        held = _suspended(passed, stop, masked=observed.is_masked)
        return _plan(observed, passed, held, _suspension(observed, wanted=True), now)
    return _plan(observed, passed, stop, (*_suspension(observed, wanted=False), *_actions(observed, stop, now)), now)


def _is_over(observed: Observed) -> bool:
    """A success stays; a failure stays until spec.retry starts a new attempt."""
    status = observed.round.status
    finished = find_condition(status.conditions, FINISHED)
    if finished is None or finished.status != "True":
        return False
    return finished.reason in SUCCESSES or status.attempt == observed.attempt


def _walk(observed: Observed, now: datetime) -> tuple[list[Passed], Held | Ended]:
    """Step by step, to the first that holds or ends the round; a round that passed all is a success."""
    passed: list[Passed] = []
    for step in STEPS:
        outcome = step(observed, now)
        if not isinstance(outcome, Passed):
            return passed, outcome
        passed.append(outcome)
    return passed, _success(observed)


def _success(observed: Observed) -> Ended:
    counted = observed.counted()
    invited = observed.plan.plan.organizations if observed.plan else ()
    why = refusals(observed)
    missing = {name: why.get(name, "no valid update before the deadline") for name in invited if name not in counted}
    return Ended(DEGRADED if missing else COMPLETED, say.verdict(len(counted), len(invited), missing))


def _plan(observed: Observed, passed: list[Passed], stop: Held | Ended, actions: Actions, now: datetime) -> Plan:
    status = status_of(observed, passed, stop, now)
    return Plan(actions=(*_with_finalizer(observed.round), *actions), status=status, requeue_after=_look_again(stop))


def _look_again(stop: Held | Ended) -> timedelta | None:
    if isinstance(stop, Ended):
        return None
    if stop.todo in _SILENT:
        return _AT_ONCE  # no event of these wakes the round
    return min(stop.look_again, LOOK_AGAIN) if stop.look_again else LOOK_AGAIN


def _suspended(passed: list[Passed], stop: Held | Ended, *, masked: bool) -> Held:
    """While suspended nothing is judged: deadlines that pass are noticed when it goes on."""
    done = {step.condition for step in passed}
    condition = next(name for name in say.conditions(masked=masked) if name not in done)
    stage = stop.stage if isinstance(stop, Held) else "Suspended"
    return Held(stage, condition, say.SUSPENDED, "spec.suspend is true: nothing new is started")


def _actions(observed: Observed, stop: Held | Ended, now: datetime) -> Actions:
    if isinstance(stop, Ended):
        return _close(observed, "Closed")
    late = _close_late(observed)
    return (*late, *_EFFECTS[stop.todo](observed, stop, now)) if stop.todo else late


def _write_plan(observed: Observed, _held: Held, now: datetime) -> Actions:
    return (WritePlan(observed, now),)


def _invite(observed: Observed, _held: Held, _now: datetime) -> Actions:
    invited = observed.plan.plan.organizations if observed.plan else ()
    missing = [name for name in invited if name not in observed.participations]
    return tuple(ApplyObject(participation(observed, name, "Invited", suspend=False)) for name in missing)


def _start_training(observed: Observed, _held: Held, _now: datetime) -> Actions:
    waiting = {name: one for name, one in observed.participations.items() if one.spec.stage == "Invited"}
    return tuple(
        _set_stage(observed, name, "Training" if one.status.decision == "Accepted" else "Closed")
        for name, one in waiting.items()
    )


def _write_roster(observed: Observed, _held: Held, _now: datetime) -> Actions:
    return (WriteControl(observed, observed.paths.roster, make_roster(observed)),)


def _start_masking_stage(stage: MaskingStage) -> Callable[[Observed, Held, datetime], Actions]:
    def start(observed: Observed, _held: Held, now: datetime) -> Actions:
        members = observed.masking.members if observed.masking else ()
        allowance = parse_duration(observed.round.spec.deadlines.mask)
        due = now + allowance if stage != "Unmasking" else None
        return tuple(
            _set_stage(observed, name, stage, due)
            for name in members
            if name in observed.participations and observed.participations[name].spec.stage != stage
        )

    return start


def _write_share_roster(observed: Observed, _held: Held, _now: datetime) -> Actions:
    seen = observed.masking
    return (WriteControl(observed, observed.paths.share_roster, seen.make_share_roster()),) if seen else ()


def _write_survivors(observed: Observed, _held: Held, _now: datetime) -> Actions:
    seen = observed.masking
    if seen is None or seen.share_roster is None:
        return ()
    return (WriteControl(observed, observed.paths.survivors, seen.make_survivors(seen.share_roster)),)


def _start_job(stage: str) -> Callable[[Observed, Held, datetime], Actions]:
    def start(observed: Observed, held: Held, _now: datetime) -> Actions:
        return (StartHubJob(observed, observed.plan, stage, held.attempt),) if observed.plan else ()

    return start


def _record_snapshot(observed: Observed, _held: Held, _now: datetime) -> Actions:
    result = published_by(observed.jobs_of(PUBLISH))
    if result is None or observed.model is None:
        return ()
    return (CreateObject(snapshot_record(observed.model, observed.round.spec.number, result)),)


_EFFECTS: dict[Do, Callable[[Observed, Held, datetime], Actions]] = {
    Do.WRITE_PLAN: _write_plan,
    Do.INVITE: _invite,
    Do.START_TRAINING: _start_training,
    Do.WRITE_ROSTER: _write_roster,
    Do.START_SHARING: _start_masking_stage("Sharing"),
    Do.WRITE_SHARE_ROSTER: _write_share_roster,
    Do.START_MASKING: _start_masking_stage("Masking"),
    Do.WRITE_SURVIVORS: _write_survivors,
    Do.START_UNMASKING: _start_masking_stage("Unmasking"),
    Do.START_AGGREGATION: _start_job(AGGREGATE),
    Do.START_PUBLICATION: _start_job(PUBLISH),
    Do.RECORD_SNAPSHOT: _record_snapshot,
}


def _set_stage(observed: Observed, organization: str, stage: Stage, stage_by: datetime | None = None) -> Action:
    suspend = observed.round.spec.suspend
    return ApplyObject(participation(observed, organization, stage, stage_by=stage_by, suspend=suspend))


def _close(observed: Observed, stage: Stage) -> Actions:
    """Tell members that it is over, and end the hub's own Jobs."""
    told: Actions = ()
    if observed.plan and observed.model:
        told = tuple(
            _set_stage(observed, name, stage)
            for name, one in observed.participations.items()
            if one.spec.stage not in _CLOSED
        )
    ended = (job for job in observed.jobs if job.active)
    return (*told, *(DeleteObject(JOB, observed.round.metadata.namespace, job.result.name) for job in ended))


def _close_late(observed: Observed) -> Actions:
    """After the roster is agreed, nobody else needs to do anything."""
    if observed.roster is None:
        return ()
    needed = observed.masking.members if observed.masking and not observed.jobs_of(AGGREGATE) else ()
    return tuple(
        _set_stage(observed, name, "Closed")
        for name, one in observed.participations.items()
        if one.spec.stage not in _CLOSED and name not in needed
    )


def _suspension(observed: Observed, *, wanted: bool) -> Actions:
    """Suspend or resume what runs: members by their Participations, own Jobs directly."""
    members = [
        ApplyObject(participation(observed, name, one.spec.stage, stage_by=one.spec.stage_by, suspend=wanted))
        for name, one in observed.participations.items()
        if observed.plan and observed.model and one.spec.suspend != wanted and one.spec.stage not in _CLOSED
    ]
    namespace, _ = observed.round.key
    jobs = [
        PatchObject(JOB, namespace, job.result.name, {"spec": {"suspend": wanted}})
        for job in observed.jobs
        if job.active and job.suspended != wanted
    ]
    return (*members, *jobs)


def _delete_participations(observed: Observed) -> Actions:
    """Of all attempts: they are in other namespaces, where no garbage collection finds them."""
    found = (*observed.participations.values(), *observed.earlier)
    return tuple(DeleteObject(_PARTICIPATION, *one.key) for one in found)


def _with_finalizer(one: FederatedRound) -> Actions:
    return () if FINALIZER in one.metadata.finalizers else _finalizers(one, [*one.metadata.finalizers, FINALIZER])


def _without_finalizer(one: FederatedRound) -> Actions:
    kept = [name for name in one.metadata.finalizers if name != FINALIZER]
    return _finalizers(one, kept) if len(kept) < len(one.metadata.finalizers) else ()


def _finalizers(one: FederatedRound, finalizers: list[str]) -> Actions:
    namespace, name = one.key
    # With the version that was read, so that a finalizer that somebody added since is not lost.
    metadata = {"finalizers": finalizers, "resourceVersion": one.metadata.resource_version}
    return (PatchObject(_ROUND, namespace, name, {"metadata": metadata}),)
