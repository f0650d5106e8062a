"""How long it takes from creating rounds to their status and to the member's training Job, one and many at once.

Everything is real but the node: Jobs are created and stay pending. Each round signs and stores a plan, is accepted by
the member's policy after pre-flight (store, Vault), and is started by the coordinator.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.table import Row, spread
from fedsnap.api.federatedround import FederatedRound
from fedsnap.builders import names
from fedsnap.clients.cluster import JOB, ClusterClient, of_kind
from fedsnap.local import cluster
from rounds.hospitals import COORDINATOR, MEMBERS, RESEARCH, Hospitals, begin, shared_model

MEMBER = MEMBERS[0]
DIGEST = "sha256:" + "0" * 64
CONCURRENCY = 32
LIMIT_S = 420.0


@dataclass
class Times:
    """Monotonic seconds by round name."""

    created: dict[str, float] = field(default_factory=dict)
    status: dict[str, float] = field(default_factory=dict)
    job: dict[str, float] = field(default_factory=dict)

    def since_creation(self, reached: dict[str, float]) -> list[float]:
        return [reached[name] - self.created[name] for name in self.created if name in reached]


def measure(directory: Path, sizes: list[int]) -> list[Row]:
    directory.mkdir()
    try:
        hospitals = begin(directory, node=False)
        # Pre-flight wants a node that fits; nothing is ever scheduled to this one.
        hospitals.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "idle"}, "spec": {"unschedulable": True}}
        )
        for party in (COORDINATOR, MEMBER):
            hospitals.start(party, FEDSNAP_RESYNC="10m")
        rows = [row for size in sizes for row in asyncio.run(_burst(hospitals, size))]
        hospitals.stop()
        return rows
    finally:
        cluster.stop(directory / "state")


async def _burst(hospitals: Hospitals, size: int) -> list[Row]:
    models = [f"b{size}-{number}" for number in range(size)]
    async with await ClusterClient.connect(hospitals.running.cluster.kubeconfig) as client:
        await _all(client, [one for model in models for one in (_model(model), _snapshot(model))])
        times = Times()
        watching = [asyncio.create_task(_watch_rounds(client, times)), asyncio.create_task(_watch_jobs(client, times))]
        await asyncio.sleep(5)  # the models settle
        await _all(client, [_round(model) for model in models], times)
        deadline = time.monotonic() + LIMIT_S
        while len(times.job) < size and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        for task in watching:
            task.cancel()
        await _forget(client, models)
    lost = "" if len(times.job) == size else f"; {size - len(times.job)} not within {LIMIT_S:.0f} s"
    memory = ", ".join(f"{party} {_rss(hospitals, party)} MB" for party in (COORDINATOR, MEMBER))
    return [
        Row(f"{size} rounds: create → status", spread(times.since_creation(times.status))),
        Row(f"{size} rounds: create → training Job", spread(times.since_creation(times.job)) + lost),
        Row(f"{size} rounds: operator memory", memory),
    ]


async def _all(client: ClusterClient, objects: list[dict], times: Times | None = None) -> None:
    slots = asyncio.Semaphore(CONCURRENCY)

    async def create(one: dict) -> None:
        async with slots:
            if times:
                times.created[one["metadata"]["name"]] = time.monotonic()
            await client.create(one)

    await asyncio.gather(*(create(one) for one in objects))


async def _watch_rounds(client: ClusterClient, times: Times) -> None:
    async for event in client.watch(of_kind(FederatedRound), RESEARCH):
        if event.type != "ACTIVITY" and (event.object.get("status") or {}).get("conditions"):
            times.status.setdefault(event.object["metadata"]["name"], time.monotonic())


async def _watch_jobs(client: ClusterClient, times: Times) -> None:
    async for event in client.watch(JOB, MEMBER):
        if event.type != "ACTIVITY":
            model = event.object["metadata"]["labels"][names.LABEL_MODEL]
            times.job.setdefault(f"{model}-1", time.monotonic())


async def _forget(client: ClusterClient, models: list[str]) -> None:
    """Delete what the burst made, so that the next one starts from an empty cluster."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def delete(model: str) -> None:
        async with slots:
            await client.delete(of_kind(FederatedRound), RESEARCH, f"{model}-1")

    await asyncio.gather(*(delete(model) for model in models))
    while await client.list(JOB, MEMBER):
        await asyncio.sleep(0.5)


def _model(name: str) -> dict:
    model = shared_model(name, rounds=0)
    del model["spec"]["initialization"]
    model["spec"]["initialSnapshot"] = {"name": f"{name}-0"}
    return model


def _snapshot(model: str) -> dict:
    encryption = {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1, "wrappedKey": "vault:v1:" + "A" * 80}
    spec = dict.fromkeys(("contentRoot", "layoutDigest", "plaintextDigest", "ciphertextDigest"), DIGEST) | {
        "modelRef": {"name": model},
        "round": 0,
        "plaintextSize": 100,
        "ciphertextSize": 200,
        "encryption": encryption,
        "location": {"bucket": "fedsnap", "path": f"snapshots/heart/{model}/0/1/model.safetensors.c2sp"},
    }
    metadata = {"name": f"{model}-0", "namespace": RESEARCH, "labels": {names.LABEL_MODEL: model}}
    return {**_model(model), "kind": "ModelSnapshot", "metadata": metadata, "spec": spec}


def _round(model: str) -> dict:
    template = shared_model(model)["spec"]["training"]["roundTemplate"]
    spec = {"modelRef": {"name": model}, "number": 1, **template}
    spec["participants"] = {"organizations": [MEMBER], "quorum": 1}
    spec["deadlines"] = {"accept": "30m", "train": "2h"}
    return {
        **_model(model),
        "kind": "FederatedRound",
        "metadata": {"name": f"{model}-1", "namespace": RESEARCH},
        "spec": spec,
    }


def _rss(hospitals: Hospitals, party: str) -> int:
    pages = int(Path(f"/proc/{hospitals.processes[party].pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 // 2**20
