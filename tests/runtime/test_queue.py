from __future__ import annotations

import asyncio

import pytest

from fedsnap.reconcilers.loop import Key
from fedsnap.runtime.queue import Backoff, WorkQueue

A, B = (Key("FederatedRound", "hub", name) for name in ("a", "b"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(Backoff(first_s=1.0, limit_s=8.0, spread=lambda: 1.0), clock)


async def _nothing_due(queue: WorkQueue) -> bool:
    waiting = asyncio.ensure_future(queue.get())
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    waiting.cancel()
    return not done


async def test_a_key_that_is_added_twice_is_worked_on_once(queue):
    queue.add(A)
    queue.add(A)
    assert await queue.get() == A
    queue.done(A)
    assert await _nothing_due(queue)


async def test_keys_come_in_the_order_in_which_they_became_due(queue, clock):
    queue.add(A, after_s=2)
    queue.add(B, after_s=1)
    clock.now += 3
    assert [await queue.get(), await queue.get()] == [B, A]


async def test_a_key_that_is_being_worked_on_is_not_handed_to_a_second_worker(queue):
    queue.add(A)
    await queue.get()
    queue.add(A)
    assert await _nothing_due(queue)


async def test_a_wake_up_during_work_leads_to_another_look(queue):
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.done(A)
    assert await asyncio.wait_for(queue.get(), 1) == A


async def test_an_earlier_wake_up_wins_over_a_later_one(queue, clock):
    queue.add(A, after_s=60)
    queue.add(A)
    assert await queue.get() == A
    queue.done(A)
    clock.now += 120
    assert await _nothing_due(queue)


async def test_a_later_wake_up_does_not_delay_an_earlier_one(queue):
    queue.add(A)
    queue.add(A, after_s=60)
    assert await asyncio.wait_for(queue.get(), 1) == A


async def test_pauses_grow_with_failures_up_to_a_limit_and_start_anew_after_a_success(queue):
    assert [queue.retry(A) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    queue.succeeded(A)
    assert queue.retry(A) == 1.0


async def test_the_default_pause_has_jitter_within_a_quarter():
    pauses = {Backoff(first_s=1.0).pause(1) for _ in range(50)}
    assert len(pauses) > 1
    assert all(0.75 <= pause <= 1.25 for pause in pauses)


async def test_depth_and_age_count_only_what_is_due(queue, clock):
    queue.add(A)
    queue.add(B, after_s=60)
    clock.now += 5
    assert (queue.depth(), queue.oldest_s()) == (1, 5.0)


async def test_a_waiting_worker_is_woken_by_a_new_key(queue):
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.wait({waiting}, timeout=0.01)
    queue.add(A)
    assert await asyncio.wait_for(waiting, 1) == A


async def test_closing_sends_all_workers_home(queue):
    workers = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.wait(workers, timeout=0.01)
    queue.close()
    assert await asyncio.wait_for(asyncio.gather(*workers), 1) == [None, None, None]


async def test_no_wake_up_is_lost_under_many_workers():
    queue, changes, seen = WorkQueue(), dict.fromkeys((A, B), 0), dict.fromkeys((A, B), -1)

    async def work() -> None:
        while (key := await queue.get()) is not None:
            read = changes[key]
            await asyncio.sleep(0)
            seen[key] = read
            queue.done(key)

    workers = [asyncio.ensure_future(work()) for _ in range(4)]
    for number in range(500):
        key = A if number % 3 else B
        changes[key] += 1
        queue.add(key)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while seen != changes:  # noqa: ASYNC110 - the workers know nothing of the test
            await asyncio.sleep(0)
    queue.close()
    await asyncio.gather(*workers)
