"""Readiness of a container."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from fedsnap.local.node.environment import Program
from fedsnap.local.node.podspec import Container, HttpGet, Probe, TcpSocket

SUCCESS = range(200, 400)
MIN_PERIOD_S = 0.1


async def probe_forever(container: Container, program: Program, directory: Path, tell: Callable[[bool], None]) -> None:
    """Tell each change of readiness; a container without a probe is ready as soon as it runs."""
    probe = container.readiness_probe
    if probe is None:
        tell(True)
        return
    ready, in_row, before = False, 0, False
    await asyncio.sleep(probe.initial_delay_seconds)
    while True:
        good = await _try(probe, container, program, directory)
        in_row, before = (in_row + 1, good) if good == before else (1, good)
        if good != ready and in_row >= (probe.success_threshold if good else probe.failure_threshold):
            ready = good
            tell(ready)
        await asyncio.sleep(max(MIN_PERIOD_S, probe.period_seconds))


async def _try(probe: Probe, container: Container, program: Program, directory: Path) -> bool:
    try:
        async with asyncio.timeout(probe.timeout_seconds):
            if probe.http_get:
                return await _http(probe.http_get, container)
            if probe.tcp_socket:
                return await _tcp(probe.tcp_socket, container)
            if probe.exec:
                return await _exec(probe.exec.command, program.env, directory)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False
    return True


def port_of(port: int | str, container: Container) -> int:
    """A port by number or by the name that the container gives it.

    Raises:
        ValueError: where the container names no such port.
    """
    named = {one.name: one.container_port for one in container.ports}
    return port if isinstance(port, int) else named.get(port) or int(port)


async def _http(get: HttpGet, container: Container) -> bool:
    url = f"{get.scheme.lower()}://{get.host}:{port_of(get.port, container)}/{get.path.lstrip('/')}"
    headers = {one.name: one.value for one in get.http_headers}
    # As kubelet: certificates of probes are not verified.
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as answer:
        return answer.status in SUCCESS


async def _tcp(socket: TcpSocket, container: Container) -> bool:
    _, writer = await asyncio.open_connection(socket.host, port_of(socket.port, container))
    writer.close()
    return True


async def _exec(command: tuple[str, ...], env: Mapping[str, str], directory: Path) -> bool:
    quiet = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=directory, stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        return await child.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
