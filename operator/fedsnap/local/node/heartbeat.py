"""Tells the cluster that this node lives."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from fedsnap.clients.errors import ClientError, NotFound
from fedsnap.local.node.api import NodeApi
from fedsnap.local.node.registration import NOTICE, Capacity, lease_object, node_object, node_status
from fedsnap.local.node.status import timestamp

PERIOD_S = 10.0
STATUS_EVERY = 6
RETRY_S = 1.0
FAREWELL_S = 2.0

log = logging.getLogger(__name__)


class Heartbeat:
    """Registers the node, and keeps its Lease and status fresh."""

    def __init__(self, api: NodeApi, name: str, capacity: Capacity, log_port: int | None = None) -> None:
        self._api = api
        self._name = name
        self._capacity = capacity
        self._log_port = log_port
        self._version = ""
        self._since = timestamp(datetime.now(UTC))

    async def register(self) -> None:
        """Make or take over the Node, tried until the API server answers."""
        while True:
            try:
                await self._register()
            except ClientError as error:
                log.warning("cannot register the node", extra={"node": self._name, "error": str(error)})
                await asyncio.sleep(RETRY_S)
            else:
                log.warning(NOTICE, extra={"node": self._name})
                return

    async def _register(self) -> None:
        self._version = await self._api.cluster.version()
        self._node = await self._api.cluster.apply(node_object(self._name))
        await self._renew()
        await self._write_status(ready=True)

    async def beat(self) -> None:
        """Renew for ever."""
        count = 0
        while True:
            await asyncio.sleep(PERIOD_S)
            count += 1
            try:
                await self._renew()
                if count % STATUS_EVERY == 0:
                    await self._write_status(ready=True)
            except NotFound:
                await self.register()
            except ClientError as error:
                log.warning("cannot renew the node's lease", extra={"node": self._name, "error": str(error)})

    async def farewell(self) -> None:
        """Say that the node takes no more pods; nobody waits long for it."""
        self._since = timestamp(datetime.now(UTC))
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._write_status(ready=False)
        except (ClientError, TimeoutError) as error:
            log.warning("cannot say that the node stops", extra={"node": self._name, "error": str(error)})

    async def _renew(self) -> None:
        await self._api.cluster.apply(lease_object(self._node, datetime.now(UTC)))

    async def _write_status(self, *, ready: bool) -> None:
        status = node_status(
            self._name,
            self._capacity,
            self._version,
            ready=ready,
            since=self._since,
            now=datetime.now(UTC),
            log_port=self._log_port,
        )
        await self._api.apply_node_status(self._name, status)
