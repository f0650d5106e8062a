"""What a fresh cluster is given: our kinds, and the rights of its process node."""

from __future__ import annotations

import time
from typing import Any

from fedsnap.api.crd import definition
from fedsnap.api.kinds import KINDS
from fedsnap.local.apiserver import ApiServer
from fedsnap.local.errors import LocalClusterError

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_ESTABLISHED_SECONDS = 30.0
_POLL_SECONDS = 0.03


def define_kinds(api: ApiServer) -> None:
    """Apply the definitions of all our kinds and wait until the API server serves them.

    Raises:
        LocalClusterError: where it refuses one, or does not serve it in time.
    """
    names = []
    for kind in KINDS:
        made = definition(kind)
        names.append(made["metadata"]["name"])
        api.apply(f"{_DEFINITIONS}/{names[-1]}", made)
    deadline = time.monotonic() + _ESTABLISHED_SECONDS
    for name in names:
        while not _established(api.get(f"{_DEFINITIONS}/{name}")):
            if time.monotonic() > deadline:
                raise LocalClusterError(f"the API server does not serve {name} after {_ESTABLISHED_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)


def allow_node(api: ApiServer, node: str, client: str) -> None:
    """Give a node agent the rights of a kubelet, and the API server (as `client`) those to ask it for logs.

    Both are roles that Kubernetes itself defines.
    """
    _bind(api, node, "system:node")
    _bind(api, client, "system:kubelet-api-admin")


def _bind(api: ApiServer, user: str, role: str) -> None:
    name = f"fedsnap-local:{user}"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    api.apply(f"{_BINDINGS}/{name}", binding)


def _established(found: dict[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
