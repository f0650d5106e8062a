"""The status of a pod, computed from its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fedsnap.local.node.fields import LOOPBACK
from fedsnap.local.node.podspec import Container, Pod
from fedsnap.local.node.states import Record, Running, Terminated, Waiting

RUNTIME = "fedsnap-process"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a pod ends as a whole, rather than container by container."""

    reason: str = ""
    message: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that the status of a pod depends on."""

    pod: Pod
    started_at: datetime
    init: Sequence[Record]
    main: Sequence[Record]
    ending: Ending | None = None
    conditions: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def timestamp(moment: datetime) -> str:
    """As the API writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def phase_of(view: View) -> str:
    """The phase, by kubelet's rules (`getPhase` in its `kubelet_pods.go`)."""
    everything = (*view.init, *view.main)
    if view.ending and not any(isinstance(one.state, Running) for one in everything):
        return "Failed" if view.ending.failed or not all(one.succeeded for one in everything) else "Succeeded"
    if not all(one.succeeded for one in view.init):
        return "Failed" if _ended_badly(view) else "Pending"
    return _phase_of_main(view)


def _ended_badly(view: View) -> bool:
    """Whether an init container failed and is never started again."""
    failed = any(isinstance(one.state, Terminated) and one.state.exit_code for one in view.init)
    return failed and view.pod.spec.restart_policy == "Never"


def _phase_of_main(view: View) -> str:
    if any(isinstance(one.state, Waiting) and one.last is None for one in view.main):
        return "Pending"
    if any(not isinstance(one.state, Terminated) for one in view.main) or view.pod.spec.restart_policy == "Always":
        return "Running"
    if all(one.succeeded for one in view.main):
        return "Succeeded"
    return "Failed" if view.pod.spec.restart_policy == "Never" else "Running"


def status_of(view: View, now: datetime) -> Json:
    """The whole status that the node agent owns."""
    phase = phase_of(view)
    status: Json = {
        "phase": phase,
        "startTime": timestamp(view.started_at),
        "hostIP": LOOPBACK,
        "hostIPs": [{"ip": LOOPBACK}],
        "podIP": LOOPBACK,
        "podIPs": [{"ip": LOOPBACK}],
        "conditions": conditions_of(view, phase, now),
        "containerStatuses": _statuses(view.pod.spec.containers, view.main),
    }
    if view.init:
        status["initContainerStatuses"] = _statuses(view.pod.spec.init_containers, view.init)
    if view.ending and view.ending.reason:
        status |= {"reason": view.ending.reason, "message": view.ending.message}
    return status


def _statuses(containers: Sequence[Container], records: Sequence[Record]) -> list[Json]:
    return [_container_status(one, record) for one, record in zip(containers, records, strict=True)]


def _container_status(container: Container, record: Record) -> Json:
    status: Json = {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": record.ready,
        "started": isinstance(record.state, Running),
        "restartCount": record.restarts,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last else {},
    }
    known = record.state if not isinstance(record.state, Waiting) else record.last
    if known:
        status |= {"containerID": f"{RUNTIME}://{known.container_id}", "imageID": f"{RUNTIME}://{container.image}"}
    return status


def _state(state: Waiting | Running | Terminated) -> Json:
    if isinstance(state, Waiting):
        return {"waiting": _filled({"reason": state.reason, "message": state.message})}
    if isinstance(state, Running):
        return {"running": {"startedAt": timestamp(state.started_at)}}
    ended = {
        "containerID": f"{RUNTIME}://{state.container_id}",
        "exitCode": state.exit_code,
        "reason": state.reason,
        "startedAt": timestamp(state.started_at),
        "finishedAt": timestamp(state.finished_at),
    }
    return {"terminated": ended | _filled({"message": state.message})}


def _filled(texts: Mapping[str, str]) -> Json:
    return {key: text for key, text in texts.items() if text}


def conditions_of(view: View, phase: str, now: datetime) -> list[Json]:
    """The conditions that kubelet would write; each keeps its time until its status changes."""
    initialized = all(one.succeeded for one in view.init)
    ready = all(one.ready for one in view.main) and phase == "Running"
    why_not = "PodCompleted" if phase == "Succeeded" else "PodFailed" if phase == "Failed" else "ContainersNotReady"
    unready = [one.name for one in view.main if not one.ready]
    message = f"containers with unready status: {unready}" if unready else ""
    found = {
        "PodScheduled": ("", ""),
        "Initialized": ("", "") if initialized else ("ContainersNotInitialized", _uninitialized(view)),
        "ContainersReady": ("", "") if ready else (why_not, message),
        "Ready": ("", "") if ready else (why_not, message),
    }
    return [_condition(view, now, kind, *why) for kind, why in found.items()]


def _uninitialized(view: View) -> str:
    return f"containers with incomplete status: {[one.name for one in view.init if not one.succeeded]}"


def _condition(view: View, now: datetime, kind: str, reason: str, message: str) -> Json:
    """A condition; it holds where no reason is given."""
    status = "False" if reason else "True"
    before = next((one for one in view.conditions if one.get("type") == kind and one.get("status") == status), {})
    since = before.get("lastTransitionTime") or timestamp(now)
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        **_filled({"reason": reason, "message": message}),
    }
