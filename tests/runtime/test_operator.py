from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from fedsnap.api.organization import Organization
from fedsnap.api.participation import Participation
from fedsnap.clients.cluster import CONFIG_MAP, LEASE, ClusterClient, of_kind
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import Child, Plan
from fedsnap.runtime.operator import Operator
from fedsnap.runtime.settings import load

pytestmark = pytest.mark.cluster
ORGANIZATION = of_kind(Organization)
PARTICIPATION = of_kind(Participation)
CONNECTED = {"type": "Connected", "status": "True", "reason": "Seen", "message": ""}
CHILD = Child(CONFIG_MAP, "Organization", "fedsnap.dev/organization", "fedsnap.dev/none", frozenset({"coordinator"}))


@dataclass
class Recorder:
    """Counts looks at each object."""

    looks: dict[str, int] = field(default_factory=dict)
    kind: str = "Organization"
    resource = ORGANIZATION
    in_hub: bool = False
    status: dict = field(default_factory=lambda: {"conditions": [dict(CONNECTED)]})

    async def gather(self, raw, now):  # noqa: ARG002 - names of the protocol
        name = raw["metadata"]["name"]
        self.looks[name] = self.looks.get(name, 0) + 1
        return name

    def decide(self, observed, now):  # noqa: ARG002 - names of the protocol
        return Plan(status=self.status)

    async def leftovers(self, key):  # noqa: ARG002 - names of the protocol
        return ()


def _nothing(bucket):
    raise AssertionError(f"expected no access to the store, got {bucket}")


def _organization(name):
    spec = {"namespace": name, "identityKeys": [{"id": "k:v1", "publicKey": "A" * 43 + "="}]}
    return {
        "apiVersion": "fedsnap.dev/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": spec,
    }


def _participation(name):
    spec = {
        "organization": "acme",
        "model": "m",
        "round": {"namespace": "hub", "name": "m-1", "number": 1, "attempt": 1},
        "plan": {"bucket": "b", "path": "rounds/plan.json", "digest": "sha256:" + "0" * 64},
        "base": {"vaultMount": "transit", "vaultKey": "k", "keyVersion": 1},
        "image": "trainer:1",
        "secureAggregation": "Plain",
        "invited": 1,
        "quorum": 1,
        "hyperparameters": {},
        "acceptBy": "2030-01-01T00:00:00Z",
    }
    metadata = {"namespace": "default", "name": name}
    return {"apiVersion": "fedsnap.dev/v1alpha1", "kind": "Participation", "metadata": metadata, "spec": spec}


async def _until(check, what, timeout_s=20):
    try:
        async with asyncio.timeout(timeout_s):
            while not check():  # noqa: ASYNC110 - the operator knows nothing of the test
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"expected {what} within {timeout_s} s")


@pytest.fixture
async def cluster(kubeconfig):
    async with await ClusterClient.connect(kubeconfig) as client:
        yield client


@pytest.fixture
async def organization(cluster):
    name = f"op-{uuid.uuid4().hex[:8]}"
    await cluster.create(_organization(name))
    yield name
    await cluster.delete(ORGANIZATION, None, name)


@pytest.fixture
def made(kubeconfig, cluster, monkeypatch):
    namespace = f"lease-{uuid.uuid4().hex[:8]}"
    context = Context(cluster=cluster, hub=cluster, store=_nothing, store_settings=_nothing, namespace="default")
    arguments = ["coordinator", "--namespace", "default", "--host", "127.0.0.1", "--metrics-port", "0"]
    settings = load([*arguments, "--kubeconfig", str(kubeconfig), "--resync", "1h"], {})
    monkeypatch.setattr(Operator, "_lease", _lease_named(namespace))

    def make(identity="one", **changes):
        return Operator(
            settings=replace(settings, identity=identity, **changes),
            context=context,
            reconcilers=[Recorder()],
            children=[CHILD],
        )

    return make


def _lease_named(name):
    plain = Operator._lease

    def lease(self):
        made = plain(self)
        made.name = name
        return made

    return lease


@asynccontextmanager
async def running(operator):
    stop = asyncio.Event()
    task = asyncio.ensure_future(operator.run(stop))
    try:
        await _until(lambda: task.done() or not operator.health.waiting_for, "the operator to be ready")
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def test_what_exists_at_the_start_is_looked_at_and_told(made, organization, cluster):
    operator = made()
    async with running(operator):
        await _until(lambda: operator.reconcilers[0].looks.get(organization), "a look at the organization")
    found = await cluster.get(ORGANIZATION, None, organization)
    assert found["status"]["conditions"][0]["reason"] == "Seen"


async def test_a_change_leads_to_a_look_without_a_resync(made, organization, cluster):
    operator = made()
    looks = operator.reconcilers[0].looks
    async with running(operator):
        await _until(lambda: looks.get(organization), "the first look")
        name = f"{organization}-later"
        await cluster.create(_organization(name))
        await _until(lambda: looks.get(name), "a look at the new organization")
        await cluster.delete(ORGANIZATION, None, name)


async def test_kopf_leaves_no_finalizer_and_no_annotation_behind(made, organization, cluster):
    operator = made()
    async with running(operator):
        await _until(lambda: operator.reconcilers[0].looks.get(organization), "a look at the organization")
    metadata = (await cluster.get(ORGANIZATION, None, organization))["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


async def test_a_participant_hears_of_its_participations_in_the_hub(made, cluster):
    recorder = Recorder(kind="Participation", in_hub=True, status={"reason": "Seen"})
    recorder.resource = PARTICIPATION
    operator = replace(made(role="participant", hub_namespace="default"), reconcilers=[recorder], children=[])
    name = f"part-{uuid.uuid4().hex[:8]}"
    async with running(operator):
        await cluster.create(_participation(name))
        await _until(lambda: recorder.looks.get(name), "a look at the participation")
    assert (await cluster.get(PARTICIPATION, "default", name))["status"]["reason"] == "Seen"
    await cluster.delete(PARTICIPATION, "default", name)


async def test_an_operator_that_loses_its_lease_ends_and_says_so(made, cluster):
    operator = made()
    async with running(operator) as task:
        lease = operator._lease()
        patch = {"spec": {"holderIdentity": "another", "leaseDurationSeconds": 60}}
        await cluster.merge_patch(LEASE, "default", lease.name, patch)
        assert await asyncio.wait_for(asyncio.shield(task), 20) is False


async def test_a_second_replica_takes_over_when_the_first_stops(made):
    first, second = made("one"), made("two")
    stop = asyncio.Event()
    async with running(first):
        waiting = asyncio.ensure_future(second.run(stop))
        await asyncio.wait({waiting}, timeout=1)
        assert "lease" in second.health.waiting_for
    await _until(lambda: not second.health.waiting_for, "the second replica to lead")
    stop.set()
    assert await asyncio.wait_for(waiting, 30) is True
