"""Volumes of process nodes, on a real file system."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from fedsnap.local.node.api import Token
from fedsnap.local.node.errors import CannotStart
from fedsnap.local.node.podspec import Pod
from fedsnap.local.node.sources import Sources
from fedsnap.local.node.tokens import pause_of
from fedsnap.local.node.volumes import TokenFile, lay_out, mounts_of, remove, write


class Objects:
    async def get(self, resource, _namespace, name):
        kept = {
            ("ConfigMap", "c"): {"data": {"a": "1", "b": "2"}, "binaryData": {"c": base64.b64encode(b"\xff").decode()}},
            ("Secret", "s"): {"data": {"key": base64.b64encode(b"hidden").decode()}},
        }
        found = kept.get((resource.kind, name))
        return found and {"kind": resource.kind, **found}


def pod(*volumes: dict, mounts=()) -> Pod:
    metadata = {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "web"}}
    container = {"name": "main", "image": "i", "volumeMounts": list(mounts)}
    return Pod.model_validate({"metadata": metadata, "spec": {"volumes": list(volumes), "containers": [container]}})


async def laid_out(tmp_path, *volumes: dict):
    return await lay_out(pod(*volumes), tmp_path / "volumes", tmp_path / "claims", Sources(Objects(), "n"))


def content(directory) -> dict[str, bytes]:
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


async def test_all_keys_of_a_config_map_become_files(tmp_path):
    found = await laid_out(tmp_path, {"name": "v", "configMap": {"name": "c"}})
    assert content(found.directories["v"]) == {"a": b"1", "b": b"2", "c": b"\xff"}


async def test_items_choose_keys_paths_and_modes(tmp_path):
    items = [{"key": "a", "path": "sub/x", "mode": 0o440}]
    found = await laid_out(tmp_path, {"name": "v", "configMap": {"name": "c", "items": items}})
    assert content(found.directories["v"]) == {"sub/x": b"1"}
    assert (found.directories["v"] / "sub/x").stat().st_mode & 0o777 == 0o440


async def test_only_the_owner_reads_a_secrets_files(tmp_path):
    found = await laid_out(tmp_path, {"name": "v", "secret": {"secretName": "s", "defaultMode": 0o644}})
    assert (found.directories["v"] / "key").read_bytes() == b"hidden"
    assert (found.directories["v"] / "key").stat().st_mode & 0o777 == 0o400
    assert found.directories["v"].stat().st_mode & 0o777 == 0o700


async def test_a_projected_volume_joins_its_sources(tmp_path):
    sources = [
        {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 700}},
        {"configMap": {"name": "c", "items": [{"key": "a", "path": "a"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    found = await laid_out(tmp_path, {"name": "v", "projected": {"sources": sources}})
    assert content(found.directories["v"]) == {"a": b"1", "key": b"hidden", "namespace": b"n"}
    assert found.tokens == (TokenFile(found.directories["v"] / "token", "vault", 700),)


async def test_labels_become_a_file(tmp_path):
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    found = await laid_out(tmp_path, {"name": "v", "downwardAPI": {"items": items}})
    assert content(found.directories["v"]) == {"labels": b'app="web"'}


async def test_a_claim_outlives_its_pod(tmp_path):
    found = await laid_out(tmp_path, {"name": "v", "persistentVolumeClaim": {"claimName": "data"}})
    (found.directories["v"] / "x").write_text("kept")
    remove(tmp_path / "volumes")
    again = await laid_out(tmp_path, {"name": "v", "persistentVolumeClaim": {"claimName": "data"}})
    assert content(again.directories["v"]) == {"x": b"kept"}


async def test_a_host_path_is_the_path_itself(tmp_path):
    path = tmp_path / "host"
    found = await laid_out(tmp_path, {"name": "v", "hostPath": {"path": str(path), "type": "DirectoryOrCreate"}})
    assert found.directories["v"] == path
    assert path.is_dir()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"nfs": {"server": "x"}}, "process nodes know no other volumes"),
        ({"configMap": {"name": "none"}}, "ConfigMap n/none not found"),
        ({"configMap": {"name": "c", "items": [{"key": "z", "path": "z"}]}}, "expected key z"),
        ({"configMap": {"name": "c", "items": [{"key": "a", "path": "../a"}]}}, "without .."),
        ({"hostPath": {"path": "/no/such", "type": "Directory"}}, "found nothing"),
    ],
)
async def test_what_cannot_be_laid_out_is_said(tmp_path, volume, message):
    with pytest.raises(CannotStart, match=message):
        await laid_out(tmp_path, {"name": "v", **volume})


async def test_what_is_optional_may_be_missing(tmp_path):
    found = await laid_out(tmp_path, {"name": "v", "configMap": {"name": "none", "optional": True}})
    assert content(found.directories["v"]) == {}


def mounts(tmp_path, **mount):
    of = pod(mounts=[{"name": "v", "mountPath": "/m", **mount}])
    (tmp_path / "v").mkdir(exist_ok=True)
    return mounts_of(of.spec.containers[0], {"v": tmp_path / "v"}, {"INDEX": "2"}, tmp_path / "log")


def test_a_sub_path_is_made_and_mounted(tmp_path):
    assert mounts(tmp_path, subPath="a/b").rewrite("/m/x") == str(tmp_path / "v/a/b/x")
    assert (tmp_path / "v/a/b").is_dir()


def test_a_sub_path_may_hold_variables(tmp_path):
    assert mounts(tmp_path, subPathExpr="part-$(INDEX)").rewrite("/m") == str(tmp_path / "v/part-2")


def test_a_sub_path_stays_inside_its_volume(tmp_path):
    with pytest.raises(CannotStart, match=r"without \.\."):
        mounts(tmp_path, subPath="../x")
    (tmp_path / "v/link").symlink_to(tmp_path)
    with pytest.raises(CannotStart, match="leads out"):
        mounts(tmp_path, subPath="link/x")


def test_the_termination_log_is_a_mount_too(tmp_path):
    assert mounts(tmp_path).rewrite("/dev/termination-log") == str(tmp_path / "log")


def test_a_read_only_file_is_replaced_at_once(tmp_path):
    write(tmp_path / "token", b"old", 0o400)
    write(tmp_path / "token", b"new", 0o400)
    assert content(tmp_path) == {"token": b"new"}


def test_what_a_process_made_unreadable_is_removed_too(tmp_path):
    inner = tmp_path / "scratch/closed"
    inner.mkdir(parents=True)
    (inner / "x").touch()
    inner.chmod(0)
    remove(tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(("lifetime", "pause"), [(600, 480), (3600, 480), (0, 1)])
def test_a_token_is_replaced_after_four_fifths_of_what_was_asked_for(lifetime, pause):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert pause_of(Token("t", now + timedelta(seconds=lifetime)), 600, now) == pause
