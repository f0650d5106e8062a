"""Pure: what a model needs next: its first weights, or its next round."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedsnap.api.federatedround import FINISHED, SUCCESSES, FederatedRound, FederatedRoundSpec
from fedsnap.api.schema import Condition, NameReference, find_condition
from fedsnap.api.sharedmodel import SharedModelStatus
from fedsnap.builders import objects
from fedsnap.builders.jobs import TRAIN_CONTAINER
from fedsnap.policies.retry import next_attempt
from fedsnap.reconcilers.actions import Action, CreateObject
from fedsnap.reconcilers.loop import Plan
from fedsnap.reconcilers.sharedmodel.actions import StartInitialization
from fedsnap.reconcilers.sharedmodel.observed import Observed
from fedsnap.reconcilers.snapshotrecords import published_by, snapshot_record

READY, KEY_READY = "Ready", "KeyReady"
LOOK_AGAIN = timedelta(seconds=10)
RETRIES = 6


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the model is ready, why, and what is done about it."""

    ready: bool
    reason: str
    message: str
    actions: tuple[Action, ...] = ()


def decide(observed: Observed, now: datetime) -> Plan:
    """The next action for a model and its status."""
    if observed.model.being_deleted:
        return Plan()
    standing = _standing(observed, now)
    return Plan(
        actions=standing.actions,
        status=_status(observed, standing),
        requeue_after=None if standing.ready else LOOK_AGAIN,
    )


def _standing(observed: Observed, now: datetime) -> Standing:
    if observed.key is None:
        return Standing(False, "KeyNotReady", observed.key_problem)  # reads as a table
    problem = _layout_problem(observed)
    if problem:
        return _not_ready("LayoutMismatch", problem)
    latest = observed.latest
    wanted = observed.model.spec.training.rounds
    if latest is not None and latest >= wanted and observed.number > latest:
        return Standing(True, "Trained", f"{latest} of {wanted} rounds are finished")
    if observed.model.spec.suspend:
        return _not_ready("Suspended", "spec.suspend is true: no new round is created")
    return _first_weights(observed, now) if latest is None else _next_round(observed, observed.number)


def _layout_problem(observed: Observed) -> str:
    """Why the snapshot that the model starts from cannot be trained by it; empty where it can."""
    wanted, initial = observed.model.spec.architecture.digest, observed.initial
    if initial is None or wanted in (None, initial.spec.layout_digest):
        return ""
    return (
        f"spec.architecture.digest is {wanted}, ModelSnapshot {initial.metadata.name} has layout "
        f"{initial.spec.layout_digest}; correct one of them"
    )


def _not_ready(reason: str, message: str, *actions: Action) -> Standing:
    return Standing(ready=False, reason=reason, message=message, actions=actions)


def _first_weights(observed: Observed, now: datetime) -> Standing:
    """Round 0: an existing snapshot, or weights that the trainer makes from the recorded seed."""
    spec = observed.model.spec
    if spec.initialization is None:
        name = spec.initial_snapshot.name if spec.initial_snapshot else ""
        return _not_ready("InitialSnapshotNotFound", f"spec.initialSnapshot names {name!r}, which does not exist")
    result = published_by(observed.jobs)
    if result:
        record = CreateObject(snapshot_record(observed.model, 0, result))
        return _not_ready("Initializing", "the first weights are published", record)
    attempt = next_attempt([job.result for job in observed.jobs], RETRIES)
    if attempt is None or attempt.pause(now):
        return _initializing(observed, again=attempt is not None)
    problem = _template_problem(observed)
    if problem:
        return _not_ready("TemplateInvalid", problem)
    start = StartInitialization(observed, attempt.number)
    return _not_ready("Initializing", f"Job {start.name} makes the first weights", start)


def _initializing(observed: Observed, *, again: bool) -> Standing:
    last = observed.jobs[-1]
    if last.result.finished:
        why = f"Job {last.result.name}: {last.result.reason}: {last.result.message}"
        if again:
            return _not_ready("Initializing", f"{why}; it is tried again soon")
        return _not_ready("InitializationFailed", f"{why}; delete the Job to try again")
    detail = f": {last.waiting}" if last.waiting else " makes the first weights"
    return _not_ready("Initializing", f"Job {last.result.name}{detail}")


def _template_problem(observed: Observed) -> str:
    """What is wrong with the PodTemplate that initializes; empty where nothing is."""
    spec = observed.model.spec
    name = spec.initialization.template if spec.initialization else ""
    if observed.template is None:
        return f"spec.initialization.template names PodTemplate {name!r}, which does not exist; create it"
    containers = (observed.template.get("spec") or {}).get("containers") or ()
    images = [one.get("image") for one in containers if one["name"] == TRAIN_CONTAINER]
    if len(containers) != 1 or not images:
        return f"PodTemplate {name!r} needs exactly one container, named {TRAIN_CONTAINER!r}"
    if images[0] != spec.architecture.image:
        return f"PodTemplate {name!r} has image {images[0]!r}, spec.architecture.image is {spec.architecture.image!r}"
    return ""


def _next_round(observed: Observed, number: int) -> Standing:
    current = observed.current
    wanted = observed.model.spec.training.rounds
    if current is None:
        create = CreateObject(_round(observed, number))
        return _not_ready("Training", f"round {number} of {wanted} begins", create)
    name = current.metadata.name
    failure = _failure(current)
    if failure:
        retry = (
            f'kubectl patch federatedround {name} --type merge -p \'{{"spec":{{"retry":{current.spec.retry + 1}}}}}\''
        )
        return _not_ready("RoundFailed", f"round {number}: {failure}. To run it again: {retry}")
    return _not_ready("Training", f"round {number} of {wanted}: {current.status.stage or 'Pending'}")


def _failure(current: FederatedRound) -> str:
    finished = find_condition(current.status.conditions, FINISHED)
    if finished is None or finished.status != "True" or finished.reason in SUCCESSES:
        return ""
    # A round whose retry was raised is about to begin again.
    again = current.status.attempt < current.spec.retry + 1
    return "" if again else f"{finished.reason}: {finished.message}"


def _round(observed: Observed, number: int) -> dict[str, Any]:
    model = observed.model
    template = model.spec.training.round_template
    spec = FederatedRoundSpec(
        **{name: getattr(template, name) for name in type(template).model_fields},
        model_ref=NameReference(name=model.metadata.name),
        number=number,
    )
    return objects.federated_round(model.metadata.namespace, spec, observed.owner)


def _status(observed: Observed, standing: Standing) -> dict[str, Any]:
    latest, snapshot = observed.latest, observed.latest_snapshot
    current = observed.current
    status = SharedModelStatus(
        latest_snapshot=snapshot.metadata.name if snapshot else None,
        current_round=current.metadata.name if current and not standing.ready else None,
        rounds_finished=latest or 0,
        key_version=observed.key.latest_version if observed.key else None,
        architecture_digest=snapshot.spec.layout_digest if snapshot else None,
        conditions=[_condition(READY, standing.ready, standing.reason, standing.message), _key_condition(observed)],
    )
    return status.to_wire()


def _key_condition(observed: Observed) -> Condition:
    if observed.key is None:
        return _condition(KEY_READY, False, "KeyNotReady", observed.key_problem)
    vault = observed.model.spec.keys.vault
    message = f"version {observed.key.latest_version} of {vault.mount}/{vault.key}"
    return _condition(KEY_READY, True, "KeyFound", message)


def _condition(kind: str, status: bool, reason: str, message: str) -> Condition:
    return Condition(type=kind, status="True" if status else "False", reason=reason, message=message[:2048])
