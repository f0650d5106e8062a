from __future__ import annotations

import subprocess
import uuid

import pytest

from fedsnap.clients.errors import PermissionDenied
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.local.federation import parts, rbac, vault
from fedsnap.local.federation.apply import applier
from fedsnap.local.federation.layout import DATA_KEY, IDENTITY_KEY, Federation, Member
from fedsnap.local.federation.setup import Running, administrator

pytestmark = [pytest.mark.cluster, pytest.mark.services]


@pytest.fixture(scope="module")
async def running(cluster):
    suffix = uuid.uuid4().hex[:8]
    federation = Federation(
        members=(Member(name=f"us-{suffix}"), Member(name=f"them-{suffix}")),
        model=f"heart-{suffix}",
        hub_namespace=f"hub-{suffix}",
        model_namespace=f"model-{suffix}",
    )
    found = Running(cluster=cluster, federation=federation)
    async with applier(cluster.kubeconfig) as api:
        await api.apply([*parts.namespaces(federation), *parts.accounts(federation)])
    vault.set_up(administrator(found), federation)
    return found


@pytest.fixture
def logged_in(running, tmp_path):
    """A client that logs in to Vault as a role, by a token of its service account."""

    def login(role):
        found = next(one for one in vault.roles(running.federation) if one.name == role)
        kubectl = [running.cluster.kubectl, f"--kubeconfig={running.cluster.kubeconfig}"]
        command = [*kubectl, "create", "token", found.account, f"-n={found.namespace}", "--audience=vault"]
        file = tmp_path / role
        file.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return VaultClient(
            VaultSettings(address=running.cluster.vault.address, role=role, token_file=str(file), auth_mount="jwt")
        )

    return login


def test_keys_that_exist_are_kept_when_it_is_set_up_again(running):
    us = running.federation.members[0]
    client = VaultClient(
        VaultSettings(address=running.cluster.vault.address, role="admin"), token=running.cluster.vault.root_token
    )
    before = client.public_keys(us.transit_mount, IDENTITY_KEY)
    vault.set_up(administrator(running), running.federation)
    assert client.public_keys(us.transit_mount, IDENTITY_KEY) == before


def test_jobs_of_a_member_sign_with_its_own_key_and_no_other(running, logged_in):
    us, them = running.federation.members
    client = logged_in(us.job_role)
    assert client.sign(us.transit_mount, IDENTITY_KEY, b"commit").key_id == f"{IDENTITY_KEY}:v1"
    for mount in (them.transit_mount, "transit"):
        with pytest.raises(PermissionDenied):
            client.sign(mount, IDENTITY_KEY, b"commit")


def test_members_open_what_the_hub_sealed_for_the_model_and_cannot_seal_it_themselves(running, logged_in):
    model = running.federation.model
    key = logged_in(vault.HUB_JOB_ROLE).create_data_key("transit", model, b"snapshot")
    member = logged_in(running.federation.members[0].job_role)
    assert member.decrypt("transit", model, key.wrapped, b"snapshot") == key.plain
    with pytest.raises(PermissionDenied):
        member.create_data_key("transit", model, b"snapshot")


def test_the_coordinator_wraps_a_round_key_that_only_jobs_of_the_hub_unwrap(running, logged_in):
    coordinator = logged_in(vault.COORDINATOR_ROLE)
    wrapped = coordinator.encrypt("transit", DATA_KEY, b"private", b"round")
    assert logged_in(vault.HUB_JOB_ROLE).decrypt("transit", DATA_KEY, wrapped, b"round") == b"private"
    for other in (coordinator, logged_in(running.federation.members[0].job_role)):
        with pytest.raises(PermissionDenied):
            other.decrypt("transit", DATA_KEY, wrapped, b"round")


def test_a_member_operator_sees_versions_of_the_model_key_and_uses_no_key(running, logged_in):
    us, model = running.federation.members[0], running.federation.model
    client = logged_in(us.operator_role)
    assert client.key_info("transit", model).latest_version == 1
    with pytest.raises(PermissionDenied):
        client.sign(us.transit_mount, IDENTITY_KEY, b"commit")


def test_another_service_account_cannot_take_a_role(running, tmp_path):
    us, them = running.federation.members
    kubectl = [running.cluster.kubectl, f"--kubeconfig={running.cluster.kubeconfig}"]
    command = [*kubectl, "create", "token", rbac.OPERATOR_ACCOUNT, f"-n={them.namespace}", "--audience=vault"]
    file = tmp_path / "token"
    file.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    settings = VaultSettings(address=running.cluster.vault.address, role=us.operator_role, token_file=str(file))
    with pytest.raises(PermissionDenied):
        VaultClient(settings).key_info("transit", running.federation.model)


def test_the_token_of_a_reader_opens_snapshots_of_the_model_and_nothing_else(running, logged_in):
    federation = running.federation
    key = logged_in(vault.HUB_JOB_ROLE).create_data_key("transit", federation.model, b"snapshot")
    token = vault.reader_token(administrator(running), federation)
    reader = VaultClient(VaultSettings(address=running.cluster.vault.address, role="person"), token=token)
    assert reader.decrypt("transit", federation.model, key.wrapped, b"snapshot") == key.plain
    with pytest.raises(PermissionDenied):
        reader.decrypt("transit", DATA_KEY, key.wrapped, b"snapshot")
    with pytest.raises(PermissionDenied):
        reader.create_data_key("transit", federation.model, b"snapshot")
