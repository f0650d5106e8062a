from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta

import pytest

from fedsnap.clients.cluster import LEASE, ClusterClient
from fedsnap.runtime.lease import Lease, LeaseTimes

pytestmark = pytest.mark.cluster
QUICK = LeaseTimes(duration_s=2, renew_within_s=1.5, retry_s=0.1)


@pytest.fixture
async def replicas(kubeconfig):
    name = f"lease-{uuid.uuid4().hex[:8]}"
    async with await ClusterClient.connect(kubeconfig) as client:
        yield [
            Lease(client=client, namespace="default", name=name, identity=identity, times=QUICK)
            for identity in ("one", "two")
        ]
        await client.delete(LEASE, "default", name)


async def _holder(lease):
    return (await lease.client.get(LEASE, "default", lease.name))["spec"]["holderIdentity"]


async def _kept_beyond_its_duration(lease):
    """Until the holder renewed the lease after the other would have taken over an idle one."""
    begun, renewed = None, None
    while begun is None or renewed - begun <= timedelta(seconds=QUICK.duration_s):
        spec = (await lease.client.get(LEASE, "default", lease.name))["spec"]
        renewed = datetime.fromisoformat(spec["renewTime"])
        begun = begun or renewed
        await asyncio.sleep(QUICK.retry_s)


async def test_only_one_of_two_replicas_holds_the_lease(replicas):
    one, two = replicas
    await one.acquire()
    holding, waiting = asyncio.ensure_future(one.hold()), asyncio.ensure_future(two.acquire())
    await _kept_beyond_its_duration(one)
    assert not holding.done()
    assert not waiting.done()
    holding.cancel()
    await asyncio.wait_for(waiting, 10)
    assert await _holder(two) == "two"


async def test_a_released_lease_is_taken_over_at_once(replicas):
    one, two = replicas
    await one.acquire()
    await one.release()
    await asyncio.wait_for(two.acquire(), 1.5)
    assert (await one.client.get(LEASE, "default", one.name))["spec"]["leaseTransitions"] == 1


async def test_who_finds_another_holder_has_lost_the_lease(replicas):
    one, two = replicas
    await one.acquire()
    holding = asyncio.ensure_future(one.hold())
    patch = {"spec": {"holderIdentity": "two", "leaseDurationSeconds": 60}}
    await two.client.merge_patch(LEASE, "default", two.name, patch)
    await asyncio.wait_for(holding, 5)


async def test_releasing_a_lease_of_another_changes_nothing(replicas):
    one, two = replicas
    await one.acquire()
    await two.release()
    assert await _holder(one) == "one"
