"""The shape of every reconcile: gather, decide, apply in order, write the status once, then tell people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from fedsnap.api.schema import RECONCILING, STALLED
from fedsnap.clients.cluster import ClusterClient, ResourceType
from fedsnap.clients.errors import ClientError
from fedsnap.reconcilers.actions import Action
from fedsnap.reconcilers.conditions import Transition, merged_status, transitions, with_failure
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.failures import FAILURES, Failure, failure_of

log = logging.getLogger(__name__)

O = TypeVar("O")  # noqa: E741 - stands for Observed


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which object to look at; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a decision came to.

    Attributes:
        actions: applied in order; the first that fails ends the reconcile.
        status: the whole status on the wire, its conditions without lastTransitionTime; None leaves it alone.
        requeue_after: when to look again without an event; None: at the next resync.
    """

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    requeue_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """How an event of a child object leads to the object that it is of concern to: by labels.

    Where `namespace_label` is None, the owner is in the child's namespace (a participant's Participation: its mailbox),
    or in none, where its kind is `cluster_scoped`. Where `stage` is given, only Jobs of that stage are of concern.
    """

    resource: ResourceType
    owner_kind: str
    name_label: str
    namespace_label: str | None
    roles: frozenset[str]
    cluster_scoped: bool = False
    stage: str | None = None


class Reconciler(Protocol[O]):
    """How one kind is reconciled."""

    @property
    def kind(self) -> str:
        """The kind's name."""

    @property
    def resource(self) -> ResourceType:
        """The kind's place in the API."""

    @property
    def in_hub(self) -> bool:
        """Whether the object lies in the hub rather than in the own cluster."""

    async def gather(self, raw: dict[str, Any], now: datetime) -> O | None:
        """Read everything that the decision needs, once; None: there is nothing to decide."""

    def decide(self, observed: O, now: datetime) -> Plan:
        """Pure: what to do, what to say, and when to look again."""

    async def leftovers(self, key: Key) -> tuple[Action, ...]:
        """What to clean up of an object that is gone; nothing where garbage collection does it."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile ended: `done`, `gone`, or the kind of the failure.

    Attributes:
        result: `done`, `gone`, `waiting`, `transient` or `terminal`.
        requeue_after: when to look again without an event.
        failure: what failed.
        raw: the object as it was read.
        changed: conditions that changed.
        status: what the object's status became, where it was written.
    """

    result: str
    requeue_after: timedelta | None = None
    failure: Failure | None = None
    raw: Mapping[str, Any] | None = None
    changed: tuple[Transition, ...] = ()
    status: Mapping[str, Any] | None = None


AfterAction = Callable[[Action], None]


async def reconcile(
    reconciler: Reconciler[Any],
    key: Key,
    context: Context,
    now: datetime,
    after_action: AfterAction | None = None,
) -> Result:
    """Bring one object one step further. `after_action` lets tests end the process between any two steps.

    Failures are reported in the object's conditions and in the result; only defects of the program are raised.
    """
    client = context.client(hub=reconciler.in_hub)
    raw: dict[str, Any] | None = None
    changed: tuple[Transition, ...] = ()
    written: Mapping[str, Any] | None = None
    try:
        raw = await client.get(reconciler.resource, key.namespace or None, key.name)
        if raw is None:
            await _apply(await reconciler.leftovers(key), context, after_action)
            return Result("gone")
        plan = await _carry_out(reconciler, raw, context, now, after_action)
        if plan.status is not None or _has_failure(raw):
            status = plan.status if plan.status is not None else raw.get("status") or {}
            written = merged_status(raw, status, now)
            changed = await _summarize(reconciler, client, raw, written)
        return Result("done", plan.requeue_after, raw=raw, changed=changed, status=written)
    except FAILURES as error:
        failure = failure_of(error)
        if raw is not None and failure.reported:
            await _report(reconciler, client, raw, failure, now)
        return Result(failure.kind, failure.requeue_after, failure, raw)


async def _carry_out(
    reconciler: Reconciler[Any],
    raw: dict[str, Any],
    context: Context,
    now: datetime,
    after_action: AfterAction | None,
) -> Plan:
    observed = await reconciler.gather(raw, now)
    if observed is None:
        return Plan()
    plan = reconciler.decide(observed, now)
    await _apply(plan.actions, context, after_action)
    return plan


async def _apply(actions: tuple[Action, ...], context: Context, after_action: AfterAction | None) -> None:
    for action in actions:
        await action.apply(context)
        log.info("applied", extra={"action": action.describe()})
        if after_action:
            after_action(action)


async def _summarize(
    reconciler: Reconciler[Any], client: ClusterClient, raw: dict[str, Any], wanted: dict[str, Any]
) -> tuple[Transition, ...]:
    """One status write, and events for what it changed; nothing at all where nothing changed."""
    before = raw.get("status") or {}
    if wanted == before:
        return ()
    metadata = raw["metadata"]
    written = await client.apply_status(reconciler.resource, metadata.get("namespace"), metadata["name"], wanted)
    changed = transitions(before, wanted)
    await _tell(client, written, changed)
    return changed


async def _tell(client: ClusterClient, obj: dict[str, Any], changed: tuple[Transition, ...]) -> None:
    """Post an event for each; the status already says it all, so one that cannot be posted is dropped."""
    for one in changed:
        try:
            await client.create_event(obj, one.reason, one.message, warning=one.warning)
        except ClientError as error:
            log.warning("event not posted", extra={"reason": one.reason, "error": str(error)})


async def _report(
    reconciler: Reconciler[Any], client: ClusterClient, raw: dict[str, Any], failure: Failure, now: datetime
) -> None:
    """Say in the conditions what failed; where that fails too, the retry will say it."""
    status = with_failure(raw.get("status") or {}, failure.condition, failure.reason, failure.message)
    try:
        await _summarize(reconciler, client, raw, merged_status(raw, status, now, keep_failures=True))
    except FAILURES:
        return


def _has_failure(raw: Mapping[str, Any]) -> bool:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return any(one["type"] in (RECONCILING, STALLED) for one in conditions)
