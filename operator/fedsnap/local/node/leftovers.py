"""What an earlier agent of the same state directory left behind."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from fedsnap.local.node import states
from fedsnap.local.node.preparation import PodPlaces
from fedsnap.local.node.processes import kill_marked
from fedsnap.local.node.states import Running
from fedsnap.local.node.volumes import remove

log = logging.getLogger(__name__)


def clear(state: Path) -> None:
    """Kill all processes of containers that are remembered as running."""
    records = (states.restore(path) for path in (state / "pods").glob("*/*/record.json"))
    running = [one.state.container_id for one in records if one and isinstance(one.state, Running)]
    if count := kill_marked(running):
        log.warning("killed processes that had no agent", extra={"count": count})


def sweep(state: Path, uids: Collection[str]) -> None:
    """Remove volumes, which may hold secrets, of pods that run no more; their logs stay."""
    for root in (state / "pods").glob("*"):
        if root.name.rpartition("_")[2] not in uids:
            remove(PodPlaces(root).scratch)
