"""One pod: its volumes, its containers in order, its status, its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fedsnap.clients.errors import ClientError, NotFound
from fedsnap.local.node import states
from fedsnap.local.node.api import NodeApi
from fedsnap.local.node.containers import MAX_RETRY_S, ContainerRunner
from fedsnap.local.node.environment import Surroundings
from fedsnap.local.node.errors import CannotStart
from fedsnap.local.node.podspec import Container, Pod
from fedsnap.local.node.preparation import Preparation, pod_places
from fedsnap.local.node.sources import Sources
from fedsnap.local.node.states import Record, Waiting
from fedsnap.local.node.status import Ending, View, phase_of, status_of
from fedsnap.local.node.stopping import Stop
from fedsnap.local.node.tokens import keep_fresh, write_tokens
from fedsnap.local.node.volumes import LaidOut, lay_out, remove

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What all pods of a node share."""

    api: NodeApi
    state: Path
    images_file: Path
    around: Surroundings


class PodRunner:
    """Runs one pod until it ended; `run` returns when its last status has been written."""

    def __init__(self, pod: Pod, workplace: Workplace) -> None:
        self.pod = pod
        self.deleted = False
        self._work = workplace
        self._places = pod_places(workplace.state, pod)
        self._directories: dict[str, Path] = {}
        self._stop = Stop()
        self._ending: Ending | None = None
        self._gone = False
        self._changed = asyncio.Event()
        self._started = pod.status.start_time or states.now()
        self._conditions: Sequence[dict[str, Any]] = pod.status.conditions
        self._written: dict[str, Any] = {}
        self.init = self._runners(pod.spec.init_containers, pod.status.init_container_statuses)
        self.main = self._runners(pod.spec.containers, pod.status.container_statuses)

    def _runners(self, containers: Sequence[Container], reported: Sequence[dict[str, Any]]) -> list[ContainerRunner]:
        entries = {one.get("name"): one for one in reported}
        preparation = Preparation(
            pod=self.pod,
            reader=self._work.api,
            images_file=self._work.images_file,
            around=self._work.around,
            pod_places=self._places,
            directories=self._directories,
        )
        runners = []
        for one in containers:
            saved = states.restore(self._places.container(one.name).record)
            record = states.resumed(one, saved, entries.get(one.name, {}))
            runners.append(ContainerRunner(one, preparation, record, self._changed.set))
        return runners

    @property
    def _everything(self) -> list[ContainerRunner]:
        return [*self.init, *self.main]

    def end(self, grace: float, ending: Ending | None = None) -> None:
        """Ask the pod to end within `grace` seconds; the first reason that is given stays."""
        self._ending = self._ending or ending
        self._stop.ask(grace)

    def forget(self) -> None:
        """End a pod that is no longer in the API: at once, and without another word to the API."""
        self._gone = True
        self._changed.set()
        self.end(0)

    async def run(self) -> None:
        """Run the pod to its end."""
        deadline = asyncio.create_task(self._watch_deadline())
        publisher = asyncio.create_task(self._publish())
        try:
            await self._run_containers()
        finally:
            deadline.cancel()
            publisher.cancel()
        await self._write_last_status()
        if self._gone or phase_of(self._view()) in ("Succeeded", "Failed"):
            remove(self._places.scratch)

    async def _run_containers(self) -> None:
        if any(one.restart_policy for one in self.pod.spec.init_containers):
            message = "expected init containers that end; process nodes do not run sidecars (restartPolicy in one)"
            self.end(0, Ending(reason="UnsupportedPod", message=message, failed=True))
            return
        self._changed.set()
        laid_out, pause = await self._volumes()
        if laid_out is None:
            return
        refresher = asyncio.create_task(keep_fresh(self._work.api, self.pod, laid_out.tokens, pause))
        try:
            if await self._run_init():
                policy = self.pod.spec.restart_policy
                await asyncio.gather(*(one.run(self._stop, policy) for one in self.main))
        finally:
            refresher.cancel()

    async def _run_init(self) -> bool:
        """Run init containers one after another, and say whether all succeeded."""
        # An init container that succeeded is never run again, whatever the policy.
        policy = "Never" if self.pod.spec.restart_policy == "Never" else "OnFailure"
        for one in self.init:
            await one.run(self._stop, policy)
            if not one.record.succeeded:
                return False
            one.tell(ready=True)
        return True

    async def _volumes(self) -> tuple[LaidOut | None, float]:
        """Lay the volumes out, tried until all is there; None where the pod should end before."""
        pause = 0.5
        while not self._stop.asked:
            try:
                laid_out = await self._lay_out()
                return laid_out, await write_tokens(self._work.api, self.pod, laid_out.tokens)
            except CannotStart as error:
                self._wait_for_volumes(f"{error.reason}: {error.message}")
            except (ClientError, OSError) as error:
                self._wait_for_volumes(str(error))
            await self._stop.sleep(pause)
            pause = min(MAX_RETRY_S, 2 * pause)
        return None, 0.0

    async def _lay_out(self) -> LaidOut:
        sources = Sources(self._work.api, self.pod.metadata.namespace)
        laid_out = await lay_out(self.pod, self._places.volumes, self._work.state / "claims", sources)
        self._directories.update(laid_out.directories)
        return laid_out

    def _wait_for_volumes(self, message: str) -> None:
        for one in self._everything:
            if isinstance(one.record.state, Waiting):
                one.tell(state=Waiting(reason="ContainerCreating", message=message))

    async def _watch_deadline(self) -> None:
        seconds = self.pod.spec.active_deadline_seconds
        if seconds is None:
            return
        await asyncio.sleep(max(0.0, self._started.timestamp() + seconds - datetime.now().timestamp()))  # noqa: DTZ005
        message = f"Pod was active on the node longer than the specified deadline of {seconds} s"
        self.end(
            self.pod.spec.termination_grace_period_seconds,
            Ending(reason="DeadlineExceeded", message=message, failed=True),
        )

    def _view(self) -> View:
        return View(
            pod=self.pod,
            started_at=self._started,
            init=self._records(self.init),
            main=self._records(self.main),
            ending=self._ending,
            conditions=self._conditions,
        )

    def _records(self, runners: Sequence[ContainerRunner]) -> list[Record]:
        return [one.record for one in runners]

    async def _publish(self) -> None:
        """Write the status after each change; several changes at once become one write."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._write_status()

    async def _write_last_status(self) -> None:
        if not self._gone:
            await self._write_status()

    async def _write_status(self) -> None:
        """Write the status as it is now, tried until it is written or the pod is gone."""
        pause = 0.25
        while not self._gone:
            status = status_of(self._view(), states.now())
            if status == self._written:
                return
            try:
                await self._work.api.apply_pod_status(self.pod, status)
            except NotFound:
                self.forget()
            except ClientError as error:
                log.warning("cannot write status", extra={"pod": str(self.pod), "error": str(error)})
                await asyncio.sleep(pause)
                pause = min(MAX_RETRY_S, 2 * pause)
            else:
                self._written, self._conditions = status, status["conditions"]
                return
