"""A work queue of keys: each waits once, is worked on by one worker at a time, and no wake-up is lost."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fedsnap.reconcilers.loop import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses after failures, in seconds: doubled each time, with jitter so that keys spread out."""

    first_s: float = 0.25
    limit_s: float = 120.0
    spread: Callable[[], float] = field(default=lambda: random.uniform(0.75, 1.25))  # noqa: S311

    def pause(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row (at least 1)."""
        return float(min(self.limit_s, self.first_s * 2 ** min(failures - 1, 30)) * self.spread())


class WorkQueue:
    """Keys and when they are due. All methods belong to one event loop."""

    def __init__(self, backoff: Backoff | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._due: dict[Key, float] = {}
        # Entries whose time is no longer the key's are stale and skipped; that is cheaper than removing them.
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._running: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Look at `key` after `after_s` seconds, or earlier where it is already due earlier.

        A key that is being worked on is looked at again afterwards: what woke it may have come too late for its read.
        """
        due = self._clock() + after_s
        waiting = self._again if key in self._running else self._due
        if waiting.get(key, float("inf")) <= due:
            return
        waiting[key] = due
        if waiting is self._due:
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.set()

    async def get(self) -> Key | None:
        """The key that has been due longest, as soon as one is; None once the queue is closed.

        Give it back by `done`.
        """
        while not self._closed:
            due = self._next_due()
            now = self._clock()
            if due is not None and due <= now:
                _, _, key = heapq.heappop(self._heap)
                del self._due[key]
                self._running.add(key)
                return key
            await self._wait(None if due is None else due - now)
        return None

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return

    def _next_due(self) -> float | None:
        while self._heap:
            due, _, key = self._heap[0]
            if self._due.get(key) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def done(self, key: Key) -> None:
        """Work on `key` has ended, however it ended."""
        self._running.discard(key)
        if (due := self._again.pop(key, None)) is not None:
            self.add(key, max(0.0, due - self._clock()))

    def retry(self, key: Key) -> float:
        """Look again after a pause that grows with each failure in a row; returns the pause in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        pause = self._backoff.pause(self._failures[key])
        self.add(key, pause)
        return pause

    def succeeded(self, key: Key) -> None:
        """The next failure of `key` is the first in its row."""
        self._failures.pop(key, None)

    def close(self) -> None:
        """Hand out no more keys; workers that wait are told."""
        self._closed = True
        self._changed.set()

    def depth(self) -> int:
        """Number of keys that are due and wait for a worker."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def oldest_s(self) -> float:
        """Seconds that the first key in line has been due; 0 where none is."""
        due = self._next_due()
        return max(0.0, self._clock() - due) if due is not None else 0.0
