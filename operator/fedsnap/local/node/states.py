"""What a container does, and what the node remembers of it across its own restarts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fedsnap.local.node.podspec import Container

KILLED = 137
CANNOT_RUN = 128


class State(BaseModel):
    """A state of a container."""

    model_config = ConfigDict(frozen=True)


class Waiting(State):
    """It does not run, and why."""

    reason: str = "PodInitializing"
    message: str = ""


class Running(State):
    """Its process group lives."""

    container_id: str
    started_at: datetime


class Terminated(State):
    """Its process ended; `exit_code` is 128 + n after signal n."""

    container_id: str
    exit_code: int
    reason: str
    started_at: datetime
    finished_at: datetime
    message: str = ""


class Record(State):
    """One container as the node knows it: what it does, how its last run ended, and how often it was started again."""

    name: str
    state: Waiting | Running | Terminated = Waiting()
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it ended with exit code 0."""
        return isinstance(self.state, Terminated) and self.state.exit_code == 0


def now() -> datetime:
    """The time as statuses carry it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def save(record: Record, path: Path) -> None:
    """Remember a container for the next agent of this state directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(record.model_dump_json(), encoding="utf-8")
    partial.replace(path)


def restore(path: Path) -> Record | None:
    """What an earlier agent remembered, or None where it never started the container."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def resumed(container: Container, saved: Record | None, reported: dict[str, object]) -> Record:
    """A container after a restart of the agent: what ran then was killed.

    `reported` is the container's entry in the pod's status, which tells of a run where the record is lost.
    """
    if saved is None:
        was_running = "running" in (reported.get("state") or {})  # type: ignore[operator]
        lost = killed(Running(container_id="unknown", started_at=now()))
        return Record(name=container.name, state=lost if was_running else Waiting())
    if isinstance(saved.state, Running):
        return saved.model_copy(update={"state": killed(saved.state), "ready": False})
    if isinstance(saved.state, Waiting) and saved.last:
        return saved.model_copy(update={"state": saved.last})
    return saved


def killed(running: Running) -> Terminated:
    """The end of a process that did not outlive its agent."""
    return Terminated(
        container_id=running.container_id,
        exit_code=KILLED,
        reason="Error",
        message="the node agent was started anew and ended this process",
        started_at=running.started_at,
        finished_at=now(),
    )


def run_again(policy: str, end: Terminated) -> bool:
    """Whether a restart policy starts a container again after it ended."""
    return policy == "Always" or (policy == "OnFailure" and end.exit_code != 0)
