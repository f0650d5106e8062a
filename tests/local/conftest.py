from __future__ import annotations

import subprocess
import uuid
from dataclasses import dataclass

import pytest

from fedsnap.local.cluster import Cluster


@dataclass(frozen=True)
class Account:
    """The default service account of a namespace of its own."""

    cluster: Cluster
    namespace: str

    @property
    def subject(self) -> str:
        return f"system:serviceaccount:{self.namespace}:default"

    def token(self, audience: str = "") -> str:
        options = [f"--audience={audience}"] if audience else []
        return _kubectl(self.cluster, "create", "token", "default", f"-n={self.namespace}", *options).strip()


@pytest.fixture
def account(cluster):
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    _kubectl(cluster, "create", "namespace", namespace)
    _kubectl(cluster, "wait", "--for=create", "serviceaccount/default", f"-n={namespace}", "--timeout=30s")
    yield Account(cluster, namespace)
    _kubectl(cluster, "delete", "namespace", namespace, "--wait=false")


def _kubectl(cluster: Cluster, *arguments: str) -> str:
    command = [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
