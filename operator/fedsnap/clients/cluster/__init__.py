"""The Kubernetes API, as far as fedsnap needs it: plain objects, server-side apply, resumable watches."""

from __future__ import annotations

from fedsnap.clients.cluster.client import ClusterClient
from fedsnap.clients.cluster.requests import LostRace
from fedsnap.clients.cluster.resources import (
    CONFIG_MAP,
    EVENT,
    JOB,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    POD_TEMPLATE,
    SECRET,
    SERVICE_ACCOUNT,
    ResourceType,
    of_kind,
    of_object,
)
from fedsnap.clients.cluster.watch import WatchEvent

__all__ = [
    "CONFIG_MAP",
    "EVENT",
    "JOB",
    "LEASE",
    "NAMESPACE",
    "NODE",
    "POD",
    "POD_TEMPLATE",
    "SECRET",
    "SERVICE_ACCOUNT",
    "ClusterClient",
    "LostRace",
    "ResourceType",
    "WatchEvent",
    "of_kind",
    "of_object",
]
