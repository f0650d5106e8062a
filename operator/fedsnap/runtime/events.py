"""kopf as event source: every event puts a key in the queue, and nothing else happens here.

Only `kopf.on.event` is used: it is stateless, adds no finalizers and patches nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from fedsnap.builders.names import LABEL_STAGE
from fedsnap.clients.cluster import ResourceType
from fedsnap.clients.cluster.connection import Credentials, credentials
from fedsnap.reconcilers.loop import Child, Key
from fedsnap.runtime.metrics import Metrics
from fedsnap.runtime.queue import WorkQueue

CLUSTER_WATCH = "cluster"
Wake = Callable[[Key], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to listen to.

    Attributes:
        kubeconfig: how kopf reaches the cluster; None: by the pod's service account.
        kinds: own kinds, whose events queue their own key.
        children: made objects, whose events queue their owner's key.
        namespaces: where to listen; empty: everywhere.
        mailbox: namespace of owners whose children carry no namespace label (a participant's Participations).
    """

    kubeconfig: Path | None
    kinds: Sequence[ResourceType]
    children: Sequence[Child]
    namespaces: Sequence[str] = ()
    mailbox: str = ""

    async def run(self, queue: WorkQueue, metrics: Metrics, stop: threading.Event) -> None:
        """Listen until `stop` is set. kopf reconnects by itself.

        kopf gets a thread and an event loop of its own: when it ends, it cancels every task of its loop that is
        younger than itself, and in the main thread it takes the signal handlers.
        """
        loop = asyncio.get_running_loop()

        def wake(key: Key) -> None:
            metrics.active(CLUSTER_WATCH)
            # Events that come while the operator's loop is closing have nobody to wake.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(queue.add, key)

        await asyncio.to_thread(self._listen_until, stop, wake)

    def _listen_until(self, stop: threading.Event, wake: Wake) -> None:
        listening = kopf.operator(
            registry=self._registry(wake),
            settings=_settings(),
            standalone=True,
            clusterwide=not self.namespaces,
            namespaces=self.namespaces,
            stop_flag=stop,
        )
        asyncio.run(listening)

    def _registry(self, wake: Wake) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: object) -> kopf.ConnectionInfo:
            return _connection(await credentials(self.kubeconfig))

        kopf.on.login(registry=registry, id="login")(login)
        for resource in self.kinds:
            self._listen(registry, resource, None, wake)
        for child in self.children:
            self._listen(registry, child.resource, child, wake)
        return registry

    def _listen(
        self,
        registry: kopf.OperatorRegistry,
        resource: ResourceType,
        child: Child | None,
        wake: Wake,
    ) -> None:
        wishes = Wishes()

        async def heard(event: Mapping[str, Any], **_: object) -> None:
            metadata = event["object"]["metadata"]
            if child is None and not wishes.changed(metadata, gone=event.get("type") == "DELETED"):
                return
            key = owner_key(child, metadata, self.mailbox) if child else own_key(resource, metadata)
            if key is not None:
                wake(key)

        labels: dict[str, Any] = {child.name_label: kopf.PRESENT} if child else {}
        if child and child.stage:
            labels[LABEL_STAGE] = child.stage
        owner = child.owner_kind if child else "self"
        kopf.on.event(
            resource.group, resource.version, resource.plural, registry=registry, id=f"queue-{owner}", labels=labels
        )(heard)


class Wishes:
    """What is wanted of own objects, as events last told; it tells a change of spec from our own writes of status.

    Only to spare looks: what is missed here, the resync finds.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, ...]] = {}

    def changed(self, metadata: Mapping[str, Any], *, gone: bool = False) -> bool:
        """Whether an event with this metadata is worth a look; `gone`: it told of the deletion."""
        wish = (metadata.get("generation"), metadata.get("deletionTimestamp"), tuple(metadata.get("finalizers") or ()))
        known = self._known.pop(metadata["uid"], None)
        if not gone:
            self._known[metadata["uid"]] = wish
        return gone or known != wish


def own_key(resource: ResourceType, metadata: Mapping[str, Any]) -> Key:
    """The key of an object itself."""
    return Key(resource.kind, metadata.get("namespace", ""), metadata["name"])


def owner_key(child: Child, metadata: Mapping[str, Any], mailbox: str) -> Key | None:
    """The key of the object that made `child`, by its labels; None where they are missing."""
    labels = metadata.get("labels") or {}
    name = labels.get(child.name_label)
    if child.cluster_scoped:
        namespace: str | None = ""
    elif child.namespace_label is not None:
        namespace = labels.get(child.namespace_label)
    else:
        namespace = mailbox or metadata.get("namespace", "")
    return Key(child.owner_kind, namespace, name) if name and namespace is not None else None


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # Watching CRDs and namespaces needs rights in the whole cluster; the resync finds what came later.
    settings.scanning.disabled = True
    # kopf ends after the last pause; an outage of an hour must not end a watch that is silent for a minute.
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, *[10] * 360)
    # The server ends a watch after this long and kopf resumes; its inactivity limit notices dead connections.
    settings.watching.server_timeout = 240
    settings.watching.connect_timeout = 10
    return settings


def _connection(found: Credentials) -> kopf.ConnectionInfo:
    scheme, _, token = found.authorization.partition(" ")
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_file,
        certificate_path=found.certificate_file,
        private_key_path=found.key_file,
        scheme=scheme or None,
        token=token.strip() or None,
        insecure=not found.verify,
    )
