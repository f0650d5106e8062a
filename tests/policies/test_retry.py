from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fedsnap.policies.retry import Attempt, JobResult, next_attempt

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def job(attempt, *, finished=True, succeeded=False, code=1):
    return JobResult(name=f"job-{attempt}", attempt=attempt, finished=finished, succeeded=succeeded, exit_code=code)


def test_the_first_attempt_is_one():
    assert next_attempt([], 0) == Attempt(1)


def test_a_failure_that_may_pass_is_tried_again_as_often_as_allowed():
    assert next_attempt([job(1)], 1) == Attempt(2)
    assert next_attempt([job(1), job(2)], 1) is None


@pytest.mark.parametrize("code", [42, 43, 44])
def test_a_final_failure_is_not_tried_again(code):
    assert next_attempt([job(1, code=code)], 5) is None


def test_nothing_is_started_beside_a_running_job_or_after_a_success():
    assert next_attempt([job(1), job(2, finished=False)], 5) is None
    assert next_attempt([job(1, succeeded=True, code=0)], 5) is None


def test_pauses_between_attempts_grow_up_to_a_limit():
    pauses = [next_attempt([replace(job(number), finished_at=NOW)], 99).pause(NOW) for number in (1, 2, 3, 20)]
    assert pauses == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20), timedelta(minutes=5)]


def test_an_attempt_that_is_due_need_not_wait():
    attempt = next_attempt([replace(job(1), finished_at=NOW)], 1)
    assert attempt.pause(NOW + timedelta(minutes=1)) == timedelta(0)
