"""The operator's own port: /metrics, /healthz (event loop and API server) and /readyz (Lease and first list)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from aiohttp import web

from fedsnap.clients.cluster import ClusterClient
from fedsnap.clients.errors import ClientError
from fedsnap.runtime.metrics import Metrics

MAX_LAG_S = 5.0
MAX_SILENCE_S = 120.0
PROBE_EVERY_S = 10.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Health:
    """What is known of the process; written by its parts, read by probes."""

    waiting_for: set[str] = field(default_factory=lambda: {"lease", "first list"})
    lag_s: float = 0.0
    answered_at: float = field(default_factory=time.monotonic)

    def problem(self) -> str:
        """Why the process should be restarted; empty where it should not."""
        if self.lag_s > MAX_LAG_S:
            return f"the event loop lagged by {self.lag_s:.1f} s (limit {MAX_LAG_S:.0f} s)"
        silence = time.monotonic() - self.answered_at
        if silence > MAX_SILENCE_S:
            return f"the API server has not answered for {silence:.0f} s (limit {MAX_SILENCE_S:.0f} s)"
        return ""

    async def measure(self, client: ClusterClient) -> None:
        """Measure the lag and ask the API server for ever; probes only read, so that they always answer at once."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(PROBE_EVERY_S)
            self.lag_s = time.monotonic() - before - PROBE_EVERY_S
            try:
                await client.version()
            except ClientError:
                continue
            self.answered_at = time.monotonic()


def application(health: Health, metrics: Metrics) -> web.Application:
    """The three pages."""

    async def healthz(_: web.Request) -> web.Response:
        problem = health.problem()
        return web.Response(status=500 if problem else 200, text=problem or "ok\n")

    async def readyz(_: web.Request) -> web.Response:
        waiting = ", ".join(sorted(health.waiting_for))
        return web.Response(status=503 if waiting else 200, text=f"waiting for {waiting}\n" if waiting else "ok\n")

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": METRICS_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen; port 0 takes a free one. Stop by the runner's `cleanup`.

    Raises:
        OSError: where the port is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
