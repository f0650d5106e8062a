"""A participant's ear in the hub: its own Participations, feeding the same queue as events of its own cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fedsnap.clients.cluster import ResourceType, WatchEvent
from fedsnap.reconcilers.loop import Key
from fedsnap.runtime.health import Health
from fedsnap.runtime.metrics import Metrics
from fedsnap.runtime.queue import WorkQueue

HUB_LIST = "first list of the hub"


async def follow_hub(
    changes: AsyncIterator[WatchEvent], resource: ResourceType, queue: WorkQueue, metrics: Metrics, health: Health
) -> None:
    """Queue every Participation that a watch of the mailbox delivers; runs until cancelled."""
    async for event in changes:
        metrics.active("hub")
        if event.type == "ACTIVITY":
            health.waiting_for.discard(HUB_LIST)
            continue
        metadata = event.object["metadata"]
        queue.add(Key(resource.kind, metadata.get("namespace", ""), metadata["name"]))
