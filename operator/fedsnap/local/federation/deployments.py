"""The operators as Deployments: one replica each, its own account, and files instead of flags for what is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedsnap.builders.pods import STORE, VAULT_TOKEN
from fedsnap.local.federation.layout import (
    HUB_KEYS_CONFIG_MAP,
    OPERATOR_ACCOUNT,
    OPERATOR_STORE_SECRET,
    PART_OF,
    STORE_SECRET,
    VAULT_AUDIENCE,
    Federation,
    Manifest,
    Member,
    Services,
)
from fedsnap.local.federation.objects import HUB_KEYS_FILE
from fedsnap.local.federation.vault import COORDINATOR_ROLE, HUB_JOB_ROLE

HUB_KEYS = "/etc/fedsnap/hub-keys"
_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where an operator serves metrics and probes. Pods of the process node share one loopback, so ports differ."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operator:
    name: str
    namespace: str
    role: str
    store_secret: str
    variables: Mapping[str, str]
    config_maps: Mapping[str, str] = field(default_factory=dict)


def coordinator(federation: Federation, services: Services, listening: Listening) -> Manifest:
    """The hub's operator."""
    variables = {
        **_common(federation, services, listening),
        "FEDSNAP_VAULT_ROLE": COORDINATOR_ROLE,
        "FEDSNAP_VAULT_JOB_ROLE": HUB_JOB_ROLE,
    }
    operator = _Operator(
        name="fedsnap-coordinator",
        namespace=federation.hub_namespace,
        role="coordinator",
        store_secret=STORE_SECRET,
        variables=variables,
    )
    return _deployment(operator, federation.image, listening)


def participant(federation: Federation, member: Member, services: Services, listening: Listening) -> Manifest:
    """An organization's operator. Its own cluster is the hub's here, with namespaces in place of clusters."""
    variables = {
        **_common(federation, services, listening),
        "FEDSNAP_ORGANIZATION": member.name,
        "FEDSNAP_HUB_NAMESPACE": member.mailbox,
        "FEDSNAP_HUB_PUBLIC_KEYS": f"{HUB_KEYS}/{HUB_KEYS_FILE}",
        "FEDSNAP_VAULT_ROLE": member.operator_role,
        "FEDSNAP_VAULT_JOB_ROLE": member.job_role,
        "FEDSNAP_VAULT_TRANSIT_MOUNT": member.transit_mount,
    }
    operator = _Operator(
        name="fedsnap-participant",
        namespace=member.namespace,
        role="participant",
        store_secret=OPERATOR_STORE_SECRET,
        variables=variables,
        config_maps={HUB_KEYS: HUB_KEYS_CONFIG_MAP},
    )
    return _deployment(operator, federation.image, listening)


def _common(federation: Federation, services: Services, listening: Listening) -> dict[str, str]:
    return {
        "FEDSNAP_IMAGE": federation.image,
        "FEDSNAP_VAULT_ADDRESS": services.vault,
        "FEDSNAP_VAULT_TOKEN_FILE": f"{VAULT_TOKEN}/token",
        "FEDSNAP_STORE_ENDPOINT": services.store,
        "FEDSNAP_STORE_REGION": services.region,
        "FEDSNAP_STORE_CREDENTIALS": STORE,
        # Everything is on loopback; a real installation has certificates.
        "FEDSNAP_STORE_ALLOW_HTTP": "true",
        "FEDSNAP_HOST": listening.host,
        "FEDSNAP_METRICS_PORT": str(listening.port),
    }


def _deployment(operator: _Operator, image: str, listening: Listening) -> Manifest:
    selector = {"app.kubernetes.io/name": operator.name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": operator.namespace, "name": operator.name, "labels": {**selector, **PART_OF}},
        "spec": {
            "replicas": 1,
            # The Lease lets one replica act; a second beside it would only wait.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": {**selector, **PART_OF}},
                "spec": {
                    "serviceAccountName": OPERATOR_ACCOUNT,
                    "automountServiceAccountToken": True,
                    "terminationGracePeriodSeconds": 30,
                    "containers": [_container(operator, image, listening)],
                    "volumes": _volumes(operator),
                },
            },
        },
    }


def _container(operator: _Operator, image: str, listening: Listening) -> Manifest:
    mounts = {"vault": VAULT_TOKEN, "store": STORE, **{name: path for path, name in operator.config_maps.items()}}
    return {
        "name": "operator",
        "image": image,
        "command": ["fedsnap-operator"],
        "args": [operator.role],
        "env": [{"name": name, "value": value} for name, value in operator.variables.items()],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in mounts.items()],
        "ports": [{"name": "metrics", "containerPort": listening.port}],
        "livenessProbe": {"httpGet": _probe("/healthz", listening), "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"httpGet": _probe("/readyz", listening), "periodSeconds": 2},
    }


def _probe(path: str, listening: Listening) -> Manifest:
    return {"path": path, "port": listening.port, "host": listening.host}


def _volumes(operator: _Operator) -> list[Manifest]:
    token = {"audience": VAULT_AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        {"name": "vault", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "store", "secret": {"secretName": operator.store_secret}},
        *({"name": name, "configMap": {"name": name}} for name in operator.config_maps.values()),
    ]
