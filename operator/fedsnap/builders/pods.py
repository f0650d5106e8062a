"""The parts that pods of all our Jobs share: volumes, mounts, environment and security settings.

The trainer of an organization shares nothing with our containers but two directories: it sees neither the Vault token
nor the credentials of the store.
"""

from __future__ import annotations

import json
from typing import Any

JOB_SERVICE_ACCOUNT = "fedsnap-job"
STORE_SECRET = "fedsnap-store"  # noqa: S105  # the name of a Secret
VAULT_AUDIENCE = "vault"

TASKS = "/fedsnap/tasks"
WORK = "/fedsnap/work"
BASE = "/fedsnap/base"
OUTPUT = "/fedsnap/output"
VAULT_TOKEN = "/var/run/secrets/fedsnap/vault"  # noqa: S105  # a directory
STORE = "/var/run/secrets/fedsnap/store"

_TOKEN_SECONDS = 3600
# The user of our images; the group owns the directories that containers of other users share with ours.
_USER = 65532
_OWN_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}

Container = dict[str, Any]
PodSpec = dict[str, Any]


def own_container(name: str, image: str, module: str, task: str) -> Container:
    """A container that runs one of our Jobs on the task file `task` of the Job's ConfigMap."""
    environment = {
        "FEDSNAP_TASK": f"{TASKS}/{task}",
        "FEDSNAP_WORK": WORK,
        "FEDSNAP_VAULT_TOKEN_FILE": f"{VAULT_TOKEN}/token",
        "FEDSNAP_STORE_CREDENTIALS": STORE,
    }
    return {
        "name": name,
        "image": image,
        "command": ["python", "-m", f"fedsnap.jobs.{module}"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": _OWN_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "fedsnap-tasks", "mountPath": TASKS, "readOnly": True},
            {"name": "fedsnap-work", "mountPath": WORK},
            {"name": "fedsnap-vault", "mountPath": VAULT_TOKEN, "readOnly": True},
            {"name": "fedsnap-store", "mountPath": STORE, "readOnly": True},
        ],
    }


def trainer_container(
    container: Container, *, mode: str, seed: int, round_number: int, hyperparameters: dict[str, Any]
) -> Container:
    """The trainer of a PodTemplate, with the directories and the few variables that it is given.

    Variables of the template that have the same names are replaced: they belong to the round.
    """
    given = {
        "FEDSNAP_MODE": mode,
        "FEDSNAP_SEED": str(seed),
        "FEDSNAP_ROUND": str(round_number),
        "FEDSNAP_HYPERPARAMETERS": json.dumps(hyperparameters, sort_keys=True),
        "FEDSNAP_BASE_DIR": BASE,
        "FEDSNAP_OUTPUT_DIR": OUTPUT,
    }
    own = [one for one in container.get("env") or () if one["name"] not in given]
    mounts = [
        {"name": "fedsnap-work", "mountPath": BASE, "subPath": "base", "readOnly": True},
        {"name": "fedsnap-work", "mountPath": OUTPUT, "subPath": "output"},
    ]
    return {
        **container,
        "env": [*own, *({"name": key, "value": value} for key, value in given.items())],
        "volumeMounts": [*(container.get("volumeMounts") or ()), *mounts],
    }


def volumes(config_map: str) -> list[dict[str, Any]]:
    """Tasks, shared work directory, Vault token and credentials of the store."""
    token = {"audience": VAULT_AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        {"name": "fedsnap-tasks", "configMap": {"name": config_map}},
        {"name": "fedsnap-work", "emptyDir": {}},
        {"name": "fedsnap-vault", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "fedsnap-store", "secret": {"secretName": STORE_SECRET, "defaultMode": 0o440}},
    ]


def pod(containers: list[Container], *, init: list[Container], config_map: str, base: PodSpec | None = None) -> PodSpec:
    """A pod spec that runs once. `base`: what an organization's template says of scheduling, volumes and the rest."""
    kept = dict(base or {})
    security = {"fsGroup": _USER, **(kept.get("securityContext") or {})}
    return {
        **kept,
        "restartPolicy": "Never",
        "serviceAccountName": JOB_SERVICE_ACCOUNT,
        # Our containers mount the one token that they need; the trainer needs none.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "initContainers": init,
        "containers": containers,
        "volumes": [*(kept.get("volumes") or ()), *volumes(config_map)],
    }
