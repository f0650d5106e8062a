"""Reading and writing objects of one cluster."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fedsnap.clients.cluster.connection import open_connection
from fedsnap.clients.cluster.requests import Request, Requests
from fedsnap.clients.cluster.resources import EVENT, ResourceType, of_object
from fedsnap.clients.cluster.watch import WatchEvent, watch
from fedsnap.clients.errors import NotFound

FIELD_MANAGER = "fedsnap"
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
PAGE = 500
_MANAGED = {"fieldManager": FIELD_MANAGER}
Object = dict[str, Any]
Selector = str | Mapping[str, str] | None


class ClusterClient:
    """One cluster's API server. All methods raise `fedsnap.clients.errors.ClientError`."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> Self:
        """By kubeconfig, or with the pod's own service account; nothing is sent yet.

        Raises:
            Misconfigured: where the credentials cannot be read.
        """
        return cls(Requests(await open_connection(kubeconfig)))

    async def close(self) -> None:
        """Close the connections."""
        await self._requests.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def version(self) -> str:
        """The server's version, as `v1.37.1`; the cheapest round trip there is."""
        return str(
            (await self._requests.send(Request(method="GET", path="/version", timeout_s=5.0))).get("gitVersion", "")
        )

    async def get(self, resource: ResourceType, namespace: str | None, name: str) -> Object | None:
        """One object, or None where there is none."""
        try:
            return await self._requests.send(Request(method="GET", path=resource.path(namespace, name)))
        except NotFound:
            return None

    async def list(
        self, resource: ResourceType, namespace: str | None = None, label_selector: Selector = None
    ) -> list[Object]:
        """All objects of a namespace, or of all namespaces."""
        query = {"limit": str(PAGE), **_selecting(label_selector)}
        found: list[Object] = []
        while True:
            page = await self._requests.send(Request(method="GET", path=resource.path(namespace), query=query))
            found += [_named(resource, item) for item in page.get("items") or ()]
            token = page.get("metadata", {}).get("continue")
            if not token:
                return found
            query["continue"] = token

    async def apply(self, obj: Mapping[str, Any]) -> Object:
        """Create or change an object by server-side apply; fields of others that it does not name stay as they are."""
        return await self._apply(of_object(obj), obj, None)

    async def apply_status(
        self, resource: ResourceType, namespace: str | None, name: str, status: Mapping[str, Any]
    ) -> Object:
        """Apply the whole status of an object: fields of ours that `status` lacks are removed.

        Raises:
            NotFound: where the object is gone; it is never made by this call.
        """
        metadata = {"name": name} | ({"namespace": namespace} if namespace and resource.namespaced else {})
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status}
        return await self._apply(resource, obj, "status")

    async def _apply(self, resource: ResourceType, obj: Mapping[str, Any], subresource: str | None) -> Object:
        metadata = obj["metadata"]
        request = Request(
            method="PATCH",
            path=resource.path(metadata.get("namespace"), metadata["name"], subresource),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type=APPLY,
        )
        return await self._requests.send(request)

    async def create(self, obj: Mapping[str, Any]) -> Object:
        """Create an object.

        Raises:
            LostRace: with reason AlreadyExists, where the name is taken.
        """
        resource = of_object(obj)
        path = resource.path(obj["metadata"].get("namespace"))
        return await self._requests.send(Request(method="POST", path=path, query=_MANAGED, body=obj))

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """Replace an object as it was read.

        Raises:
            LostRace: where somebody wrote since its resourceVersion.
        """
        metadata = obj["metadata"]
        path = of_object(obj).path(metadata.get("namespace"), metadata["name"])
        return await self._requests.send(Request(method="PUT", path=path, query=_MANAGED, body=obj))

    async def merge_patch(
        self, resource: ResourceType, namespace: str | None, name: str, patch: Mapping[str, Any]
    ) -> Object:
        """Change some fields of an object; null removes one."""
        path = resource.path(namespace, name)
        return await self._requests.send(
            Request(method="PATCH", path=path, query=_MANAGED, body=patch, content_type=MERGE_PATCH)
        )

    async def delete(self, resource: ResourceType, namespace: str | None, name: str) -> None:
        """Delete an object, and its children in the background; that there is none is fine."""
        body = {"propagationPolicy": "Background"}
        try:
            await self._requests.send(Request(method="DELETE", path=resource.path(namespace, name), body=body))
        except NotFound:
            return

    async def create_event(
        self, regarding: Mapping[str, Any], reason: str, message: str, *, warning: bool = False
    ) -> None:
        """Tell people about a change of an object. Events of cluster-scoped objects go to `default`."""
        await self.create(_event(regarding, reason, message, warning=warning))

    def watch(
        self,
        resource: ResourceType,
        namespace: str | None = None,
        label_selector: Selector = None,
        *,
        since: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Every object and every change of it, for ever; see `fedsnap.clients.cluster.watch`."""
        return watch(self._requests, resource, namespace, _selecting(label_selector), since)


def _selecting(selector: Selector) -> dict[str, str]:
    if not selector:
        return {}
    if isinstance(selector, str):
        return {"labelSelector": selector}
    return {"labelSelector": ",".join(f"{label}={value}" for label, value in sorted(selector.items()))}


def _named(resource: ResourceType, item: Object) -> Object:
    # Items of a list come without apiVersion and kind.
    return {"apiVersion": resource.api_version, "kind": resource.kind, **item}


def _event(regarding: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> Object:
    metadata = regarding["metadata"]
    now = datetime.now(UTC)
    namespace = metadata.get("namespace") or "default"
    # Deterministic within one version of the object: a retried post of the same event meets its own name.
    seed = f"{metadata.get('uid')}/{metadata.get('resourceVersion')}/{reason}/{message}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name'][:200]}.{hashlib.sha256(seed.encode()).hexdigest()[:16]}",
            "namespace": namespace,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "fedsnap.dev/operator",
        "reportingInstance": "fedsnap-operator",
        "action": "Reconcile",
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "note": message[:1024],
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
            "uid": metadata.get("uid", ""),
        },
    }
