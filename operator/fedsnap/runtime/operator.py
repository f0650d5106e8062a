"""One operator process: the Lease first, then watches, resync and workers, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fedsnap.clients.cluster import ClusterClient, ResourceType
from fedsnap.clients.errors import ClientError
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import AfterAction, Child, Reconciler
from fedsnap.runtime.events import Source, own_key
from fedsnap.runtime.health import Health, application, serve
from fedsnap.runtime.hubwatch import HUB_LIST, follow_hub
from fedsnap.runtime.lease import Lease
from fedsnap.runtime.metrics import Metrics
from fedsnap.runtime.queue import WorkQueue
from fedsnap.runtime.settings import Settings
from fedsnap.runtime.worker import Workers

log = logging.getLogger(__name__)
LEASE_LOST = 3
STOP_WITHIN_S = 20.0
LIST_RETRY_S = 2.0


@dataclass(slots=True, kw_only=True)
class Operator:
    """The running parts of one role, which share a queue."""

    settings: Settings
    context: Context
    reconcilers: Sequence[Reconciler[Any]]
    children: Sequence[Child]
    after_action: AfterAction | None = None
    queue: WorkQueue = field(default_factory=WorkQueue)
    health: Health = field(default_factory=Health)

    async def run(self, stop: asyncio.Event) -> bool:
        """Run until `stop` is set; False where the Lease was lost.

        Raises:
            OSError: where the port for metrics is taken.
        """
        metrics = Metrics(version=version("fedsnap"), role=self.settings.role)
        metrics.observe_queue(self.queue)
        server = await serve(application(self.health, metrics), self.settings.host, self.settings.metrics_port)
        log.info("listening", extra={"role": self.settings.role, "address": str(server.addresses[0])})
        measuring = asyncio.create_task(self.health.measure(self.context.cluster))
        try:
            return await self._lead(metrics, stop)
        finally:
            measuring.cancel()
            await server.cleanup()

    async def _lead(self, metrics: Metrics, stop: asyncio.Event) -> bool:
        lease = self._lease() if self.settings.lease else None
        if lease is not None and not await _unless(stop, lease.acquire()):
            return True
        self.health.waiting_for.discard("lease")
        metrics.leading(is_leader=True)
        log.info("leading", extra={"identity": self.settings.identity})
        try:
            return await self._work(metrics, lease, stop)
        finally:
            metrics.leading(is_leader=False)
            if lease is not None:
                await lease.release()

    def _lease(self) -> Lease:
        role = self.settings.role
        name = f"fedsnap-{role}" + (f"-{self.settings.organization}" if role == "participant" else "")
        return Lease(
            client=self.context.cluster,
            namespace=self.settings.namespace,
            name=name,
            identity=self.settings.identity,
        )

    async def _work(self, metrics: Metrics, lease: Lease | None, stop: asyncio.Event) -> bool:
        """Run all parts; when the first of them ends, stop the rest and finish what workers have begun."""
        workers = Workers(
            queue=self.queue,
            reconcilers={one.kind: one for one in self.reconcilers},
            context=self.context,
            metrics=metrics,
            after_action=self.after_action,
        )
        working = asyncio.create_task(workers.run(self.settings.workers))
        holding = asyncio.create_task(lease.hold() if lease else stop.wait())
        listening_stop = threading.Event()
        listening = asyncio.create_task(self._source().run(self.queue, metrics, listening_stop))
        others = [asyncio.create_task(part) for part in (*self._feeds(metrics), stop.wait())]
        try:
            ended, _ = await asyncio.wait({working, holding, listening, *others}, return_when=asyncio.FIRST_COMPLETED)
            lost = lease is not None and holding in ended
            # Another replica may already act: what was begun is cut off, as by a crash, instead of finished.
            await self._stop(working, cut_off=lost)
            for task in ended:
                task.result()
            return not lost
        finally:
            listening_stop.set()
            await _cancel(holding, working, *others)
            await _end(listening)

    async def _stop(self, working: asyncio.Task[None], *, cut_off: bool) -> None:
        self.queue.close()
        if not cut_off:
            await asyncio.wait({working}, timeout=STOP_WITHIN_S)

    def _source(self) -> Source:
        local = [one.resource for one in self.reconcilers if not (one.in_hub and self._is_participant)]
        return Source(
            kubeconfig=self.settings.kubeconfig,
            kinds=local,
            children=self.children,
            namespaces=self.settings.namespaces,
            mailbox=self.settings.hub_namespace,
        )

    @property
    def _is_participant(self) -> bool:
        return self.settings.role == "participant"

    def _feeds(self, metrics: Metrics) -> list[Coroutine[Any, Any, None]]:
        feeds = [self._resync()]
        for one in self.reconcilers:
            if one.in_hub and self._is_participant:
                self.health.waiting_for.add(HUB_LIST)
                changes = self.context.hub.watch(one.resource, self.settings.hub_namespace)
                feeds.append(follow_hub(changes, one.resource, self.queue, metrics, self.health))
        return feeds

    async def _resync(self) -> None:
        """Queue every object at the start and every few minutes: events are hints, and hints get lost."""
        while True:
            complete = True
            for one in self.reconcilers:
                complete &= await self._list(one)
            if complete:
                self.health.waiting_for.discard("first list")
            await asyncio.sleep(self.settings.resync_s if complete else LIST_RETRY_S)

    async def _list(self, reconciler: Reconciler[Any]) -> bool:
        client = self.context.client(hub=reconciler.in_hub)
        namespaces = (self.settings.hub_namespace,) if reconciler.in_hub else self.settings.namespaces
        try:
            for obj in await _objects(client, reconciler.resource, namespaces):
                self.queue.add(own_key(reconciler.resource, obj["metadata"]))
        except ClientError as error:
            log.warning("list failed", extra={"kind": reconciler.kind, "error": str(error)})
            return False
        return True


async def _objects(client: ClusterClient, resource: ResourceType, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    if not namespaces or not resource.namespaced:
        return await client.list(resource)
    return [obj for namespace in namespaces for obj in await client.list(resource, namespace)]


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do `work` unless `stop` comes first; whether it was done."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    await _cancel(working, stopping)
    return done


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end(listening: asyncio.Task[None]) -> None:
    """Let kopf leave by itself, which closes its sessions; cut it off where it does not."""
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(listening, 5.0)
