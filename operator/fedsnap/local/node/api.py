"""What the node agent asks of the API server beyond reading and applying objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from fedsnap.clients.cluster import NODE, POD, SERVICE_ACCOUNT, ClusterClient, ResourceType, WatchEvent
from fedsnap.clients.cluster.connection import credentials, open_connection
from fedsnap.clients.cluster.requests import Request, Requests
from fedsnap.clients.cluster.watch import watch
from fedsnap.clients.errors import Misconfigured
from fedsnap.local.node.podspec import Pod

MANAGER = "fedsnap-node"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Token:
    """A service account token and when it ends."""

    text: str
    expires: datetime


class NodeApi:
    """One cluster, as its process node sees it. All methods raise `fedsnap.clients.errors.ClientError`."""

    def __init__(self, requests: Requests, host: str, port: str) -> None:
        self._requests = requests
        self.cluster = ClusterClient(requests)
        self.host = host
        self.port = port

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Self:
        """By kubeconfig; nothing is sent yet.

        Raises:
            Misconfigured: where the kubeconfig cannot be used.
        """
        server = urlsplit((await credentials(kubeconfig)).server)
        if not server.hostname:
            raise Misconfigured("ClusterCredentials", f"expected a server URL in {kubeconfig}, got {server.geturl()}")
        port = server.port or (443 if server.scheme == "https" else 80)
        return cls(Requests(await open_connection(kubeconfig)), server.hostname, str(port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._requests.close()

    async def get(self, resource: ResourceType, namespace: str | None, name: str) -> dict[str, Any] | None:
        """One object, or None where there is none."""
        return await self.cluster.get(resource, namespace, name)

    def pods_of(self, node: str) -> AsyncIterator[WatchEvent]:
        """Every pod that is bound to a node and every change of it, for ever."""
        return watch(self._requests, POD, None, {"fieldSelector": f"spec.nodeName={node}"})

    async def apply_pod_status(self, pod: Pod, status: Mapping[str, Any]) -> None:
        """Write the whole status of a pod.

        Raises:
            NotFound: where the pod is gone.
            LostRace: where another pod has its name now.
        """
        metadata = {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "uid": pod.metadata.uid}
        await self._apply_status(POD, metadata, status)

    async def apply_node_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Write the whole status of the node.

        Raises:
            NotFound: where somebody deleted the node.
        """
        await self._apply_status(NODE, {"name": name}, status)

    async def _apply_status(
        self, resource: ResourceType, metadata: Mapping[str, str], status: Mapping[str, Any]
    ) -> None:
        request = Request(
            method="PATCH",
            path=resource.path(metadata.get("namespace"), metadata["name"], "status"),
            query={"fieldManager": MANAGER, "force": "true"},
            body={"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status},
            content_type=APPLY,
        )
        await self._requests.send(request)

    async def delete_pod(self, pod: Pod) -> None:
        """Remove a pod whose processes have ended, at once.

        Raises:
            NotFound: where it is gone.
            LostRace: where another pod has its name now.
        """
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.metadata.uid}}
        path = POD.path(pod.metadata.namespace, pod.metadata.name)
        await self._requests.send(Request(method="DELETE", path=path, body=body))

    async def token(self, pod: Pod, audience: str, seconds: int) -> Token:
        """A token of the pod's service account that ends with the pod."""
        metadata = pod.metadata
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata.name, "uid": metadata.uid}
        spec: dict[str, Any] = {"expirationSeconds": seconds, "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = SERVICE_ACCOUNT.path(metadata.namespace, pod.spec.service_account_name, "token")
        status = (await self._requests.send(Request(method="POST", path=path, body=body)))["status"]
        return Token(status["token"], datetime.fromisoformat(status["expirationTimestamp"]))

    async def may_read_node(self, node: str, user: str, groups: tuple[str, ...]) -> bool:
        """Whether a user may do what kubelet guards by `nodes/proxy`, container logs among it."""
        attributes = {"verb": "get", "version": "v1", "resource": "nodes", "subresource": "proxy", "name": node}
        spec = {"user": user, "groups": [*groups, "system:authenticated"], "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = await self._requests.send(Request(method="POST", path=path, body=body))
        return answer.get("status", {}).get("allowed") is True
