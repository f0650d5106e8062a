from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from fedsnap.api.organization import Organization
from fedsnap.clients.cluster import CONFIG_MAP, EVENT, ClusterClient, of_kind
from fedsnap.clients.errors import InvalidData, Unavailable
from fedsnap.reconcilers.actions import ApplyObject, DeleteObject, PatchObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.failures import Waiting
from fedsnap.reconcilers.loop import Key, Plan, reconcile

pytestmark = pytest.mark.cluster
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORGANIZATION = of_kind(Organization)


@dataclass
class Fake:
    """A reconciler whose decision the test gives."""

    plan: Plan = field(default_factory=Plan)
    error: Exception | None = None
    kind: str = "Organization"
    resource = ORGANIZATION
    in_hub: bool = False

    async def gather(self, raw, now):  # noqa: ARG002 - names of the protocol
        if self.error:
            raise self.error
        return raw

    def decide(self, observed, now):  # noqa: ARG002 - names of the protocol
        return self.plan

    async def leftovers(self, key):  # noqa: ARG002 - names of the protocol
        return ()


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
async def cluster(kubeconfig):
    async with await ClusterClient.connect(kubeconfig) as client:
        yield client


@pytest.fixture
def context(cluster):
    return Context(cluster=cluster, hub=cluster, store=_no_store, store_settings=_no_store)


def _no_store(bucket):
    raise AssertionError(f"expected no access to the store, got {bucket}")


@pytest.fixture
async def organization(cluster):
    name = f"org-{uuid.uuid4().hex[:8]}"
    key = {"id": "k:v1", "publicKey": "A" * 43 + "="}
    made = {
        "apiVersion": "fedsnap.dev/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": name},
        "spec": {"namespace": name, "identityKeys": [key]},
    }
    yield await cluster.create(made)
    await cluster.delete(ORGANIZATION, None, name)


@pytest.fixture
def look(organization, context):
    async def look(reconciler, **more):
        key = Key("Organization", "", organization["metadata"]["name"])
        return await reconcile(reconciler, key, context, NOW, **more)

    return look


@pytest.fixture
def current(organization, cluster):
    async def current():
        return await cluster.get(ORGANIZATION, None, organization["metadata"]["name"])

    return current


def _status(reason, status="True"):
    return {"conditions": [{"type": "Connected", "status": status, "reason": reason, "message": "m"}]}


def _map(name, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "default", "name": name},
        "data": data,
    }


async def _events(cluster, name):
    found = await cluster.list(EVENT, "default")
    return sorted((one["reason"], one["type"]) for one in found if one["regarding"]["name"] == name)


async def test_an_object_that_is_gone_needs_nothing(context):
    result = await reconcile(Fake(), Key("Organization", "", "nobody"), context, NOW)
    assert result.result == "gone"


async def test_a_status_is_written_once_and_not_again_while_nothing_changes(look, current):
    reconciler = Fake(Plan(status=_status("Seen")))
    await look(reconciler)
    first = await current()
    await look(reconciler)
    assert first["status"]["conditions"][0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert (await current())["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_events_tell_of_transitions_only(look, cluster, organization):
    name = organization["metadata"]["name"]
    for reason, status in (("Seen", "True"), ("Seen", "True"), ("Silent", "False")):
        await look(Fake(Plan(status=_status(reason, status))))
    assert await _events(cluster, name) == [("Seen", "Normal"), ("Silent", "Warning")]


async def test_actions_are_applied_in_order_and_can_be_applied_again(look, cluster, organization):
    name = organization["metadata"]["name"]
    actions = (
        ApplyObject(_map(name, a="1")),
        PatchObject(CONFIG_MAP, "default", name, {"data": {"b": "2"}}),
        ApplyObject(_map(f"{name}-gone", a="1")),
        DeleteObject(CONFIG_MAP, "default", f"{name}-gone"),
    )
    for _ in range(2):
        assert (await look(Fake(Plan(actions=actions)))).result == "done"
    assert (await cluster.get(CONFIG_MAP, "default", name))["data"] == {"a": "1", "b": "2"}
    assert await cluster.get(CONFIG_MAP, "default", f"{name}-gone") is None
    await cluster.delete(CONFIG_MAP, "default", name)


async def test_a_process_killed_after_any_action_leaves_work_that_the_next_one_completes(look, cluster, organization):
    name = organization["metadata"]["name"]
    plan = Plan(actions=tuple(ApplyObject(_map(f"{name}-{n}", n=str(n))) for n in range(3)), status=_status("Seen"))
    for last in plan.actions:

        def kill(action, last=last):
            if action is last:
                raise Killed

        with pytest.raises(Killed):
            await look(Fake(plan), after_action=kill)
    assert (await look(Fake(plan))).result == "done"
    for number in range(3):
        await cluster.delete(CONFIG_MAP, "default", f"{name}-{number}")


async def test_a_failure_is_a_condition_that_the_next_success_removes(look, current):
    await look(Fake(Plan(status=_status("Seen"))))
    result = await look(Fake(error=Unavailable("VaultSealed", "ask for it to be unsealed")))
    shown = {one["type"]: one["reason"] for one in (await current())["status"]["conditions"]}
    assert (result.result, shown) == ("transient", {"Connected": "Seen", "Reconciling": "VaultSealed"})
    await look(Fake(Plan()))
    assert [one["type"] for one in (await current())["status"]["conditions"]] == ["Connected"]


async def test_waiting_comes_with_the_time_of_the_next_look(look):
    result = await look(Fake(error=Waiting("Waiting", "for a key", timedelta(seconds=9))))
    assert (result.result, result.requeue_after) == ("waiting", timedelta(seconds=9))


async def test_a_terminal_failure_stalls_the_object(look, current):
    result = await look(Fake(error=InvalidData("UpdateInvalid", "expected finite values")))
    assert result.result == "terminal"
    assert (await current())["status"]["conditions"][0]["type"] == "Stalled"


async def test_a_plan_says_when_to_look_again(look):
    assert (await look(Fake(Plan(requeue_after=timedelta(seconds=3))))).requeue_after == timedelta(seconds=3)
