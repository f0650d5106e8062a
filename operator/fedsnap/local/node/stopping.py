"""The end of a pod: asked for once, with a grace that may shrink and never grows."""

from __future__ import annotations

import asyncio
import time


class Stop:
    """Whether and by when the processes of a pod should end."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._changed = asyncio.Event()
        self._deadline = float("inf")

    @property
    def asked(self) -> bool:
        """Whether the pod should end."""
        return self._asked.is_set()

    def ask(self, grace: float) -> None:
        """Ask the pod to end within `grace` seconds from now, or earlier where it was asked so before."""
        self._deadline = min(self._deadline, time.monotonic() + grace)
        self._asked.set()
        self._changed.set()

    async def wait(self) -> None:
        """Return when the pod should end."""
        await self._asked.wait()

    async def sleep(self, seconds: float) -> bool:
        """Sleep, and say whether the pod should end, as soon as it should."""
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def grace_over(self) -> None:
        """Return when the grace is used up."""
        await self._asked.wait()
        while (left := self._deadline - time.monotonic()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
