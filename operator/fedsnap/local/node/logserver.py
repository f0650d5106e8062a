"""The one part of kubelet's own API that `kubectl logs` needs: the API server asks here for a container's output."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from fedsnap.clients.errors import ClientError
from fedsnap.local.certificates import Authority
from fedsnap.local.node.fields import LOOPBACK
from fedsnap.local.node.logfiles import LogFile, chunks, find_log

_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
_SHUTDOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a client certificate says the caller is, as the API server reads it."""

    user: str
    groups: tuple[str, ...]


Authorize = Callable[[Caller], Awaitable[bool]]


def caller_of(certificate: Mapping[str, Any] | None) -> Caller | None:
    """User and groups of a verified certificate (`ssl.SSLSocket.getpeercert`): common name and organizations."""
    fields = [field for names in (certificate or {}).get("subject", ()) for field in names]
    users = [value for name, value in fields if name == "commonName"]
    groups = tuple(value for name, value in fields if name == "organizationName")
    return Caller(users[0], groups) if users else None


class LogServer:
    """Serves logs to callers with a client certificate of the cluster whom RBAC allows `get nodes/proxy`."""

    def __init__(self, state: Path, authorize: Authorize) -> None:
        self._state = state
        self._authorize = authorize

    @asynccontextmanager
    async def serve(self, client_authority: Path) -> AsyncIterator[int]:
        """Serve on a free port of loopback, which the block is given."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=_tls(self._state, client_authority))
            await site.start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await self._admit(request)
        parts = [request.match_info[name] for name in ("namespace", "pod", "container")]
        if not all(_NAME.match(part) for part in parts):
            raise web.HTTPBadRequest(text="expected /containerLogs/<namespace>/<pod>/<container>")
        found = find_log(self._state, *parts, previous=request.query.get("previous") == "true")
        if found is None:
            raise web.HTTPNotFound(text=f"{'/'.join(parts)} has written no log on this node")
        return await _stream(request, found)

    async def _admit(self, request: web.Request) -> None:
        transport = request.transport
        caller = caller_of(transport.get_extra_info("peercert") if transport else None)
        if caller is None:
            raise web.HTTPUnauthorized(text="expected a client certificate with a common name")
        try:
            allowed = await self._authorize(caller)
        except ClientError as error:
            raise web.HTTPServiceUnavailable(text=f"cannot ask who {caller.user} is: {error}") from error
        if not allowed:
            raise web.HTTPForbidden(text=f"{caller.user} may not get nodes/proxy")


async def _stream(request: web.Request, found: LogFile) -> web.StreamResponse:
    try:
        tail = int(request.query["tailLines"]) if "tailLines" in request.query else None
        left = int(request.query.get("limitBytes", str(2**62)))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"expected whole numbers: {error}") from error
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in chunks(found, tail=tail, follow=request.query.get("follow") == "true"):
        await response.write(chunk[:left])
        left -= len(chunk)
        if left <= 0:
            break
    return response


def _tls(state: Path, client_authority: Path) -> ssl.SSLContext:
    # The API server does not verify the certificates of kubelets unless it is told to.
    pair = Authority(state / "certificates", "fedsnap-node").server("serving")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.certificate, pair.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client_authority)
    return context
