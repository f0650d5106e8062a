from __future__ import annotations

import argparse
import io

import pytest
import yaml
from safetensors.numpy import load_file

from fedsnap.api.modelsnapshot import ModelSnapshotSpec
from fedsnap.cli import pull
from hub_and_members import FIRST, Hub
from services import ROOT_TOKEN

pytestmark = pytest.mark.services


@pytest.fixture
def hub(s3, vault, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", ROOT_TOKEN)
    monkeypatch.setenv("VAULT_ADDR", vault.address)
    hub = Hub.start(s3, vault, tmp_path)
    hub.initialize()
    return hub


def document(hub, **changes):
    base = hub.base
    spec = ModelSnapshotSpec(
        model_ref={"name": "heart"},
        round=0,
        layout_digest=hub.layout_digest,
        coordinates=hub.coordinates,
        encryption=base.model_dump(include={"vault_mount", "vault_key", "key_version", "wrapped_key"}),
        location={"bucket": hub.bucket, "path": base.path},
        **base.model_dump(
            include={"content_root", "plaintext_digest", "plaintext_size", "ciphertext_digest", "ciphertext_size"}
        ),
    )
    return {
        "apiVersion": "fedsnap.dev/v1alpha1",
        "kind": "ModelSnapshot",
        "metadata": {"name": "heart-0", "namespace": "research"},
        "spec": spec.to_wire() | changes,
    }


def run_pull(hub, content, *options):
    file = hub.directory / "snapshot.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    parser = argparse.ArgumentParser()
    pull.add_arguments(parser)
    target = hub.directory / "pulled.safetensors"
    arguments = [str(file), "-o", str(target), "--store", hub.s3.endpoint, "--allow-http"]
    arguments += ["--store-credentials", str(hub.s3.credentials), *options]
    return pull.run(parser.parse_args(arguments)), target


def test_a_published_snapshot_opens_as_plain_safetensors(hub, capsys):
    code, target = run_pull(hub, document(hub))
    assert code == 0, capsys.readouterr().err
    assert {name: array.tolist() for name, array in load_file(target).items()} == {
        name: array.tolist() for name, array in FIRST.items()
    }
    assert hub.base.content_root in capsys.readouterr().out


def test_a_snapshot_of_a_round_opens_too(hub):
    hub.until_sealed()
    hub.write_roster()
    hub.aggregate()
    hub.adopt(hub.publish())
    assert run_pull(hub, document(hub))[0] == 0


def test_what_kubectl_prints_may_come_by_a_pipe(hub, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(yaml.safe_dump(document(hub)).encode()))
    monkeypatch.setattr("sys.stdin", text)
    assert pull.read_spec("-").content_root == hub.base.content_root


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"plaintextDigest": "sha256:" + "0" * 64}, "SnapshotMismatch"),
        ({"ciphertextDigest": "sha256:" + "0" * 64}, "SnapshotMismatch"),
        ({"contentRoot": "sha256:" + "0" * 64}, "VaultRequestRefused"),
        ({"state": "Shredded"}, "SnapshotShredded"),
    ],
)
def test_a_snapshot_that_is_not_what_its_record_says_leaves_no_file(changes, reason, hub, capsys):
    code, target = run_pull(hub, document(hub, **changes))
    assert code == 1
    assert f"fedsnap pull: {reason}: " in capsys.readouterr().err
    assert not target.exists()


def test_altered_bytes_leave_no_file(hub, capsys):
    content = bytearray(hub.store.get(hub.base.path, 10**7))
    content[-1] ^= 1
    hub.overwrite(hub.base.path, bytes(content))
    code, target = run_pull(hub, document(hub))
    assert code == 1
    assert "ciphertext digest" in capsys.readouterr().err
    assert not target.exists()


def test_an_earlier_file_survives_a_pull_that_fails(hub):
    (hub.directory / "pulled.safetensors").write_text("precious")
    code, target = run_pull(hub, document(hub, plaintextDigest="sha256:" + "0" * 64))
    assert code == 1
    assert target.read_text() == "precious"


def test_a_token_without_the_right_is_denied(hub, monkeypatch, capsys):
    monkeypatch.setenv("VAULT_TOKEN", "nobody")
    assert run_pull(hub, document(hub))[0] == 1
    assert "PermissionDenied" in capsys.readouterr().err


def test_a_token_may_come_from_a_file(hub, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN")
    (hub.directory / "token").write_text(f"{ROOT_TOKEN}\n")
    assert run_pull(hub, document(hub), "--vault-token-file", str(hub.directory / "token"))[0] == 0


def test_without_a_token_the_advice_says_where_it_is_looked_for(hub, monkeypatch, capsys):
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(hub.directory))
    assert run_pull(hub, document(hub))[0] == 1
    assert "set VAULT_TOKEN, give --vault-token-file" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "spec: {}", "{", "spec: 1"])
def test_a_file_that_is_no_snapshot_is_refused(content, hub, capsys):
    assert run_pull(hub, content)[0] == 1
    assert "SnapshotInvalid" in capsys.readouterr().err


def test_a_directory_that_does_not_exist_is_named(hub, capsys):
    parser = argparse.ArgumentParser()
    pull.add_arguments(parser)
    file = hub.directory / "snapshot.yaml"
    file.write_text(yaml.safe_dump(document(hub)))
    arguments = [str(file), "-o", "/nowhere/m.safetensors", "--store", hub.s3.endpoint, "--allow-http"]
    arguments += ["--store-credentials", str(hub.s3.credentials)]
    assert pull.run(parser.parse_args(arguments)) == 1
    assert "/nowhere" in capsys.readouterr().err
