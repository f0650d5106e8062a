"""The shape of every reconcile: gather, decide, apply in order, write the status once, then tell people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from fedsnap.clients.cluster import ClusterClient, ResourceType
from fedsnap.clients.errors import ClientError
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.reconcilers.conditions import Transition, merged_status, transitions, with_failure
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
class Context:
    """What reconcilers and actions reach the outside by, and who they act for.

    Attributes:
        cluster: the own cluster.
        hub: the hub's cluster; for the coordinator it is `cluster` itself.
        store: bucket name → its client; synchronous, so call it by `asyncio.to_thread`.
        store_settings: bucket name → settings to hand to Jobs; without secrets.
        vault: synchronous too; None where no address is configured.
        vault_settings: the same Vault for Jobs, with their role and without a token file.
        hub_vault: the Vault that holds the models' keys; the own one where there is no other.
        hub_vault_settings: the same for Jobs.
        namespace: the operator's own namespace; a participant's Jobs run there.
        hub_namespace: a participant's mailbox namespace in the hub.
        organization: a participant's name; empty for the coordinator.
        image: fedsnap's own image, for the containers of Jobs.
        hub_public_keys: key id → base64 raw Ed25519 public key that a participant trusts the hub by.
    """

    cluster: ClusterClient
    hub: ClusterClient
    store: Callable[[str], Store]
    store_settings: Callable[[str], StoreSettings]
    vault: VaultClient | None = None
    vault_settings: VaultSettings | None = None
    hub_vault: VaultClient | None = None
    hub_vault_settings: VaultSettings | None = None
    namespace: str = ""
    hub_namespace: str = ""
    organization: str = ""
    image: str = ""
    hub_public_keys: Mapping[str, str] = field(default_factory=dict)

    def client(self, *, hub: bool) -> ClusterClient:
        """The hub's cluster or the own one."""
        return self.hub if hub else self.cluster


class Action(Protocol):
    """One step towards what is wanted. Applying it twice is the same as applying it once."""

    def describe(self) -> str:
        """What is done, for logs: a verb and a name."""

    async def apply(self, context: Context) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply of one object."""

    obj: Mapping[str, Any]
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are applied."""
        metadata = self.obj["metadata"]
        return f"apply {self.obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}"

    async def apply(self, context: Context) -> None:
        """Create or change the object."""
        await context.client(hub=self.hub).apply(self.obj)


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Deletion of one object, with its children in the background."""

    resource: ResourceType
    namespace: str
    name: str
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are deleted."""
        return f"delete {self.resource.kind} {self.namespace}/{self.name}"

    async def apply(self, context: Context) -> None:
        """Delete the object; that there is none is fine."""
        await context.client(hub=self.hub).delete(self.resource, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class PatchObject:
    """A merge patch of some fields, such as a Job's `spec.suspend`."""

    resource: ResourceType
    namespace: str
    name: str
    patch: Mapping[str, Any]
    hub: bool = False

    def describe(self) -> str:
        """The kind and name that are patched."""
        return f"patch {self.resource.kind} {self.namespace}/{self.name}"

    async def apply(self, context: Context) -> None:
        """Patch the object."""
        await context.client(hub=self.hub).merge_patch(self.resource, self.namespace, self.name, self.patch)


@dataclass(frozen=True, slots=True)
class Event:
    """What people are told in `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a decision came to.

    Attributes:
        actions: applied in order; the first that fails ends the reconcile.
        status: the whole status on the wire, its conditions without lastTransitionTime; None leaves it alone.
        requeue_after: when to look again without an event; None: at the next resync.
        events: told in addition to changed conditions, and only where the status changed.
    """

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Child:
    """How an event of a child object leads to the object that made it: by labels.

    Where `namespace_label` is None, the owner is in the child's namespace (a participant's Participation: its mailbox).
    """

    resource: ResourceType
    owner_kind: str
    name_label: str
    namespace_label: str | None
    roles: frozenset[str]


class Reconciler(Protocol[O]):
    """How one kind is reconciled; `in_hub`: the object lies in the hub rather than in the own cluster."""

    kind: str
    resource: ResourceType
    in_hub: bool

    async def gather(self, raw: dict[str, Any], now: datetime) -> O | None:
        """Read everything that the decision needs, once; None: there is nothing to decide."""

    def decide(self, observed: O, now: datetime) -> Plan:
        """Pure: what to do, what to say, and when to look again."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile ended: `done`, `gone`, or the kind of the failure.

    Attributes:
        result: `done`, `gone`, `waiting`, `transient` or `terminal`.
        requeue_after: when to look again without an event.
        failure: what failed.
        raw: the object as it was read.
        changed: conditions that changed.
    """

    result: str
    requeue_after: timedelta | None = None
    failure: Failure | None = None
    raw: Mapping[str, Any] | None = None
    changed: tuple[Transition, ...] = ()


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
    try:
        raw = await client.get(reconciler.resource, key.namespace or None, key.name)
        if raw is None:
            return Result("gone")
        plan = await _carry_out(reconciler, raw, context, now, after_action)
        if plan.status is not None or _has_failure(raw):
            status = plan.status if plan.status is not None else raw.get("status") or {}
            changed = await _summarize(reconciler, client, raw, merged_status(raw, status, now), plan.events)
        return Result("done", plan.requeue_after, raw=raw, changed=changed)
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
    for action in plan.actions:
        await action.apply(context)
        if after_action:
            after_action(action)
    return plan


async def _summarize(
    reconciler: Reconciler[Any],
    client: ClusterClient,
    raw: dict[str, Any],
    wanted: dict[str, Any],
    events: tuple[Event, ...] = (),
) -> tuple[Transition, ...]:
    """One status write, and events for what it changed; nothing at all where nothing changed."""
    before = raw.get("status") or {}
    if wanted == before:
        return ()
    metadata = raw["metadata"]
    written = await client.apply_status(reconciler.resource, metadata.get("namespace"), metadata["name"], wanted)
    changed = transitions(before, wanted)
    told = (*(Event(one.reason, one.message, one.warning) for one in changed), *events)
    await _tell(client, written, told)
    return changed


async def _tell(client: ClusterClient, obj: dict[str, Any], events: tuple[Event, ...]) -> None:
    """Post events; the status already says it all, so one that cannot be posted is dropped."""
    for event in events:
        try:
            await client.create_event(obj, event.reason, event.message, warning=event.warning)
        except ClientError as error:
            log.warning("event not posted", extra={"reason": event.reason, "error": str(error)})


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
    return any(one["type"] in ("Reconciling", "Stalled") for one in conditions)
