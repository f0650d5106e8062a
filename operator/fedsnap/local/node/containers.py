"""One container: started, watched, started again."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import Callable, Coroutine

from fedsnap.clients.errors import ClientError
from fedsnap.local.node import states
from fedsnap.local.node.errors import CannotStart
from fedsnap.local.node.podspec import Container
from fedsnap.local.node.preparation import Preparation, Prepared
from fedsnap.local.node.probes import probe_forever
from fedsnap.local.node.processes import Process
from fedsnap.local.node.states import Record, Running, Terminated, Waiting
from fedsnap.local.node.stopping import Stop
from fedsnap.local.node.termination import termination_message

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
MAX_RETRY_S = 10.0
# A run of this length clears the back-off, as with kubelet.
STEADY_S = 600.0

log = logging.getLogger(__name__)


class ContainerRunner:
    """Runs one container by its pod's restart policy until it ends for good or the pod is stopped."""

    def __init__(
        self, container: Container, preparation: Preparation, record: Record, changed: Callable[[], None]
    ) -> None:
        self.container = container
        self.record = record
        self._preparation = preparation
        self._places = preparation.places(container)
        self._changed = changed
        self._pause = FIRST_PAUSE_S

    def tell(self, **updates: object) -> None:
        """Change what is known of the container, remember it, and let the pod's status follow."""
        record = self.record.model_copy(update=updates)
        if record == self.record:
            return
        self.record = record
        if record.last or not isinstance(record.state, Waiting):
            states.save(record, self._places.record)
        self._changed()

    async def run(self, stop: Stop, policy: str) -> None:
        """Run until the container ended for good; its record tells how."""
        while not stop.asked:
            if isinstance(self.record.state, Terminated):
                if not states.run_again(policy, self.record.state):
                    return
                if not await self._back_off(self.record.state, stop):
                    return
            prepared = await self._prepared(stop)
            if prepared:
                await self._run_once(prepared, stop)

    async def _back_off(self, end: Terminated, stop: Stop) -> bool:
        """Wait as long as the container's failures ask for; False where the pod should end instead."""
        if (end.finished_at - end.started_at).total_seconds() >= STEADY_S:
            self._pause = FIRST_PAUSE_S
        pod = self._preparation.pod
        message = f"back-off {self._pause:g}s restarting container={self.container.name} pod={pod}"
        before = self.record.last
        self.tell(state=Waiting(reason="CrashLoopBackOff", message=message), last=end, ready=False)
        if await stop.sleep(self._pause):
            self.tell(state=end, last=before)
            return False
        self._pause = min(MAX_PAUSE_S, 2 * self._pause)
        self.tell(restarts=self.record.restarts + 1)
        return True

    async def _prepared(self, stop: Stop) -> Prepared | None:
        """All that the program needs, tried until it is there; None where the pod should end."""
        pause = FIRST_PAUSE_S
        while not stop.asked:
            try:
                return await self._preparation.prepare(self.container)
            except CannotStart as error:
                self.tell(state=Waiting(reason=error.reason, message=error.message))
            except ClientError as error:
                self.tell(state=Waiting(reason="ContainerCreating", message=str(error)))
            await stop.sleep(pause)
            pause = min(MAX_RETRY_S, 2 * pause)
        return None

    async def _run_once(self, prepared: Prepared, stop: Stop) -> None:
        running = Running(container_id=uuid.uuid4().hex, started_at=states.now())
        # Remembered before it starts: the next agent finds the processes by this mark.
        states.save(self.record.model_copy(update={"state": running}), self._places.record)
        output = self._places.log(self.record.restarts)
        try:
            process = await Process.start(running.container_id, prepared.program, prepared.directory, output)
        except (OSError, ValueError) as error:
            message = f"cannot execute {prepared.program.argv[0]}: {error}"
            self.tell(state=_ended(running, states.CANNOT_RUN, "StartError", message), ready=False)
            return
        self.tell(state=running)
        probe = asyncio.create_task(
            probe_forever(self.container, prepared.program, prepared.directory, lambda ready: self.tell(ready=ready))
        )
        try:
            code = await _outcome(process, stop)
        finally:
            probe.cancel()
        message = termination_message(self.container, self._places.termination_log, output, code)
        self.tell(state=_ended(running, code, "Error" if code else "Completed", message), ready=False)


def _ended(running: Running, code: int, reason: str, message: str) -> Terminated:
    return Terminated(
        container_id=running.container_id,
        exit_code=code,
        reason=reason,
        message=message,
        started_at=running.started_at,
        finished_at=states.now(),
    )


async def _outcome(process: Process, stop: Stop) -> int:
    """The exit code; where the pod should end, asks the process to, and after the grace makes it."""
    exited = asyncio.create_task(process.wait())
    try:
        if not await _first(exited, stop.wait()):
            process.signal(signal.SIGTERM)
            await _first(exited, stop.grace_over())
    finally:
        if not exited.done():
            process.signal(signal.SIGKILL)
    return await exited


async def _first(exited: asyncio.Task[int], other: Coroutine[object, object, None]) -> bool:
    """Wait for either, and say whether the process has exited."""
    waiting = asyncio.create_task(other)
    await asyncio.wait((exited, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return exited.done()
