from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from fedsnap.clients.cluster import CONFIG_MAP, JOB, NAMESPACE, ClusterClient, LostRace
from fedsnap.clients.cluster.connection import credentials
from fedsnap.clients.cluster.resources import of_object
from fedsnap.clients.errors import InvalidData, Misconfigured, NotFound, PermissionDenied, Unavailable


@pytest.fixture
async def cluster(kubeconfig):
    async with await ClusterClient.connect(kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(cluster):
    name = f"t-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete(NAMESPACE, None, name)


def _map(namespace, name="a", **data):
    metadata = {"namespace": namespace, "name": name, "labels": {"of": "test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _kubeconfig(path: Path, server: str, user: dict) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


class Server:
    """Plays an API server that answers by a script; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.script: list = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        step = self.script.pop(0) if self.script else {"items": [], "metadata": {"resourceVersion": "1"}}
        if isinstance(step, web.Response):
            return step
        if isinstance(step, dict):
            return web.json_response(step)
        response = web.StreamResponse()
        await response.prepare(request)
        for event in step:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


@pytest.fixture
async def played(tmp_path):
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    token = tmp_path / "token"
    token.write_text("first")
    path = _kubeconfig(tmp_path / "kubeconfig", f"http://{host}:{port}", {"tokenFile": "token"})
    async with await ClusterClient.connect(path) as client:
        yield server, client, token
    await runner.cleanup()


async def _take(changes, count):
    found = []
    async with asyncio.timeout(20):
        async for event in changes:
            if event.type != "ACTIVITY":
                found.append((event.type, event.object["metadata"]["name"]))
            if len(found) == count:
                return found
    raise AssertionError("unreachable: a watch never ends by itself")


def _item(name, version):
    return {"metadata": {"namespace": "n", "name": name, "uid": f"u-{name}", "resourceVersion": version}}


def _listed(version, *items):
    return {"items": list(items), "metadata": {"resourceVersion": version}}


@pytest.mark.cluster
class TestRealServer:
    async def test_applying_twice_changes_nothing(self, cluster, namespace):
        first = await cluster.apply(_map(namespace, a="1"))
        second = await cluster.apply(_map(namespace, a="1"))
        assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]

    async def test_a_field_that_is_no_longer_applied_is_removed(self, cluster, namespace):
        await cluster.apply(_map(namespace, a="1", b="2"))
        assert (await cluster.apply(_map(namespace, a="1")))["data"] == {"a": "1"}

    async def test_creating_twice_loses_the_race(self, cluster, namespace):
        await cluster.create(_map(namespace))
        with pytest.raises(LostRace) as caught:
            await cluster.create(_map(namespace))
        assert caught.value.reason == "AlreadyExists"

    async def test_replacing_an_old_version_loses_the_race(self, cluster, namespace):
        read = await cluster.create(_map(namespace))
        await cluster.merge_patch(CONFIG_MAP, namespace, "a", {"data": {"b": "1"}})
        with pytest.raises(LostRace):
            await cluster.replace(read)

    async def test_what_is_missing_is_none_and_can_be_deleted(self, cluster, namespace):
        assert await cluster.get(CONFIG_MAP, namespace, "nothing") is None
        await cluster.delete(CONFIG_MAP, namespace, "nothing")

    async def test_writing_into_a_missing_namespace_names_the_place(self, cluster):
        with pytest.raises(NotFound, match="namespaces/nowhere-at-all"):
            await cluster.create(_map("nowhere-at-all"))

    async def test_lists_are_selected_by_label_and_carry_their_kind(self, cluster, namespace):
        await cluster.create(_map(namespace))
        found = await cluster.list(CONFIG_MAP, namespace, {"of": "test"})
        assert [(one["kind"], one["metadata"]["name"]) for one in found] == [("ConfigMap", "a")]

    async def test_an_invalid_object_is_refused_with_the_field(self, cluster, namespace):
        with pytest.raises(InvalidData, match=r"metadata\.name"):
            await cluster.create(_map(namespace, name="Not A Name"))

    async def test_a_watch_delivers_what_is_there_and_what_comes(self, cluster, namespace):
        await cluster.create(_map(namespace, "before"))
        changes = cluster.watch(CONFIG_MAP, namespace, {"of": "test"})
        assert await _take(changes, 1) == [("ADDED", "before")]
        await cluster.create(_map(namespace, "later"))
        await cluster.delete(CONFIG_MAP, namespace, "before")
        assert await _take(changes, 2) == [("ADDED", "later"), ("DELETED", "before")]
        await changes.aclose()

    async def test_a_watch_from_a_version_that_is_too_old_lists_again(self, cluster, namespace):
        await cluster.create(_map(namespace))
        changes = cluster.watch(CONFIG_MAP, namespace, {"of": "test"}, since="1")
        assert await _take(changes, 1) == [("ADDED", "a")]

    async def test_an_unknown_token_is_denied(self, kubeconfig, tmp_path):
        content = yaml.safe_load(kubeconfig.read_text())
        content["users"][0]["user"] = {"token": "unknown"}
        wrong = tmp_path / "wrong"
        wrong.write_text(yaml.safe_dump(content))
        async with await ClusterClient.connect(wrong) as client:
            with pytest.raises(PermissionDenied):
                await client.list(JOB, "default")


async def test_a_dropped_watch_resumes_after_the_last_version(played):
    server, client, _ = played
    server.script = [
        _listed("5", _item("a", "4")),
        [{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}],
        [{"type": "ADDED", "object": _item("b", "10")}],
    ]
    assert await _take(client.watch(CONFIG_MAP, "n"), 2) == [("ADDED", "a"), ("ADDED", "b")]
    assert [one.query.get("resourceVersion") for one in server.asked] == [None, "5", "9"]


async def test_after_a_410_only_differences_are_delivered(played):
    server, client, _ = played
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
    server.script = [
        _listed("5", _item("same", "1"), _item("changed", "2"), _item("lost", "3")),
        [gone],
        _listed("20", _item("same", "1"), _item("changed", "12"), _item("new", "13")),
    ]
    found = await _take(client.watch(CONFIG_MAP, "n"), 6)
    assert found[3:] == [("MODIFIED", "changed"), ("ADDED", "new"), ("DELETED", "lost")]


async def test_a_failing_server_is_asked_again_after_a_pause(played):
    server, client, _ = played
    server.script = [web.Response(status=500), web.Response(status=500), _listed("5", _item("a", "4"))]
    assert await _take(client.watch(CONFIG_MAP, "n"), 1) == [("ADDED", "a")]


async def test_a_request_that_was_throttled_is_sent_again_after_the_time_given(played):
    server, client, _ = played
    server.script = [web.Response(status=429, headers={"Retry-After": "0.1"}), {"metadata": {"name": "a"}}]
    assert (await client.create(_map("n")))["metadata"]["name"] == "a"
    assert [one.method for one in server.asked] == ["POST", "POST"]


async def test_a_write_that_failed_without_retry_after_is_not_repeated(played):
    server, client, _ = played
    server.script = [web.Response(status=503, text="no endpoints")]
    with pytest.raises(Unavailable, match="no endpoints"):
        await client.create(_map("n"))
    assert len(server.asked) == 1


async def test_a_list_of_many_pages_is_read_whole(played):
    server, client, _ = played
    first = {"items": [_item("a", "1")], "metadata": {"resourceVersion": "5", "continue": "next"}}
    server.script = [first, _listed("5", _item("b", "2"))]
    assert [one["metadata"]["name"] for one in await client.list(CONFIG_MAP, "n")] == ["a", "b"]
    assert server.asked[1].query["continue"] == "next"


async def test_a_rotated_token_is_read_again(played):
    server, client, token = played
    await client.list(CONFIG_MAP, "n")
    token.write_text("second\n")
    await client.list(CONFIG_MAP, "n")
    assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]


async def test_an_answer_that_is_no_json_is_invalid(played):
    server, client, _ = played
    server.script = [web.Response(text="<html>")]
    with pytest.raises(InvalidData, match="expected a JSON object"):
        await client.get(CONFIG_MAP, "n", "a")


async def test_an_unreachable_server_is_unavailable(tmp_path, unused_tcp_port):
    path = _kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{unused_tcp_port}", {"token": "t"})
    async with await ClusterClient.connect(path) as client:
        with pytest.raises(Unavailable, match="Unreachable"):
            await client.list(CONFIG_MAP, "n")


async def test_a_missing_kubeconfig_is_a_wrong_setting(tmp_path):
    with pytest.raises(Misconfigured, match="nowhere"):
        await ClusterClient.connect(tmp_path / "nowhere")


async def test_a_mounted_service_account_is_used_without_a_kubeconfig(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("bearer-of-the-pod")
    (tmp_path / "ca.crt").write_text("certificate")
    monkeypatch.setenv("FEDSNAP_SERVICE_ACCOUNT_DIR", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    found = await credentials(None)
    assert (found.server, found.authorization.split()[-1]) == ("https://127.0.0.1:6443", "bearer-of-the-pod")
    assert "bearer-of-the-pod" not in repr(found)


def test_a_kind_that_fedsnap_does_not_work_with_is_refused():
    with pytest.raises(InvalidData, match="v1 Service"):
        of_object({"apiVersion": "v1", "kind": "Service"})


def test_an_object_of_a_namespaced_kind_needs_its_namespace():
    with pytest.raises(ValueError, match="namespace of Job a"):
        JOB.path(None, "a")
