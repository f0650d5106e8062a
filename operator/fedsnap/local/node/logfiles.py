"""Container logs on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fedsnap.local.node import states
from fedsnap.local.node.preparation import MAX_NAME, PodPlaces
from fedsnap.local.node.states import Running

CHUNK = 64 * 1024
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class LogFile:
    """The output of one run of a container; `record` tells whether it goes on."""

    path: Path
    run: int
    record: Path

    def ended(self) -> bool:
        """Whether nothing more will be written."""
        found = states.restore(self.record)
        return found is None or found.restarts != self.run or not isinstance(found.state, Running)


def find_log(state: Path, namespace: str, pod: str, container: str, *, previous: bool = False) -> LogFile | None:
    """The log of a container's run, the newest pod of that name first; None where there is none."""
    roots = (state / "pods").glob(f"{namespace}_{pod[:MAX_NAME]}_*")
    for root in sorted(roots, key=lambda one: one.stat().st_mtime, reverse=True):
        places = PodPlaces(root).container(container)
        record = states.restore(places.record)
        run = record.restarts - previous if record else -1
        if run >= 0 and places.log(run).exists():
            return LogFile(places.log(run), run, places.record)
    return None


async def chunks(log: LogFile, *, tail: int | None = None, follow: bool = False) -> AsyncIterator[bytes]:
    """The content, or its last lines, and with `follow` all that comes until the run ended."""
    with log.path.open("rb") as file:
        if tail is not None:
            for line in deque(file, maxlen=tail):
                yield line
        while True:
            # Asked before reading, so that the last words of a process are never missed.
            ended = not follow or log.ended()
            while chunk := file.read(CHUNK):
                yield chunk
            if ended:
                return
            await asyncio.sleep(POLL_S)
