"""One active replica per role: a Lease of coordination.k8s.io, taken and renewed with optimistic concurrency.

The protocol is that of client-go's leader election. Clocks of replicas are never compared: a holder is taken for dead
when its Lease has not changed for the Lease's duration by the observer's own monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fedsnap.clients.cluster import LEASE, ClusterClient
from fedsnap.clients.errors import ClientError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """In seconds. A holder that could not renew for `renew_within_s` stops before others take over at `duration_s`.

    Longer than client-go's defaults (15, 10, 2), so that a restart of the API server does not restart operators.
    """

    duration_s: int = 30
    renew_within_s: float = 24.0
    retry_s: float = 3.0


@dataclass(slots=True, kw_only=True)
class Lease:
    """One Lease as seen by one replica, known by its `identity`."""

    client: ClusterClient
    namespace: str
    name: str
    identity: str
    times: LeaseTimes = field(default_factory=LeaseTimes)
    _seen: str = ""
    _seen_at: float = 0.0

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        while True:
            try:
                if await self._try():
                    return
            except ClientError as error:
                log.warning("lease not acquired", extra={"lease": self.name, "error": str(error)})
            await asyncio.sleep(self.times.retry_s * random.uniform(1.0, 1.2))  # noqa: S311 - spreads load

    async def hold(self) -> None:
        """Renew the Lease for as long as that works; returns when it is lost."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < self.times.renew_within_s:
            await asyncio.sleep(self.times.retry_s)
            try:
                async with asyncio.timeout(self.times.renew_within_s - (time.monotonic() - renewed)):
                    if not await self._try():
                        return
                renewed = time.monotonic()
            except (ClientError, TimeoutError) as error:
                log.warning("lease not renewed", extra={"lease": self.name, "error": str(error) or "no answer in time"})

    async def release(self) -> None:
        """Give the Lease up, so that the next replica need not wait for its end."""
        try:
            lease = await self.client.get(LEASE, self.namespace, self.name)
            if lease is not None and lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"].update(holderIdentity="", leaseDurationSeconds=1, renewTime=_now())
                await self.client.replace(lease)
        except ClientError as error:
            log.info("lease not released", extra={"lease": self.name, "error": str(error)})

    async def _try(self) -> bool:
        """One attempt to take or renew; False where another replica holds the Lease.

        Raises:
            LostRace: where somebody else wrote at the same time; the next attempt sees who.
        """
        lease = await self.client.get(LEASE, self.namespace, self.name)
        if lease is None:
            await self.client.create(self._fresh())
            return True
        if not self._may_take(lease):
            return False
        await self.client.replace(self._taken(lease))
        return True

    def _may_take(self, lease: dict[str, Any]) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if not holder or holder == self.identity:
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, time.monotonic()
        return time.monotonic() - self._seen_at > int(spec.get("leaseDurationSeconds") or self.times.duration_s)

    def _fresh(self) -> dict[str, Any]:
        metadata = {"namespace": self.namespace, "name": self.name}
        lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": {}}
        return self._taken(lease)

    def _taken(self, lease: dict[str, Any]) -> dict[str, Any]:
        before = lease.get("spec") or {}
        same = before.get("holderIdentity") == self.identity
        spec = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self.times.duration_s,
            "acquireTime": before.get("acquireTime") if same else _now(),
            "renewTime": _now(),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if same or not before else 1),
        }
        return {**lease, "spec": spec}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
