from __future__ import annotations

import json
import subprocess

import pytest
import requests

from fedsnap.api.kinds import KINDS
from fedsnap.clients.cluster import ClusterClient, of_kind

pytestmark = pytest.mark.cluster


def _call(cluster, path, token=None, **options):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with requests.Session() as session:
        session.trust_env = False
        return session.request("GET", cluster.server + path, headers=headers, verify=cluster.authority, **options)


def _kubectl(cluster, *arguments):
    command = [cluster.kubectl, f"--kubeconfig={cluster.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_request_without_credentials_is_refused(cluster):
    assert _call(cluster, "/api/v1/namespaces").status_code == 401


def test_a_server_is_known_by_the_clusters_own_authority_only(cluster):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{cluster.server}/version", timeout=10)


def test_a_service_account_may_do_nothing_until_somebody_allows_it(cluster, account):
    answer = _call(cluster, f"/api/v1/namespaces/{account.namespace}/pods", token=account.token())
    assert answer.status_code == 403
    assert account.subject in answer.json()["message"]


def test_a_role_allows_what_it_names_and_nothing_else(cluster, account):
    options = [f"--serviceaccount={account.namespace}:default", f"-n={account.namespace}"]
    _kubectl(cluster, "create", "role", "reader", "--verb=list", "--resource=pods", f"-n={account.namespace}")
    _kubectl(cluster, "create", "rolebinding", "reader", "--role=reader", *options)
    pods = _call(cluster, f"/api/v1/namespaces/{account.namespace}/pods", token=account.token())
    secrets = _call(cluster, f"/api/v1/namespaces/{account.namespace}/secrets", token=account.token())
    assert (pods.status_code, secrets.status_code) == (200, 403)


async def test_all_our_kinds_are_served(cluster):
    async with await ClusterClient.connect(cluster.kubeconfig) as client:
        assert [await client.list(of_kind(kind), "default") for kind in KINDS] == [[] for _ in KINDS]


def test_controllers_may_do_their_work(cluster, account):
    command = ["create", "job", "one", "--image=none", f"-n={account.namespace}"]
    _kubectl(cluster, *command)
    selector = "--for=create", "pod", "-l", "job-name=one", "--timeout=30s"
    _kubectl(cluster, "wait", *selector, f"-n={account.namespace}")


def test_kubectl_and_server_are_of_one_version(cluster):
    versions = json.loads(_kubectl(cluster, "version", "-o", "json"))
    assert versions["clientVersion"]["gitVersion"] == versions["serverVersion"]["gitVersion"]


def test_only_the_owner_may_read_credentials(cluster):
    keys = [*(cluster.directory / "certificates").glob("*.key"), cluster.kubeconfig, cluster.vault.root_token_file]
    keys += cluster.s3.credentials.rglob("*-key*")
    assert [path for path in keys if path.stat().st_mode & 0o077] == []
