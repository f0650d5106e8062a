"""Server-side apply of whole sets of objects, of kinds that the operator itself never writes too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsnap.clients.cluster.client import APPLY
from fedsnap.clients.cluster.connection import open_connection
from fedsnap.clients.cluster.requests import Request, Requests
from fedsnap.clients.cluster.resources import ResourceType, of_object
from fedsnap.clients.errors import NotFound
from fedsnap.local.federation.layout import Manifest
from fedsnap.local.federation.rbac import RBAC

FIELD_MANAGER = "fedsnap-local"
DEPLOYMENT = ResourceType("apps", "v1", "Deployment", "deployments")
_MORE = {
    (one.api_version, one.kind): one
    for one in (
        DEPLOYMENT,
        ResourceType(RBAC, "v1", "Role", "roles"),
        ResourceType(RBAC, "v1", "RoleBinding", "rolebindings"),
        ResourceType(RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
        ResourceType(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    )
}


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies objects to one cluster, as its administrator."""

    requests: Requests

    async def apply(self, objects: Iterable[Manifest]) -> list[dict[str, Any]]:
        """Create or change each, in order; what others own of them stays.

        Raises:
            ClientError: where the API server refuses one.
        """
        return [await self._apply(one) for one in objects]

    async def get(self, resource: ResourceType, namespace: str | None, name: str) -> dict[str, Any] | None:
        """One object, or None where there is none."""
        try:
            return await self.requests.send(Request(method="GET", path=resource.path(namespace, name)))
        except NotFound:
            return None

    async def _apply(self, obj: Manifest) -> dict[str, Any]:
        metadata = obj["metadata"]
        request = Request(
            method="PATCH",
            path=resource_of(obj).path(metadata.get("namespace"), metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=obj,
            content_type=APPLY,
        )
        return await self.requests.send(request)


def resource_of(obj: Manifest) -> ResourceType:
    """Where the object's kind lies in the API.

    Raises:
        InvalidData: where a federation has no such kind.
    """
    found = _MORE.get((str(obj.get("apiVersion")), str(obj.get("kind"))))
    return found or of_object(obj)


@asynccontextmanager
async def applier(kubeconfig: Path) -> AsyncIterator[Applier]:
    """An applier for the cluster of the kubeconfig; its connections are closed at the end."""
    requests = Requests(await open_connection(kubeconfig))
    try:
        yield Applier(requests)
    finally:
        await requests.close()
