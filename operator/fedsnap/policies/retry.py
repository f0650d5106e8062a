"""Retry: whether a failed Job is tried again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# Exit codes of our Jobs that mean "the same input will fail again"; see docs/operations.md.
FINAL_EXIT_CODES = frozenset({42, 43, 44})
# Long enough for a store or a Vault that restarts; doubled with each attempt.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What is known of one Job.

    `exit_code` is that of the container that decided, None where no container ran; `finished_at` is None where it is
    not known.
    """

    name: str
    attempt: int
    finished: bool
    succeeded: bool
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt to start next, not before `due`."""

    number: int
    due: datetime | None = None

    def pause(self, now: datetime) -> timedelta:
        """How long to wait until it is due."""
        return max(self.due - now, timedelta(0)) if self.due else timedelta(0)


def next_attempt(results: list[JobResult], retries: int) -> Attempt | None:
    """The attempt to start next, or None where none is to be started.

    The first attempt is 1; a failure that may pass is tried again at most `retries` times, after growing pauses.
    """
    if not results:
        return Attempt(1)
    last = max(results, key=lambda result: result.attempt)
    if not last.finished or last.succeeded or last.exit_code in FINAL_EXIT_CODES:
        return None
    if last.attempt > retries:
        return None
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (last.attempt - 1))
    return Attempt(last.attempt + 1, last.finished_at + pause if last.finished_at else None)
