"""What Jobs and their pods say: how an attempt ended, by which container, and what it reported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedsnap.builders.names import LABEL_ATTEMPT, LABEL_STAGE
from fedsnap.clients.cluster import JOB, POD, ClusterClient
from fedsnap.jobs.results import FailureMessage, Message, parse_termination
from fedsnap.policies.retry import JobResult

LABEL_JOB = "batch.kubernetes.io/job-name"
_MAX_SHOWN = 300
_REASON = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}")
Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob:
    """One attempt's Job.

    Attributes:
        reports: what its pods reported, in pod order; failures are in `result`.
        waiting: why a pod that should run does not, in words.
    """

    result: JobResult
    stage: str = ""
    suspended: bool = False
    reports: tuple[Message, ...] = ()
    waiting: str = ""

    @property
    def active(self) -> bool:
        """Whether it may still do something."""
        return not self.result.finished


async def read_jobs(client: ClusterClient, namespace: str, labels: Mapping[str, str]) -> list[SeenJob]:
    """All Jobs with `labels`, in order of their attempts."""
    jobs = await client.list(JOB, namespace, labels)
    pods = await client.list(POD, namespace, labels) if jobs else []
    of_job: dict[str, list[Raw]] = {}
    for pod in pods:
        of_job.setdefault((pod["metadata"].get("labels") or {}).get(LABEL_JOB, ""), []).append(pod)
    seen = [seen_job(job, of_job.get(job["metadata"]["name"], [])) for job in jobs if not _going(job)]
    return sorted(seen, key=lambda one: one.result.attempt)


def _going(job: Raw) -> bool:
    return bool(job["metadata"].get("deletionTimestamp"))


def seen_job(job: Raw, pods: list[Raw]) -> SeenJob:
    """One Job with its pods."""
    labels = job["metadata"].get("labels") or {}
    finished = _finished(job)
    reports = tuple(found for found in map(_report, pods) if found is not None)
    # All our Jobs report. One whose pods are gone is run again: it finds what it stored and reports that.
    succeeded = finished is not None and finished["type"] == "Complete" and bool(reports)
    code, reason, message = _failure(pods, finished) if finished and not succeeded else (None, "", "")
    return SeenJob(
        result=JobResult(
            name=job["metadata"]["name"],
            attempt=int(labels.get(LABEL_ATTEMPT, "1")),
            finished=finished is not None,
            succeeded=succeeded,
            exit_code=code,
            reason=reason,
            message=message,
            finished_at=_moment(finished),
        ),
        stage=labels.get(LABEL_STAGE, ""),
        suspended=bool(job["spec"].get("suspend")),
        reports=reports,
        waiting="" if finished else _waiting(pods),
    )


def _finished(job: Raw) -> Raw | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] in ("Complete", "Failed") and one["status"] == "True"), None)


def _moment(condition: Raw | None) -> datetime | None:
    since = condition.get("lastTransitionTime") if condition else None
    return datetime.fromisoformat(since) if since else None


def _statuses(pod: Raw) -> Iterator[Raw]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _report(pod: Raw) -> Message | None:
    """What the pod's main container said when it ended well."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (one.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode") == 0:
            return parse_termination(ended.get("message") or "")
    return None


def _failure(pods: list[Raw], condition: Raw) -> tuple[int | None, str, str]:
    """Exit code, reason and message: of the container that failed, else of the Job's condition."""
    if condition["type"] == "Complete":
        return None, "ReportLost", "the Job ended well, but its pod and what it reported are gone"
    for pod in pods:
        for one in _statuses(pod):
            ended = (one.get("state") or {}).get("terminated")
            if ended and ended.get("exitCode") not in (0, None) and condition.get("reason") != "DeadlineExceeded":
                return _of_container(one["name"], ended)
    return None, str(condition.get("reason") or "Failed"), str(condition.get("message") or "")[:_MAX_SHOWN]


def _of_container(name: str, ended: Raw) -> tuple[int, str, str]:
    code = int(ended["exitCode"])
    report = parse_termination(ended.get("message") or "")
    if isinstance(report, FailureMessage) and _REASON.fullmatch(report.error.reason):
        return code, report.error.reason, f"container {name}: {report.error.message}"[:1024]
    # Anything else that a container left may hold an example of the data, so it stays where it is.
    reason = str(ended.get("reason") or "Error")
    return code, "OutOfMemory" if reason == "OOMKilled" else "ContainerFailed", f"container {name} exited with {code}"


def _waiting(pods: list[Raw]) -> str:
    for pod in pods:
        for one in _statuses(pod):
            waits = (one.get("state") or {}).get("waiting")
            # While a pod is being set up there is nothing to say, unless something is said.
            beginning = waits and waits.get("reason") in (None, "PodInitializing", "ContainerCreating")
            if waits and (waits.get("message") or not beginning):
                return f"container {one['name']}: {waits.get('reason')}: {waits.get('message') or ''}"[:_MAX_SHOWN]
        for condition in (pod.get("status") or {}).get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"{condition.get('reason')}: {condition.get('message') or ''}"[:_MAX_SHOWN]
    return ""
