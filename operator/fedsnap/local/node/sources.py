"""ConfigMaps and Secrets that a pod refers to."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from fedsnap.clients.cluster import CONFIG_MAP, SECRET, ResourceType
from fedsnap.local.node.errors import misconfigured

Content = Mapping[str, bytes]


class Reader(Protocol):
    """Reads one object, or None where there is none."""

    async def get(self, resource: ResourceType, namespace: str | None, name: str) -> dict[str, Any] | None:
        """The object."""
        ...


class Sources:
    """What one namespace holds, each object read once."""

    def __init__(self, reader: Reader, namespace: str) -> None:
        self._reader = reader
        self._namespace = namespace
        self._read: dict[tuple[str, str], Content | None] = {}

    async def config_map(self, name: str, *, optional: bool = False) -> Content:
        """The keys of a ConfigMap.

        Raises:
            CannotStart: where it is not there and not optional.
        """
        return await self._content(CONFIG_MAP, name, optional=optional)

    async def secret(self, name: str, *, optional: bool = False) -> Content:
        """The keys of a Secret.

        Raises:
            CannotStart: where it is not there and not optional.
        """
        return await self._content(SECRET, name, optional=optional)

    async def _content(self, resource: ResourceType, name: str, *, optional: bool) -> Content:
        at = (resource.kind, name)
        if at not in self._read:
            obj = await self._reader.get(resource, self._namespace, name)
            self._read[at] = None if obj is None else content_of(obj)
        found = self._read[at]
        if found is None and not optional:
            raise misconfigured(f"{resource.kind} {self._namespace}/{name} not found; create it")
        return found or {}


def content_of(obj: Mapping[str, Any]) -> Content:
    """The bytes of all keys of a ConfigMap or Secret."""
    if obj.get("kind") == SECRET.kind:
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
