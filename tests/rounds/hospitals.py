"""Four hospitals and a hub on an embedded cluster, whose operators the test starts, kills and starts again."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fedsnap.clients.store import Store, StoreSettings
from fedsnap.local import agent, cluster
from fedsnap.local.federation import deployments, setup
from fedsnap.local.federation.layout import Federation
from fedsnap.local.processes import Processes

POLL_SECONDS = 0.25
HERE = Path(__file__).parent
TRAINER_IMAGE = "plain:test"
FEDERATION = Federation(trainer_image=TRAINER_IMAGE)
MEMBERS = tuple(member.name for member in FEDERATION.members)
COORDINATOR = "hub"
PARTIES = (COORDINATOR, *MEMBERS)
RESEARCH = FEDERATION.model_namespace


@dataclass
class Hospitals:
    """The running federation, seen through kubectl."""

    running: setup.Running
    directory: Path
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    # What people do.

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess:
        command = [str(self.running.cluster.kubectl), f"--kubeconfig={self.running.cluster.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    def apply(self, *objects: dict) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def get(self, kind: str, name: str, namespace: str = RESEARCH) -> dict | None:
        done = self.kubectl("get", kind, name, f"-n={namespace}", "-o=json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def list(self, kind: str, namespace: str = RESEARCH, selector: str = "") -> list[dict]:
        where = ["-A"] if namespace == "*" else [f"-n={namespace}"]
        chosen = [f"-l={selector}"] if selector else []
        return json.loads(self.kubectl("get", kind, *where, "-o=json", *chosen).stdout)["items"]

    def patch(self, kind: str, name: str, patch: dict, namespace: str = RESEARCH) -> None:
        self.kubectl("patch", kind, name, f"-n={namespace}", "--type=merge", f"-p={json.dumps(patch)}")

    def condition(self, kind: str, name: str, condition: str, namespace: str = RESEARCH) -> dict:
        found = self.get(kind, name, namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == condition), {})

    def wait_finished(self, name: str, seconds: float = 120) -> dict:
        def over() -> bool:
            return self.condition("federatedround", name, "Finished").get("status") == "True"

        wait_for(over, f"round {name} being finished", seconds)
        return self.get("federatedround", name)

    # What is trained.

    def train_with(
        self, organization: str, behaviour: str = "good", *, shift: float = 0.25, examples: int = 10
    ) -> None:
        """The PodTemplate and the policy of one organization."""
        environment = {"PLAIN_BEHAVIOUR": behaviour, "PLAIN_SHIFT": str(shift), "PLAIN_EXAMPLES": str(examples)}
        self.apply(pod_template("trainer", organization, environment), sharing_policy(organization))

    # What the others run.

    def kill(self, *services: str) -> None:
        """SIGKILL processes of the cluster, such as `openbao`, `seaweedfs` or `kube-apiserver`."""
        Processes(self.running.cluster.directory).stop(*services, how=signal.SIGKILL)

    def heal(self) -> None:
        start_cluster(self.running.cluster.directory)

    # Operators.

    def start(self, party: str, *, mortal: bool = False, **settings: str) -> subprocess.Popen:
        """The operator of one party, with its own account; `settings` override its environment."""
        directory = self.directory / party
        environment = {**os.environ, **self._environment(party), **settings, "DEATHS": str(directory / "deaths")}
        program = [str(HERE / "mortal_operator.py")] if mortal else ["-m", "fedsnap.runtime.main"]
        role = "coordinator" if party == COORDINATOR else "participant"
        with (directory / "log").open("ab") as log:
            started = subprocess.Popen([sys.executable, *program, role], env=environment, stdout=log, stderr=log)
        self.processes[party] = started
        return started

    def start_all(self) -> None:
        for party in PARTIES:
            self.start(party)

    def stop(self, *parties: str, how: signal.Signals = signal.SIGTERM) -> None:
        ended = [self.processes.pop(party) for party in parties or list(self.processes) if party in self.processes]
        for process in ended:
            process.send_signal(how)
        for process in ended:
            process.wait(30)

    def store(self) -> Store:
        """The round's bucket, with the coordinator's eyes."""
        s3 = self.running.cluster.s3
        return Store(
            StoreSettings(
                endpoint=s3.endpoint,
                bucket=FEDERATION.bucket,
                allow_http=True,
                credentials_directory=str(s3.credentials / "coordinator"),
            )
        )

    def deaths(self, party: str) -> list[str]:
        file = self.directory / party / "deaths"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def log(self, party: str) -> str:
        return (self.directory / party / "log").read_text(encoding="utf-8")

    def _environment(self, party: str) -> dict[str, str]:
        directory = self.directory / party
        directory.mkdir(exist_ok=True, parents=True)
        services, federation = setup.services(self.running), self.running.federation
        listening = deployments.Listening(host="127.0.0.1", port=0)
        if party == COORDINATOR:
            manifest = deployments.coordinator(federation, services, listening)
        else:
            member = next(one for one in federation.members if one.name == party)
            manifest = deployments.participant(federation, member, services, listening)
        namespace = manifest["metadata"]["namespace"]
        given = {one["name"]: one["value"] for one in manifest["spec"]["template"]["spec"]["containers"][0]["env"]}
        own = {
            "FEDSNAP_KUBECONFIG": str(self._kubeconfig(directory, namespace)),
            "FEDSNAP_NAMESPACE": namespace,
            "FEDSNAP_IDENTITY": party,
            "FEDSNAP_VAULT_TOKEN_FILE": str(self._token(directory, namespace, "vault")),
            "FEDSNAP_STORE_CREDENTIALS": str(self._store_credentials(party)),
            "FEDSNAP_RESYNC": "10s",
        }
        if party != COORDINATOR:
            keys = self.get("configmap", "fedsnap-hub-keys", namespace)["data"]
            file = directory / "hub-keys.json"
            file.write_text(next(iter(keys.values())), encoding="utf-8")
            own["FEDSNAP_HUB_PUBLIC_KEYS"] = str(file)
        return given | own

    def _store_credentials(self, party: str) -> Path:
        name = "coordinator" if party == COORDINATOR else f"{party}-operator"
        return self.running.cluster.s3.credentials / name

    def _token(self, directory: Path, namespace: str, audience: str = "") -> Path:
        options = [f"--audience={audience}"] if audience else []
        made = self.kubectl("create", "token", "fedsnap-operator", f"-n={namespace}", "--duration=1h", *options)
        file = directory / f"token-{audience or 'kubernetes'}"
        file.write_text(made.stdout.strip(), encoding="ascii")
        return file

    def _kubeconfig(self, directory: Path, namespace: str) -> Path:
        authority = base64.b64encode(self.running.cluster.authority.read_bytes()).decode()
        token = self._token(directory, namespace).read_text(encoding="ascii")
        named = {
            "clusters": {"cluster": {"server": self.running.cluster.server, "certificate-authority-data": authority}}
        }
        named |= {"users": {"user": {"token": token}}, "contexts": {"context": {"cluster": "it", "user": "it"}}}
        lists = {kind: [{"name": "it", **content}] for kind, content in named.items()}
        file = directory / "kubeconfig"
        file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "it", **lists}))
        return file


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(POLL_SECONDS)


def pod_template(name: str, namespace: str, environment: dict[str, str] | None = None) -> dict:
    container = {
        "name": "train",
        "image": TRAINER_IMAGE,
        "command": ["python", "-m", "plain_trainer"],
        "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "template": {"spec": {"containers": [container]}},
    }


def sharing_policy(namespace: str, **rule: object) -> dict:
    allowed = {
        "name": "everything",
        "models": ["*"],
        "images": [TRAINER_IMAGE],
        "expires": "2030-01-01T00:00:00Z",
        "requires": {"secureAggregation": "Plain", "minParticipants": 1, "assumedColluders": 1, "minHonest": 2},
        "template": "trainer",
    } | rule
    return {
        "apiVersion": "fedsnap.dev/v1alpha1",
        "kind": "SharingPolicy",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {"rules": [allowed]},
    }


def shared_model(name: str, rounds: int = 1, **template: object) -> dict:
    round_template = {
        "participants": {"organizations": list(MEMBERS), "quorum": 1},
        "deadlines": {"accept": "60s", "train": "5m", "aggregate": "2m"},
        "stragglers": {"retries": 0},
        "privacy": {"secureAggregation": "Plain", "clipNorm": "8"},
    } | template
    return {
        "apiVersion": "fedsnap.dev/v1alpha1",
        "kind": "SharedModel",
        "metadata": {"name": name, "namespace": RESEARCH},
        "spec": {
            "architecture": {"image": TRAINER_IMAGE},
            "initialization": {"template": "plain-init", "seed": 42},
            "training": {"rounds": rounds, "roundTemplate": round_template},
            "keys": {"vault": {"mount": "transit", "key": FEDERATION.model}},
            "publication": {"store": {"bucket": FEDERATION.bucket, "prefix": f"{FEDERATION.snapshot_prefix}/{name}"}},
        },
    }


def masked_model(name: str, rounds: int = 1, **template: object) -> dict:
    """A model whose rounds are masked; three of the four members must stay."""
    masked = {
        "participants": {"organizations": list(MEMBERS), "quorum": 3},
        "privacy": {"secureAggregation": "Masked", "clipNorm": "8"},
    }
    return shared_model(name, rounds, **(masked | template))


def start_cluster(state: Path, *, node: bool = True) -> cluster.Cluster:
    """Start whatever of the cluster does not run."""
    own = agent.default_images()[FEDERATION.image]
    return cluster.start(
        state,
        identities=setup.identities(state, FEDERATION),
        buckets=(FEDERATION.bucket,),
        node=node,
        images={FEDERATION.image: own, TRAINER_IMAGE: {**own, "env": {"PYTHONPATH": str(HERE)}}},
        die_with_us=True,
    )


def begin(directory: Path, *, node: bool = True) -> Hospitals:
    """Everything but the operators; without a node, Jobs stay pending."""
    running = setup.Running(cluster=start_cluster(directory / "state", node=node), federation=FEDERATION)
    for member in MEMBERS:
        (running.data / member).mkdir(parents=True)
    in_thread(lambda: asyncio.run(setup.set_up(running, operators=False)))
    hospitals = Hospitals(running, directory / "operators")
    hospitals.apply(pod_template("plain-init", RESEARCH))
    for member in MEMBERS:
        hospitals.train_with(member)
    return hospitals


def in_thread(work) -> None:
    """Fixtures may be called inside an event loop, which `asyncio.run` refuses."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed on
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
