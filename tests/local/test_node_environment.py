"""Environment, images and mount paths of process nodes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from fedsnap.clients.errors import Misconfigured
from fedsnap.local.node.environment import Context, Surroundings, declared, expand, program
from fedsnap.local.node.errors import CannotStart
from fedsnap.local.node.images import Image, image_named, read_images
from fedsnap.local.node.mounts import Backing, Mounts
from fedsnap.local.node.podspec import Pod
from fedsnap.local.node.sources import Sources

AROUND = Surroundings("127.0.0.1", "6443", {"cpu": "8", "memory": "16Gi"})


class Objects:
    """Objects of one namespace by kind and name; counts the reads."""

    def __init__(self, **found) -> None:
        self.found = found
        self.reads = 0

    async def get(self, resource, _namespace, name):
        self.reads += 1
        data = self.found.get(f"{resource.kind}_{name}")
        return None if data is None else {"kind": resource.kind, "data": data}


def pod(**container) -> Pod:
    metadata = {
        "name": "p",
        "namespace": "n",
        "uid": "u",
        "labels": {"app": "web"},
        "annotations": {"batch.kubernetes.io/job-completion-index": "3"},
    }
    one = {"name": "main", "image": "i", **container}
    return Pod.model_validate({"metadata": metadata, "spec": {"nodeName": "node", "containers": [one]}})


def context(of: Pod, **objects) -> Context:
    return Context(of, Sources(Objects(**objects), "n"), AROUND)


async def variables(env=(), env_from=(), resources=None, **objects) -> dict[str, str]:
    of = pod(env=list(env), envFrom=list(env_from), resources=resources or {})
    return await declared(of.spec.containers[0], context(of, **objects))


def of_key(kind: str, name: str, key: str, **more) -> dict:
    return {"name": "V", "valueFrom": {kind: {"name": name, "key": key, **more}}}


def of_field(path: str) -> dict:
    return {"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)/$(B)", "1/2"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("$$$(A)", "$1"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, expanded):
    assert expand(text, {"A": "1", "B": "2"}) == expanded


async def test_a_variable_may_refer_to_earlier_ones_and_to_the_api_server():
    env = [
        {"name": "A", "value": "$(B)"},
        {"name": "B", "value": "b"},
        {"name": "C", "value": "$(B)@$(KUBERNETES_SERVICE_HOST)"},
    ]
    assert await variables(env) == {"A": "$(B)", "B": "b", "C": "b@127.0.0.1"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "n"),
        ("metadata.uid", "u"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['batch.kubernetes.io/job-completion-index']", "3"),
        ("metadata.labels['absent']", ""),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "127.0.0.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
async def test_fields_of_the_pod_become_values(path, value):
    assert await variables([of_field(path)]) == {"V": value}


async def test_an_unknown_field_names_the_known_ones():
    with pytest.raises(CannotStart, match=r"status\.podIP"):
        await variables([of_field("status.phase")])


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.memory", "1Mi", "512"),
        ("requests.cpu", "0", "1"),
        ("requests.cpu", "1m", "500"),
        ("limits.cpu", "1", "8"),
    ],
)
async def test_resources_become_values_in_units_of_the_divisor(resource, divisor, value):
    env = [{"name": "V", "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}]
    found = await variables(env, resources={"requests": {"cpu": "500m"}, "limits": {"memory": "512Mi"}})
    assert found == {"V": value}


async def test_keys_of_config_maps_and_secrets_become_values():
    secret = {"k": base64.b64encode(b"hidden").decode()}
    assert await variables([of_key("secretKeyRef", "s", "k")], Secret_s=secret) == {"V": "hidden"}
    assert await variables([of_key("configMapKeyRef", "c", "k")], ConfigMap_c={"k": "seen"}) == {"V": "seen"}


async def test_what_is_optional_and_missing_leaves_the_variable_unset():
    assert await variables([of_key("secretKeyRef", "s", "k", optional=True)]) == {}
    assert await variables([of_key("configMapKeyRef", "c", "k", optional=True)], ConfigMap_c={"a": "b"}) == {}


async def test_what_is_missing_is_named():
    with pytest.raises(CannotStart, match="Secret n/s not found") as raised:
        await variables([of_key("secretKeyRef", "s", "k")])
    assert raised.value.reason == "CreateContainerConfigError"
    with pytest.raises(CannotStart, match="expected key k in ConfigMap c"):
        await variables([of_key("configMapKeyRef", "c", "k")], ConfigMap_c={"a": "b"})


async def test_whole_objects_become_prefixed_variables_that_the_containers_own_override():
    env_from = [{"prefix": "P_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "none", "optional": True}}]
    env = [{"name": "P_a", "value": "own"}]
    found = await variables(env, env_from, ConfigMap_c={"a": "1", "b": "2", "not a name": "3"})
    assert found == {"P_a": "own", "P_b": "2"}


async def test_each_object_is_read_once():
    objects = Objects(ConfigMap_c={"a": "1", "b": "2"})
    sources = Sources(objects, "n")
    await sources.config_map("c")
    await sources.config_map("c")
    assert objects.reads == 1


MOUNTS = Mounts([Backing("/data", Path("/s/d")), Backing("/data/deep", Path("/s/deep")), Backing("/d/", Path("/s/e"))])


@pytest.mark.parametrize(
    ("value", "rewritten"),
    [
        ("/data", "/s/d"),
        ("/data/x", "/s/d/x"),
        ("/data/deep/x", "/s/deep/x"),
        ("/database", "/database"),
        ("/d/x", "/s/e/x"),
        ("see /data", "see /data"),
        ("", ""),
    ],
)
def test_the_longest_mount_path_is_rewritten(value, rewritten):
    assert MOUNTS.rewrite(value) == rewritten


@pytest.mark.parametrize(
    ("argument", "rewritten"),
    [("--in=/data/x", "--in=/s/d/x"), ("--a=b=/data", "--a=b=/s/d"), ("/data", "/s/d"), ("--in=/other", "--in=/other")],
)
def test_paths_in_arguments_are_rewritten_after_an_equals_sign_too(argument, rewritten):
    assert MOUNTS.rewrite_argument(argument) == rewritten


def ran(image: Image, mounts: Mounts, values=None, **container):
    of = pod(**container)
    return program(of.spec.containers[0], image, values or {}, mounts, context(of))


def test_the_images_environment_is_below_the_pods_and_its_path_before_the_machines():
    image = Image(path="/venv/bin", env={"A": "image", "B": "image"})
    found = ran(image, MOUNTS, {"A": "/data/x"}, command=["run"])
    assert (found.env["A"], found.env["B"]) == ("/s/d/x", "image")
    assert found.env["PATH"].startswith("/venv/bin:/usr/local/sbin:")
    assert found.env["HOSTNAME"] == "p"
    assert found.env["KUBERNETES_SERVICE_PORT"] == "6443"


def test_no_path_is_rewritten_twice():
    mounts = Mounts([Backing("/tmp", Path("/tmp/state/volume"))])  # noqa: S108
    found = ran(Image(), mounts, {"DIR": "/tmp/x"}, command=["run", "$(DIR)", "--in=$(DIR)"])  # noqa: S108
    assert found.argv == ("run", "/tmp/state/volume/x", "--in=/tmp/state/volume/x")  # noqa: S108
    assert found.env["DIR"] == "/tmp/state/volume/x"  # noqa: S108


def test_programs_learn_where_account_and_termination_log_lie():
    account = Backing("/var/run/secrets/kubernetes.io/serviceaccount", Path("/s/account"))
    mounts = Mounts([account, Backing("/dev/termination-log", Path("/s/log"))])
    env = ran(Image(), mounts, command=["run"]).env
    assert (env["FEDSNAP_SERVICE_ACCOUNT_DIR"], env["FEDSNAP_TERMINATION_LOG"]) == ("/s/account", "/s/log")


def test_nothing_of_the_agents_own_environment_reaches_a_pod(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/secret")
    assert "KUBECONFIG" not in ran(Image(), MOUNTS, command=["run"]).env


@pytest.mark.parametrize(
    ("image", "command", "argv"),
    [
        (Image(python="/py"), ("python", "-m", "x"), ("/py", "-m", "x")),
        (Image(python="/py"), ("python3",), ("/py",)),
        (Image(python="/py"), ("sh", "python"), ("sh", "python")),
        (Image(entrypoint=("serve",)), (), ("serve", "--a")),
        (Image(entrypoint=("serve",)), ("other",), ("other", "--a")),
    ],
)
def test_the_image_gives_what_the_container_leaves_out(image, command, argv):
    args = ("--a",) if argv[-1] == "--a" else ()
    assert image.argv(command, args) == argv


def test_a_container_without_any_command_cannot_be_created():
    with pytest.raises(CannotStart, match="expected a command") as raised:
        Image().argv((), ())
    assert raised.value.reason == "CreateContainerError"


def test_an_image_map_is_read_and_checked(tmp_path):
    path = tmp_path / "images.json"
    path.write_text('{"fedsnap:dev": {"path": "/venv/bin"}}')
    assert read_images(path)["fedsnap:dev"].path == "/venv/bin"
    path.write_text('{"fedsnap:dev": {"paht": "/venv/bin"}}')
    with pytest.raises(Misconfigured, match="paht"):
        read_images(path)


def test_an_unknown_image_is_never_pulled():
    with pytest.raises(CannotStart, match=r"a:1, b:1.*got c:1") as raised:
        image_named({"b:1": Image(), "a:1": Image()}, "c:1")
    assert raised.value.reason == "ErrImageNeverPull"
