"""The Node object of a process node, its status and its heartbeat."""

from __future__ import annotations

import platform
import shutil
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedsnap.api.schema import GROUP
from fedsnap.clients.cluster import LEASE, NODE
from fedsnap.local.node.fields import LOOPBACK
from fedsnap.local.node.status import RUNTIME, timestamp

LABEL_PROCESS_NODE = f"{GROUP}/process-node"
ANNOTATION_NOTICE = f"{GROUP}/notice"
NOTICE = "runs pods as plain processes without isolation: for demo and tests, never for production"
LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
MAX_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a node says it has; the scheduler counts it, nothing enforces it."""

    cpu: str
    memory: str
    gpus: int
    storage_bytes: int

    def resources(self) -> dict[str, str]:
        """As the status of a Node carries it."""
        found = {
            "cpu": self.cpu,
            "memory": self.memory,
            "pods": str(MAX_PODS),
            "ephemeral-storage": str(self.storage_bytes),
        }
        return found | ({"nvidia.com/gpu": str(self.gpus)} if self.gpus else {})


def storage_of(state: Path) -> int:
    """Bytes of the file system of the state directory."""
    return shutil.disk_usage(state).total


def node_object(name: str) -> Json:
    """The Node without its status; no taints, so that plain pods are scheduled here."""
    labels = {
        LABEL_PROCESS_NODE: "true",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _architecture(),
    }
    metadata = {"name": name, "labels": labels, "annotations": {ANNOTATION_NOTICE: NOTICE}}
    return {"apiVersion": NODE.api_version, "kind": NODE.kind, "metadata": metadata}


def node_status(
    name: str, capacity: Capacity, version: str, *, ready: bool, since: str, now: datetime, log_port: int | None = None
) -> Json:
    """The status of a Node; `since` is when it became ready or stopped being so."""
    status: Json = {
        "capacity": capacity.resources(),
        "allocatable": capacity.resources(),
        "addresses": [{"type": "InternalIP", "address": LOOPBACK}, {"type": "Hostname", "address": name}],
        "conditions": _conditions(ready=ready, since=since, now=now),
        "nodeInfo": _node_info(version),
    }
    if log_port:
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": log_port}}
    return status


def _conditions(*, ready: bool, since: str, now: datetime) -> list[Json]:
    times = {"lastHeartbeatTime": timestamp(now), "lastTransitionTime": since}
    pressures = [
        {"type": one, "status": "False", "reason": "NotMeasured", "message": "process nodes do not measure it", **times}
        for one in _PRESSURES
    ]
    reason, message = ("ProcessNodeReady", NOTICE) if ready else ("ProcessNodeStopped", "the node agent was stopped")
    readiness = {"type": "Ready", "status": "True" if ready else "False", "reason": reason, "message": message}
    return [*pressures, readiness | times]


def _node_info(version: str) -> Json:
    return {
        "architecture": _architecture(),
        "bootID": _first_line("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": f"{RUNTIME}://0.1.0",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": version,
        "machineID": _first_line("/etc/machine-id") or uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname()).hex,
        "operatingSystem": "linux",
        "osImage": "processes of this machine",
        "systemUUID": "",
    }


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lease_object(node: Mapping[str, Any], now: datetime) -> Json:
    """The heartbeat of a node; the garbage collector removes it with the Node."""
    metadata = node["metadata"]
    owner = {
        "apiVersion": NODE.api_version,
        "kind": NODE.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"name": metadata["name"], "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
        "spec": {
            "holderIdentity": metadata["name"],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
