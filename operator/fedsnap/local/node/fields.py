"""The downward API: fields of a pod as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING

from fedsnap.api.quantity import parse_quantity
from fedsnap.local.node.errors import misconfigured
from fedsnap.local.node.podspec import Container, Pod, ResourceFieldRef

LOOPBACK = "127.0.0.1"
_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


def field_of(pod: Pod, path: str) -> str:
    """A field of the pod; a label or annotation that is not there is empty, as with kubelet.

    Raises:
        CannotStart: where the downward API of a process node does not know the field.
    """
    metadata = pod.metadata
    if match := _SUBSCRIPT.match(path):
        values = metadata.labels if match[1] == "labels" else metadata.annotations
        return values.get(match[2], "")
    known = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "metadata.labels": _lines(metadata.labels),
        "metadata.annotations": _lines(metadata.annotations),
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": LOOPBACK,
        "status.podIPs": LOOPBACK,
        "status.hostIP": LOOPBACK,
        "status.hostIPs": LOOPBACK,
    }
    if path not in known:
        raise misconfigured(f"expected a field of {', '.join(sorted(known))}, got fieldPath {path}")
    return known[path]


def resource_of(container: Container, ref: ResourceFieldRef, allocatable: Mapping[str, str]) -> str:
    """A request or limit in units of the divisor, rounded up; without one, what the node has.

    Raises:
        CannotStart: where the resource is not one that the container or the node knows.
    """
    side, _, name = ref.resource.partition(".")
    quantities = container.resources.limits if side == "limits" else container.resources.requests
    text = quantities.get(name) or container.resources.limits.get(name) or allocatable.get(name)
    if text is None:
        raise misconfigured(f"container {container.name}: expected a known resource, got {ref.resource}")
    # An unset divisor arrives as "0".
    divisor = parse_quantity(ref.divisor) or 1
    return str(int((parse_quantity(text) / divisor).to_integral_value(ROUND_CEILING)))


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
