from __future__ import annotations

import time

import aiohttp
import pytest

from fedsnap.reconcilers.conditions import Transition
from fedsnap.reconcilers.loop import Key, Result
from fedsnap.runtime.health import MAX_SILENCE_S, Health, application, serve
from fedsnap.runtime.metrics import Metrics
from fedsnap.runtime.queue import WorkQueue


@pytest.fixture
async def site():
    health, metrics = Health(), Metrics(version="0", role="coordinator")
    runner = await serve(application(health, metrics), "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        yield health, metrics, session
    await runner.cleanup()


async def _get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as answer:
        return answer.status, await answer.text()


async def test_readiness_names_what_is_missing(site):
    health, _, session = site
    health.waiting_for.discard("first list")
    assert await _get(session, "/readyz") == (503, "waiting for lease\n")
    health.waiting_for.clear()
    assert await _get(session, "/readyz") == (200, "ok\n")


async def test_a_lagging_event_loop_is_unhealthy(site):
    health, _, session = site
    assert (await _get(session, "/healthz"))[0] == 200
    health.lag_s = 60.0
    status, text = await _get(session, "/healthz")
    assert status == 500
    assert "lagged by 60.0 s" in text


async def test_a_silent_api_server_is_unhealthy(site):
    health, _, session = site
    health.answered_at = time.monotonic() - MAX_SILENCE_S - 1
    assert "has not answered" in (await _get(session, "/healthz"))[1]


async def test_metrics_count_reconciles_queue_and_verdicts(site):
    _, metrics, session = site
    queue = WorkQueue()
    metrics.observe_queue(queue)
    key = Key("FederatedRound", "hub", "m-1")
    queue.add(key)
    finished = Transition("Finished", "Degraded", "", warning=False)
    metrics.reconciled(key, Result("done", raw={"spec": {"modelRef": {"name": "m"}}}, changed=(finished,)), 0.2)
    text = (await _get(session, "/metrics"))[1]
    assert 'fedsnap_reconcile_total{kind="FederatedRound",result="done"} 1.0' in text
    assert 'fedsnap_round_finished_total{model="m",namespace="hub",verdict="Degraded"} 1.0' in text
    assert "fedsnap_queue_depth 1.0" in text
    assert 'fedsnap_build_info{role="coordinator",version="0"} 1.0' in text


async def test_metrics_count_whose_updates_were_clipped_once_a_round(site):
    _, metrics, session = site
    key, raw = Key("FederatedRound", "hub", "m-1"), {"spec": {"modelRef": {"name": "m"}}}
    clipped = {"organization": "a", "clipped": True, "saturated": 3}
    members = [clipped, {"organization": "b", "clipped": False}, {"organization": "c"}]
    for reason in ("Waiting", "RosterAgreed"):
        change = Transition("Trained", reason, "", warning=False)
        metrics.reconciled(key, Result("done", raw=raw, changed=(change,), status={"participants": members}), 0.1)
    text = (await _get(session, "/metrics"))[1]
    assert 'fedsnap_updates_clipped_total{model="m",namespace="hub",organization="a"} 1.0' in text
    assert 'fedsnap_updates_clipped_total{model="m",namespace="hub",organization="b"} 0.0' in text
    assert 'fedsnap_update_saturated_coordinates_total{model="m",namespace="hub",organization="a"} 3.0' in text
