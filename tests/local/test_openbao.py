from __future__ import annotations

import signal

import hvac
import pytest

from fedsnap.local import certificates, openbao
from fedsnap.local.ports import free_ports
from fedsnap.local.processes import Processes

pytestmark = pytest.mark.services


@pytest.fixture
def role(cluster, account):
    """A JWT role for one service account that may make data keys of one transit key."""
    root = hvac.Client(url=cluster.vault.address, token=cluster.vault.root_token)
    name = account.namespace
    root.write_data(f"transit/keys/{name}", data={"type": "aes256-gcm96"})
    root.sys.create_or_update_policy(name, f'path "transit/datakey/plaintext/{name}" {{ capabilities = ["update"] }}')
    data = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": [name]}
    root.write_data(f"auth/jwt/role/{name}", data=data | {"bound_subject": account.subject})
    yield name
    root.delete(f"auth/jwt/role/{name}")


def _login(cluster, role, token):
    client = hvac.Client(url=cluster.vault.address)
    answer = client.auth.jwt.jwt_login(role=role, jwt=token)
    client.token = answer["auth"]["client_token"]
    return client


def test_a_service_account_logs_in_with_its_projected_token(cluster, account, role):
    client = _login(cluster, role, account.token(audience="vault"))
    assert client.write_data(f"transit/datakey/plaintext/{role}", data={})["data"]["ciphertext"].startswith("vault:v1:")


def test_a_role_may_do_nothing_that_its_policy_does_not_name(cluster, account, role):
    client = _login(cluster, role, account.token(audience="vault"))
    with pytest.raises(hvac.exceptions.Forbidden):
        client.read(f"transit/keys/{role}")


def test_another_subject_is_denied(cluster, account, role):
    root = hvac.Client(url=cluster.vault.address, token=cluster.vault.root_token)
    root.write_data(f"auth/jwt/role/{role}", data={"role_type": "jwt", "bound_subject": "system:serviceaccount:x:y"})
    with pytest.raises(hvac.exceptions.InvalidRequest, match=r"invalid subject \(sub\) claim"):
        _login(cluster, role, account.token(audience="vault"))


def test_a_token_for_another_audience_is_denied(cluster, account, role):
    with pytest.raises(hvac.exceptions.InvalidRequest, match="audience"):
        _login(cluster, role, account.token())


def test_data_and_the_root_token_survive_a_kill(tmp_path):
    ports, processes = free_ports(openbao.PORTS), Processes(tmp_path, die_with_us=True)
    key = certificates.signing_key(tmp_path / "token.key", tmp_path / "token.pub")
    try:
        openbao.start(tmp_path, ports, key, processes)
        server = openbao.wait(tmp_path, ports, processes)
        hvac.Client(url=server.address, token=server.root_token).write_data("transit/keys/kept", data={})
        processes.stop(openbao.PROCESS, how=signal.SIGKILL)
        openbao.start(tmp_path, ports, key, processes)
        server = openbao.wait(tmp_path, ports, processes)
        kept = hvac.Client(url=server.address, token=server.root_token).read("transit/keys/kept")
        assert kept["data"]["name"] == "kept"
    finally:
        processes.stop(openbao.PROCESS, how=signal.SIGKILL)
