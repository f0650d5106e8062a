from __future__ import annotations

import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedsnap.clients.errors import InvalidData, Misconfigured, NotFound, PermissionDenied, Unavailable
from fedsnap.clients.vault import VaultClient, VaultSettings, wrapped_version
from services import ROOT_TOKEN, projected_token, run_vault

pytestmark = pytest.mark.services


@pytest.fixture
def key(vault):
    name = f"key-{uuid.uuid4().hex}"
    vault.key(name)
    return name


@pytest.fixture
def root(vault):
    return VaultClient(VaultSettings(address=vault.address, role="none"), token=ROOT_TOKEN)


def _workload(vault, tmp_path, role, *paths):
    vault.allow(role, *paths)
    token = tmp_path / "token"
    token.write_text(projected_token(role))
    return VaultClient(VaultSettings(address=vault.address, role=role, token_file=str(token)))


def test_a_data_key_opens_only_with_its_context_and_is_not_shown(root, key):
    made = root.create_data_key("transit", key, b"root")
    assert len(made.plain) == 32
    assert root.decrypt("transit", key, made.wrapped, b"root") == made.plain
    assert wrapped_version(made.wrapped) == 1
    assert repr(made.plain) not in repr(made)
    with pytest.raises(InvalidData):
        root.decrypt("transit", key, made.wrapped, b"another")


def test_what_is_encrypted_is_decrypted(root, key):
    assert root.decrypt("transit", key, root.encrypt("transit", key, b"secret", b"c"), b"c") == b"secret"


def test_a_signature_holds_under_the_public_key_of_its_version(vault, root):
    name = f"id-{uuid.uuid4().hex}"
    vault.key(name, "ed25519")
    vault.root().write_data(f"transit/keys/{name}/rotate", data={})
    made = root.sign("transit", name, b"message")
    assert made.key_id == f"{name}:v2"
    Ed25519PublicKey.from_public_bytes(root.public_keys("transit", name)[made.key_id]).verify(
        made.signature, b"message"
    )


def test_key_versions_are_told_and_a_retired_one_is_refused(vault, root, key):
    wrapped = root.encrypt("transit", key, b"x", b"c")
    vault.root().write_data(f"transit/keys/{key}/rotate", data={})
    vault.root().write_data(f"transit/keys/{key}/config", data={"min_decryption_version": 2})
    info = root.key_info("transit", key)
    assert (info.latest_version, info.min_decryption_version) == (2, 2)
    with pytest.raises(InvalidData) as refused:
        root.decrypt("transit", key, wrapped, b"c")
    assert refused.value.reason == "KeyVersionUnusable"


def test_a_missing_key_is_named(root):
    for ask in (lambda: root.key_info("transit", "gone"), lambda: root.create_data_key("transit", "gone", b"c")):
        with pytest.raises(NotFound, match="gone") as missing:
            ask()
        assert missing.value.reason == "KeyNotFound"


def test_a_workload_logs_in_with_its_projected_token_and_may_do_what_its_role_allows(vault, key, tmp_path):
    client = _workload(vault, tmp_path, f"role-{key}", f"transit/datakey/plaintext/{key}")
    wrapped = client.create_data_key("transit", key, b"c").wrapped
    with pytest.raises(PermissionDenied, match="transit/decrypt"):
        client.decrypt("transit", key, wrapped, b"c")


def test_a_revoked_token_is_replaced_by_a_new_login(vault, key, tmp_path):
    client = _workload(vault, tmp_path, f"role-{key}", f"transit/keys/{key}")
    client.key_info("transit", key)
    vault.root().write_data("sys/leases/revoke-prefix/auth/jwt/login", data={})
    assert client.key_info("transit", key).latest_version == 1


def test_a_login_with_another_subject_is_denied_without_showing_the_token(vault, key, tmp_path):
    client = _workload(vault, tmp_path, f"role-{key}", f"transit/keys/{key}")
    token = projected_token("somebody-else")
    (tmp_path / "token").write_text(token)
    with pytest.raises(PermissionDenied) as denied:
        client.key_info("transit", key)
    assert token not in str(denied.value)


def test_a_missing_token_file_is_a_matter_of_configuration(vault, tmp_path):
    settings = VaultSettings(address=vault.address, role="r", token_file=str(tmp_path / "none"))
    with pytest.raises(Misconfigured, match="projected token"):
        VaultClient(settings).key_info("transit", "k")


def test_a_sealed_vault_says_so_and_a_dead_one_is_unavailable(tmp_path):
    with run_vault(tmp_path) as vault:
        vault.key("k")
        client = VaultClient(VaultSettings(address=vault.address, role="none"), token=ROOT_TOKEN)
        vault.root().sys.seal()
        with pytest.raises(Unavailable) as sealed:
            client.key_info("transit", "k")
        assert sealed.value.reason == "VaultSealed"
    with pytest.raises(Unavailable) as down:
        client.key_info("transit", "k")
    assert down.value.reason == "VaultUnavailable"
