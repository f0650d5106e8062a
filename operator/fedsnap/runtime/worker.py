"""Workers: take a key, reconcile it, and decide by the result when it is looked at again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import AfterAction, Key, Reconciler, Result, reconcile
from fedsnap.runtime.metrics import Metrics
from fedsnap.runtime.queue import WorkQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """A pool of workers over one queue."""

    queue: WorkQueue
    reconcilers: Mapping[str, Reconciler[Any]]
    context: Context
    metrics: Metrics
    after_action: AfterAction | None = None

    async def run(self, count: int) -> None:
        """Work until the queue is closed and what was begun has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while (key := await self.queue.get()) is not None:
            try:
                await self.process(key)
            finally:
                self.queue.done(key)

    async def process(self, key: Key) -> None:
        """Reconcile one key. A defect of one reconciler must not stop the others, so it is logged and retried."""
        begun = time.monotonic()
        try:
            reconciler = self.reconcilers[key.kind]
            result = await reconcile(reconciler, key, self.context, datetime.now(UTC), self.after_action)
        except Exception:
            pause = self.queue.retry(key)
            log.exception("defect in a reconcile", extra={"key": str(key), "retry_s": round(pause, 2)})
            self.metrics.ended(key.kind, "defect", time.monotonic() - begun)
            return
        self.metrics.reconciled(key, result, time.monotonic() - begun)
        self._schedule(key, result)

    def _schedule(self, key: Key, result: Result) -> None:
        if result.failure is not None:
            failure = {"kind": result.result, "reason": result.failure.reason, "error": result.failure.message}
            log.log(
                logging.WARNING if result.failure.reported else logging.DEBUG,
                "reconcile incomplete",
                extra={"key": str(key), **failure},
            )
        if result.result == "transient":
            self.queue.retry(key)
            return
        self.queue.succeeded(key)
        if result.requeue_after is not None:
            self.queue.add(key, max(0.0, result.requeue_after.total_seconds()))
