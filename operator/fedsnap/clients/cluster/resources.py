"""Where each kind lies in the API: a fixed table instead of discovery, which costs calls and races at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fedsnap.api.kinds import KINDS
from fedsnap.api.schema import GROUP, VERSION, Object, Resource
from fedsnap.clients.errors import InvalidData


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind and its place in the API; `group` is empty for the core group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects carry it: `batch/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of its subresource.

        Raises:
            ValueError: where an object of a namespaced kind is named without a namespace.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        elif self.namespaced and name:
            raise ValueError(f"expected the namespace of {self.kind} {name}, got none")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def of_kind(kind: type[Object]) -> ResourceType:
    """The place of one of our own kinds."""
    resource: Resource = kind.RESOURCE  # type: ignore[attr-defined]
    return ResourceType(GROUP, VERSION, resource.kind, resource.plural, resource.namespaced)


CONFIG_MAP = ResourceType("", "v1", "ConfigMap", "configmaps")
EVENT = ResourceType("events.k8s.io", "v1", "Event", "events")
JOB = ResourceType("batch", "v1", "Job", "jobs")
LEASE = ResourceType("coordination.k8s.io", "v1", "Lease", "leases")
NAMESPACE = ResourceType("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = ResourceType("", "v1", "Node", "nodes", namespaced=False)
POD = ResourceType("", "v1", "Pod", "pods")
POD_TEMPLATE = ResourceType("", "v1", "PodTemplate", "podtemplates")
SECRET = ResourceType("", "v1", "Secret", "secrets")
SERVICE_ACCOUNT = ResourceType("", "v1", "ServiceAccount", "serviceaccounts")

_BUILT_IN = (CONFIG_MAP, EVENT, JOB, LEASE, NAMESPACE, NODE, POD, POD_TEMPLATE, SECRET, SERVICE_ACCOUNT)
_KNOWN = {(one.api_version, one.kind): one for one in (*_BUILT_IN, *(of_kind(kind) for kind in KINDS))}


def of_object(obj: Mapping[str, Any]) -> ResourceType:
    """The place of an object, by its apiVersion and kind.

    Raises:
        InvalidData: where fedsnap does not work with that kind.
    """
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    found = _KNOWN.get((str(api_version), str(kind)))
    if found is None:
        raise InvalidData("UnknownKind", f"expected a kind that fedsnap works with, got {api_version} {kind}")
    return found
