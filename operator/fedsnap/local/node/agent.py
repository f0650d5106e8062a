"""The node agent: follows the pods that are bound to its node and runs each as processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fedsnap.clients.cluster import LostRace, WatchEvent
from fedsnap.clients.errors import ClientError, NotFound
from fedsnap.local.node.heartbeat import Heartbeat
from fedsnap.local.node.leftovers import clear, sweep
from fedsnap.local.node.pods import PodRunner, Workplace
from fedsnap.local.node.podspec import Pod
from fedsnap.local.node.status import Ending

# Whoever stops the agent kills it after 10 s: time for processes to end, and for the last statuses.
SHUTDOWN_GRACE_S = 4.0
LAST_WORDS_S = 3.0
RETRY_S = 2.0

Identity = tuple[str, str]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """A pod's runner and the task that it runs in."""

    runner: PodRunner
    task: asyncio.Task[None]


class NodeAgent:
    """Runs the pods of one node."""

    def __init__(self, name: str, workplace: Workplace, heartbeat: Heartbeat) -> None:
        self._name = name
        self._work = workplace
        self._heartbeat = heartbeat
        self._runs: dict[Identity, _Run] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then end all processes."""
        clear(self._work.state)
        serving, stopped = asyncio.create_task(self._serve()), asyncio.create_task(stop.wait())
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, stopped):
            task.cancel()
        await asyncio.wait((serving, stopped))
        await self._shut_down()
        if not serving.cancelled():
            # It ended by itself, so by an error of ours, which nobody should have to look for.
            serving.result()

    async def _serve(self) -> None:
        await self._heartbeat.register()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat.beat())
            group.create_task(self._follow())

    async def _follow(self) -> None:
        listed = False
        async for event in self._work.api.pods_of(self._name):
            if event.type != "ACTIVITY":
                self._on_event(event)
            elif not listed:
                listed = True
                sweep(self._work.state, {run.runner.pod.metadata.uid for run in self._runs.values()})

    def _on_event(self, event: WatchEvent) -> None:
        metadata = event.object["metadata"]
        identity = (metadata["namespace"], metadata["name"])
        run = self._runs.get(identity)
        if run and (event.type == "DELETED" or metadata["uid"] != run.runner.pod.metadata.uid):
            del self._runs[identity]
            run.runner.forget()
            self._keep(run.task)
            run = None
        if event.type != "DELETED":
            self._on_pod(identity, event.object, run)

    def _on_pod(self, identity: Identity, obj: Mapping[str, Any], run: _Run | None) -> None:
        try:
            pod = Pod.model_validate(obj)
        except ValidationError as error:
            log.warning("expected a pod that can be read", extra={"pod": "/".join(identity), "error": str(error)})
            return
        if run is None and not pod.terminal:
            runner = PodRunner(pod, self._work)
            run = _Run(runner, asyncio.create_task(runner.run(), name=f"pod {pod}"))
            run.task.add_done_callback(_tell_failure)
            self._runs[identity] = run
        if pod.metadata.deletion_timestamp:
            self._on_deletion(pod, run)

    def _on_deletion(self, pod: Pod, run: _Run | None) -> None:
        grace = pod.metadata.deletion_grace_period_seconds or 0
        if run:
            run.runner.end(grace, Ending())
            first = not run.runner.deleted
            run.runner.deleted = True
        else:
            first = grace > 0
        if first:
            self._keep(asyncio.create_task(self._delete(pod, run)))

    async def _delete(self, pod: Pod, run: _Run | None) -> None:
        """Remove a pod from the API once its processes have ended."""
        if run:
            await asyncio.wait((run.task,))
        while True:
            try:
                await self._work.api.delete_pod(pod)
            except (NotFound, LostRace):
                return
            except ClientError as error:
                log.warning("cannot delete a pod", extra={"pod": str(pod), "error": str(error)})
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _keep(self, task: asyncio.Task[None]) -> None:
        # The loop itself holds tasks only weakly.
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _shut_down(self) -> None:
        """End all pods as pods, and tell the API while somebody listens."""
        for run in self._runs.values():
            grace = min(SHUTDOWN_GRACE_S, run.runner.pod.spec.termination_grace_period_seconds)
            run.runner.end(grace)
        farewell = asyncio.create_task(self._heartbeat.farewell())
        tasks = {farewell, *self._background, *(run.task for run in self._runs.values())}
        _, late = await asyncio.wait(tasks, timeout=SHUTDOWN_GRACE_S + LAST_WORDS_S)
        for task in late:
            task.cancel()
        clear(self._work.state)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a pod's runner failed", exc_info=error, extra={"task": task.get_name()})
