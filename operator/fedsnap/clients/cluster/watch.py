"""A watch that never ends: it resumes from where it was, lists again when it must, and backs off on errors."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fedsnap.clients.cluster.requests import GONE, Expired, Request, Requests, error_of
from fedsnap.clients.cluster.resources import ResourceType
from fedsnap.clients.errors import ClientError, InvalidData

# The server ends a watch after this long, so that one whose connection died silently is noticed.
SERVER_TIMEOUT_S = 240
# Bookmarks come about once a minute; two missed and a margin mean that the connection is dead.
SILENCE_S = 150.0
MAX_LINE = 8 * 1024 * 1024
MAX_BACKOFF_S = 30.0

log = logging.getLogger(__name__)

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change. After a list, objects that are new or changed come as ADDED or MODIFIED, lost ones as DELETED.

    ACTIVITY carries no object: the connection is alive and everything up to now has been delivered.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED", "ACTIVITY"]
    object: dict[str, Any]


@dataclass(slots=True)
class _Position:
    """Where the watch stands: the version to resume from, and the versions of all objects that were delivered."""

    version: str = ""
    known: dict[Identity, str] = field(default_factory=dict)
    failures: int = 0

    def pause(self) -> float:
        """Seconds to wait after one more failure, with jitter."""
        self.failures += 1
        return float(min(MAX_BACKOFF_S, 0.25 * 2 ** min(self.failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311


async def watch(
    requests: Requests,
    resource: ResourceType,
    namespace: str | None,
    selection: Mapping[str, str],
    since: str = "",
) -> AsyncIterator[WatchEvent]:
    """Deliver every object and every change, across restarts of the server and compaction of its history.

    With `since`, begin after that resource version instead of with a list.
    """
    position = _Position(version=since)
    path = resource.path(namespace)
    while True:
        try:
            if not position.version:
                for event in await _relist(requests, resource, path, selection, position):
                    yield event
                yield WatchEvent("ACTIVITY", {})
            async for event in _stream(requests, path, selection, position):
                yield event
        except Expired:
            position.version = ""
        except ClientError as error:
            if isinstance(error, InvalidData):
                position.version = ""
            pause = position.pause()
            log.warning("watch interrupted", extra={"path": path, "error": str(error), "retry_s": round(pause, 2)})
            await asyncio.sleep(pause)


async def _relist(
    requests: Requests, resource: ResourceType, path: str, selection: Mapping[str, str], position: _Position
) -> list[WatchEvent]:
    """List, and say what changed since the last delivery."""
    query = {"limit": "500", **selection}
    items: list[dict[str, Any]] = []
    while True:
        page = await requests.send(Request(method="GET", path=path, query=query))
        items += page.get("items") or []
        token = page.get("metadata", {}).get("continue")
        if not token:
            break
        query["continue"] = token
    events = _differences(resource, items, position.known)
    position.version = page["metadata"]["resourceVersion"]
    position.known = {_identity(item): _version(item) for item in items}
    return events


def _differences(
    resource: ResourceType, items: list[dict[str, Any]], known: Mapping[Identity, str]
) -> list[WatchEvent]:
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    events = [
        WatchEvent("MODIFIED" if _identity(item) in known else "ADDED", {**kind, **item})
        for item in items
        if known.get(_identity(item)) != _version(item)
    ]
    for namespace, name in known.keys() - {_identity(item) for item in items}:
        events.append(WatchEvent("DELETED", {**kind, "metadata": {"namespace": namespace, "name": name}}))
    return events


async def _stream(
    requests: Requests, path: str, selection: Mapping[str, str], position: _Position
) -> AsyncIterator[WatchEvent]:
    """One watch request; returns when the server ends it."""
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": position.version,
        "timeoutSeconds": str(round(SERVER_TIMEOUT_S * random.uniform(1.0, 1.2))),  # noqa: S311
        **selection,
    }
    async with requests.open(Request(method="GET", path=path, query=query, timeout_s=SILENCE_S)) as answer:
        if answer.status >= 400:  # noqa: PLR2004 - the boundary of HTTP's error classes
            raise error_of(answer.status, await answer.content.read(65_536), f"watch of {path}")
        async for line in _lines(answer.content.iter_any()):
            event = _received(line, path, position)
            position.failures = 0
            yield event


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = b""
    async for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
        if len(pending) > MAX_LINE:
            raise InvalidData("TooLarge", f"expected watch events of at most {MAX_LINE} bytes")


def _received(line: bytes, path: str, position: _Position) -> WatchEvent:
    try:
        raw = json.loads(line)
        kind, obj = raw["type"], raw["object"]
        if kind == "ERROR":
            code = int(obj.get("code") or GONE)
            raise error_of(code, json.dumps(obj).encode(), f"watch of {path}")
        position.version = obj["metadata"]["resourceVersion"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidData("NotAWatchEvent", f"watch of {path}: expected a watch event: {error}") from error
    if kind == "BOOKMARK":
        return WatchEvent("ACTIVITY", {})
    if kind == "DELETED":
        position.known.pop(_identity(obj), None)
    else:
        position.known[_identity(obj)] = _version(obj)
    return WatchEvent(kind, obj)


def _identity(item: Mapping[str, Any]) -> Identity:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(item: Mapping[str, Any]) -> str:
    # A deleted and recreated object must not look unchanged, hence the UID.
    metadata = item["metadata"]
    return f"{metadata.get('uid', '')}/{metadata.get('resourceVersion', '')}"
