"""The process node against a real control plane: what pods see, and what the cluster sees of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from fedsnap.clients.cluster import JOB, NAMESPACE, NODE, POD, ClusterClient

pytestmark = pytest.mark.cluster

WITHIN_S = 60.0
IMAGE = "tests:python"


async def until(find, what: str):
    """The first true answer of `find`."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        if found := await find():
            return found
        assert time.monotonic() < deadline, f"not within {WITHIN_S:g} s: {what}"
        await asyncio.sleep(0.05)


class Agent:
    """The agent as a process of its own."""

    def __init__(self, kubeconfig: Path, name: str, directory: Path) -> None:
        self.name = name
        self.state = directory / "state"
        self._log = directory / "agent.log"
        images = directory / "images.json"
        images.write_text(json.dumps({IMAGE: {"python": sys.executable, "env": {"FROM_IMAGE": "yes"}}}))
        options = {"kubeconfig": kubeconfig, "name": name, "state-dir": self.state, "images": images, "gpus": 2}
        self.command = [sys.executable, "-m", "fedsnap.local.node", *(f"--{key}={of}" for key, of in options.items())]
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.wait(20)

    def log(self, pod: dict, container: str = "main", run: int = 0) -> str:
        metadata = pod["metadata"]
        directory = self.state / "pods" / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        return (directory / container / f"{run}.log").read_text()


@pytest.fixture(scope="module")
async def api(kubeconfig):
    async with await ClusterClient.connect(kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
async def agent(kubeconfig, api, tmp_path_factory):
    running = Agent(kubeconfig, f"node-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("node"))
    try:
        await until(lambda: _ready(api, running.name), "node ready")
        yield running
    finally:
        running.stop()
        await api.delete(NODE, None, running.name)


@pytest.fixture
async def namespace(api):
    name = f"t-{uuid.uuid4().hex[:8]}"
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await api.delete(NAMESPACE, None, name)


@pytest.fixture
def place(api, agent, namespace):
    """Runs things in the namespace on the agent's node."""
    return Place(api, agent, namespace)


class Place:
    def __init__(self, api: ClusterClient, agent: Agent, namespace: str) -> None:
        self.api = api
        self.agent = agent
        self.namespace = namespace

    def spec(self, *containers: dict, **more) -> dict:
        return {
            "nodeSelector": {"kubernetes.io/hostname": self.agent.name},
            "restartPolicy": "Never",
            "containers": list(containers),
            **more,
        }

    async def pod(self, *containers: dict, **more) -> str:
        name = f"p-{uuid.uuid4().hex[:6]}"
        metadata = {"name": name, "namespace": self.namespace, "labels": {"app": "x"}, "annotations": {"a/b": "c"}}
        spec = self.spec(*containers, **more)
        # The account is made by a controller a moment after its namespace.
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        await until(lambda: self._created(pod), "service account")
        return name

    async def _created(self, pod: dict) -> bool:
        with contextlib.suppress(Exception):
            await self.api.create(pod)
            return True
        return False

    async def get(self, name: str) -> dict:
        return await self.api.get(POD, self.namespace, name)

    async def ended(self, name: str) -> dict:
        async def check():
            pod = await self.get(name)
            return pod if pod["status"]["phase"] in ("Succeeded", "Failed") else None

        return await until(check, f"pod {name} ended")

    async def has(self, name: str, what: str, check) -> dict:
        async def fulfilled():
            pod = await self.get(name)
            return pod if check(pod) else None

        return await until(fulfilled, f"pod {name}: {what}")

    async def running(self, name: str) -> dict:
        return await self.has(name, "ready", lambda pod: condition(pod, "Ready") == "True")


async def _ready(api: ClusterClient, name: str) -> bool:
    node = await api.get(NODE, None, name)
    conditions = (node or {}).get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def python(program: str, **more) -> dict:
    return {"name": "main", "image": IMAGE, "command": ["python", "-c", program], **more}


def state(pod: dict, name: str = "main", kind: str = "containerStatuses") -> dict:
    return next((one["state"] for one in pod["status"].get(kind, []) if one["name"] == name), {})


def condition(pod: dict, kind: str) -> str | None:
    return next((one["status"] for one in pod["status"].get("conditions", []) if one["type"] == kind), None)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def gone(pid: int) -> None:
    async def check():
        return not alive(pid)

    await until(check, f"process {pid} ended")


SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"


async def pid_of(place: Place, pod: dict) -> int:
    async def read():
        return place.agent.log(pod).strip()

    return int((await until(read, "pid in the log")).splitlines()[0])


async def test_the_node_says_what_it_is_and_what_it_has(api, agent):
    node = await api.get(NODE, None, agent.name)
    assert node["metadata"]["labels"]["fedsnap.dev/process-node"] == "true"
    assert "never for production" in node["metadata"]["annotations"]["fedsnap.dev/notice"]
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "2"
    assert node["status"]["allocatable"]["pods"] == "110"


async def test_a_job_whose_containers_share_a_directory_completes(place):
    volume = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    shared = {"env": [{"name": "SHARED", "value": "/shared/in"}], **volume}
    first = python("import os; os.makedirs(os.environ['SHARED']); open(os.environ['SHARED'] + '/x', 'w').write('7')")
    second = python("import sys; print(open(sys.argv[1].partition('=')[2]).read())", args=["--file=/shared/in/x"])
    spec = place.spec(second | volume, initContainers=[first | shared | {"name": "first"}])
    template = {"spec": spec | {"volumes": [{"name": "shared", "emptyDir": {}}]}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "shares", "namespace": place.namespace},
        "spec": {"template": template, "backoffLimit": 0},
    }
    await place.api.create(job)

    async def done():
        found = await place.api.get(JOB, place.namespace, "shares")
        return any(one["type"] == "Complete" for one in found["status"].get("conditions", []))

    await until(done, "job complete")
    (pod,) = await place.api.list(POD, place.namespace)
    assert place.agent.log(pod).strip() == "7"
    assert pod["status"]["phase"] == "Succeeded"
    assert condition(pod, "Initialized") == "True"


async def test_exit_code_and_termination_message_reach_the_status(place):
    program = "import os; open(os.environ['FEDSNAP_TERMINATION_LOG'], 'w').write('refused'); raise SystemExit(42)"
    pod = await place.ended(await place.pod(python(program)))
    ended = state(pod)["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"], ended["message"]) == ("Failed", 42, "refused")
    assert ended["reason"] == "Error"
    assert ended["startedAt"] <= ended["finishedAt"]


async def test_the_end_of_the_log_stands_in_for_a_missing_message(place):
    container = python("print('why'); raise SystemExit(1)", terminationMessagePolicy="FallbackToLogsOnError")
    assert state(await place.ended(await place.pod(container)))["terminated"]["message"] == "why\n"


async def test_a_signal_n_is_exit_code_128_plus_n(place):
    pod = await place.ended(await place.pod(python("import os; os.kill(os.getpid(), 9)")))
    assert state(pod)["terminated"]["exitCode"] == 137


async def test_a_program_that_is_not_there_fails_the_pod(place):
    pod = await place.ended(await place.pod({"name": "main", "image": IMAGE, "command": ["no-such-program"]}))
    ended = state(pod)["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


async def test_a_projected_token_has_its_audience_and_is_bound_to_the_pod(place):
    token = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}}
    program = "import os; print(open(os.environ['TOKEN']).read())"
    container = python(
        program,
        env=[{"name": "TOKEN", "value": "/tokens/token"}],
        volumeMounts=[{"name": "tokens", "mountPath": "/tokens"}],
    )
    pod = await place.ended(await place.pod(container, volumes=[{"name": "tokens", "projected": {"sources": [token]}}]))
    payload = place.agent.log(pod).split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["vault"]
    assert claims["exp"] - claims["iat"] == 600
    assert claims["kubernetes.io"]["pod"]["uid"] == pod["metadata"]["uid"]


async def test_a_pod_talks_to_the_api_server_as_its_service_account(place):
    program = """
import asyncio
from fedsnap.clients.cluster import ClusterClient, POD
from fedsnap.clients.errors import PermissionDenied
async def main():
    async with await ClusterClient.connect() as api:
        try:
            await api.list(POD, "default")
        except PermissionDenied as error:
            print(error.message)
asyncio.run(main())
"""
    pod = await place.ended(await place.pod(python(program)))
    assert f"system:serviceaccount:{place.namespace}:default" in place.agent.log(pod)


async def test_deletion_ends_the_processes_within_the_grace(place):
    program = f"""
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
{SLEEP.replace("print(os.getpid()", "print(os.getpid(), child.pid")}
"""
    name = await place.pod(python(program), terminationGracePeriodSeconds=1)
    pod = await place.running(name)

    async def started():
        return place.agent.log(pod).split()

    parent, child = map(int, await until(started, "pids in the log"))
    await place.api.delete(POD, place.namespace, name)

    async def removed():
        return await place.get(name) is None

    await until(removed, "pod removed")
    assert not alive(parent)
    assert not alive(child)
    assert "asked" in place.agent.log(pod)
    assert not list((place.agent.state / "pods").glob(f"*_{name}_*/.scratch"))


async def test_a_pod_that_never_started_can_be_deleted(place):
    volume = {"name": "v", "configMap": {"name": "missing"}}
    name = await place.pod(python(SLEEP), volumes=[volume])
    pod = await place.has(name, "waits", lambda pod: "missing" in state(pod).get("waiting", {}).get("message", ""))
    assert state(pod)["waiting"]["reason"] == "ContainerCreating"
    await place.api.delete(POD, place.namespace, name)

    async def removed():
        return await place.get(name) is None

    await until(removed, "pod removed")


async def test_a_container_that_failed_to_initialize_keeps_the_others_from_starting(place):
    first = python("raise SystemExit(7)", name="first")
    pod = await place.ended(await place.pod(python(SLEEP), initContainers=[first]))
    assert pod["status"]["phase"] == "Failed"
    assert state(pod, "first", "initContainerStatuses")["terminated"]["exitCode"] == 7
    assert state(pod)["waiting"]["reason"] == "PodInitializing"


async def test_an_unknown_image_waits_and_names_the_known_ones(place):
    name = await place.pod({"name": "main", "image": "other:1", "command": ["true"]})
    pod = await place.has(name, "waits for its image", lambda pod: "reason" in state(pod).get("waiting", {}))
    pod = await place.has(name, "image", lambda pod: state(pod)["waiting"]["reason"] == "ErrImageNeverPull")
    assert IMAGE in state(pod)["waiting"]["message"]
    assert pod["status"]["phase"] == "Pending"


async def test_a_missing_config_map_is_waited_for(place):
    ref = {"configMapKeyRef": {"name": "late", "key": "k"}}
    container = python("import os; print(os.environ['K'])", env=[{"name": "K", "valueFrom": ref}])
    name = await place.pod(container)
    await place.has(
        name, "waits", lambda pod: state(pod).get("waiting", {}).get("reason") == "CreateContainerConfigError"
    )
    metadata = {"name": "late", "namespace": place.namespace}
    await place.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v"}})
    assert place.agent.log(await place.ended(name)).strip() == "v"


async def test_a_failing_container_is_started_again_with_back_off(place):
    name = await place.pod(python("raise SystemExit(3)"), restartPolicy="OnFailure")
    waiting = await place.has(
        name, "backs off", lambda pod: state(pod).get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    assert waiting["status"]["phase"] == "Running"
    again = await place.has(name, "restarted", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 1)
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3


async def test_a_job_makes_a_new_pod_for_one_that_failed(place, tmp_path):
    program = (
        f"import pathlib; p = pathlib.Path({str(tmp_path)!r}, 'x'); n = p.exists(); p.touch(); exit(0 if n else 5)"
    )
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "retried", "namespace": place.namespace},
        "spec": {"template": {"spec": place.spec(python(program))}, "backoffLimit": 2},
    }
    await place.api.create(job)

    async def done():
        found = await place.api.get(JOB, place.namespace, "retried")
        return any(one["type"] == "Complete" for one in found["status"].get("conditions", []))

    await until(done, "job complete")
    phases = sorted(one["status"]["phase"] for one in await place.api.list(POD, place.namespace))
    assert phases == ["Failed", "Succeeded"]


async def test_the_active_deadline_ends_a_pod(place):
    pod = await place.ended(await place.pod(python(SLEEP), activeDeadlineSeconds=1))
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")


async def test_a_probe_says_when_a_container_is_ready(place, tmp_path):
    probe = {"exec": {"command": ["test", "-e", str(tmp_path / "go")]}, "periodSeconds": 1}
    name = await place.pod(python(SLEEP, readinessProbe=probe))
    await place.has(name, "runs", lambda pod: "running" in state(pod))
    assert condition(await place.get(name), "Ready") == "False"
    (tmp_path / "go").touch()
    await place.running(name)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_after_a_restart_of_the_agent_nothing_runs_twice(place, how):
    once = await place.running(await place.pod(python(SLEEP)))
    always = await place.running(await place.pod(python(SLEEP), restartPolicy="Always"))
    pids = [await pid_of(place, once), await pid_of(place, always)]
    place.agent.stop(how)
    for pid in pids:
        await gone(pid)
    place.agent.start()
    failed = await place.ended(once["metadata"]["name"])
    assert state(failed)["terminated"]["exitCode"] == (137 if how == signal.SIGKILL else 143)
    again = await place.has(
        always["metadata"]["name"], "runs again", lambda pod: "running" in state(pod) and condition(pod, "Ready")
    )
    assert again["status"]["containerStatuses"][0]["restartCount"] == 1


def test_two_agents_never_share_a_state_directory(agent):
    second = subprocess.run(agent.command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert "no other agent" in second.stderr
