"""Detached processes of one state directory: recorded with pid and start time, their output in files."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fedsnap.local.errors import NotStarted

READY_SECONDS = 90.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.03
_LOG_LINES = 25
_PR_SET_PDEATHSIG = 1
# Children of this interpreter are zombies until somebody asks for their exit status.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was started; `started` tells it from a later process with the same pid."""

    name: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process runs."""
        if child := _children.get(self.pid):
            child.poll()
        return _start_time(self.pid) == self.started

    def memory_bytes(self) -> int:
        """Resident memory, 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")


class Processes:
    """The processes of a state directory; records lie in `processes/`, output in `logs/`."""

    def __init__(self, state: Path, *, die_with_us: bool = False) -> None:
        self._records = state / "processes"
        self._logs = state / "logs"
        self._state = state
        self._die_with_us = die_with_us

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process; where it runs already nothing happens."""
        if self.running(name):
            return
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(exist_ok=True)
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in command],
                cwd=cwd or self._state,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if self._die_with_us else None,  # noqa: PLW1509 - one system call
            )
        _children[child.pid] = child
        record = Process(name, child.pid, _start_time(child.pid))
        self._record(name).write_text(json.dumps(asdict(record)), encoding="utf-8")

    def wait_until(self, name: str, ready: Callable[[], bool], *, seconds: float = READY_SECONDS) -> None:
        """Return as soon as `ready` says so.

        Raises:
            NotStarted: where the process ended, or time ran out.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running(name):
                raise NotStarted(
                    f"{name} ended while it started; its log {self.log(name)} ends with:\n{self.tail(name)}"
                )
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"{name} was not ready after {seconds:g} s; its log {self.log(name)} ends with:\n{self.tail(name)}"
                )
            time.sleep(_POLL_SECONDS)

    def running(self, name: str) -> bool:
        """Whether the process was started and runs."""
        found = self.find(name)
        return found is not None and found.alive()

    def find(self, name: str) -> Process | None:
        """The process as it was started last."""
        try:
            return Process(**json.loads(self._record(name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def all(self) -> list[Process]:
        """Everything that was started and not stopped since."""
        found = (self.find(path.stem) for path in sorted(self._records.glob("*.json")))
        return [process for process in found if process]

    def stop(self, *names: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End processes with all that they started, and forget them; those that stay are killed."""
        found = [process for process in map(self.find, names) if process]
        for process in found:
            _signal(process, how)
        deadline = time.monotonic() + STOP_SECONDS
        for process in found:
            while process.alive() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            _signal(process, signal.SIGKILL)
            while process.alive():
                time.sleep(_POLL_SECONDS)
            if child := _children.pop(process.pid, None):
                child.wait()
            self._record(process.name).unlink(missing_ok=True)

    def signal(self, name: str, what: signal.Signals) -> None:
        """Send a signal, where the process runs."""
        if (found := self.find(name)) and found.alive():
            os.kill(found.pid, what)

    def log(self, name: str) -> Path:
        """Where the output of the process goes."""
        return self._logs / f"{name}.log"

    def tail(self, name: str) -> str:
        """The last lines of the log."""
        try:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-_LOG_LINES:]) or "(empty)"

    def _record(self, name: str) -> Path:
        return self._records / f"{name}.json"


def _signal(process: Process, how: signal.Signals) -> None:
    # Each process leads a session of its own, so its group is exactly what it started.
    if process.alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)


def _start_time(pid: int) -> str:
    """When the process started, in the system's own terms; empty where it is gone or a zombie."""
    if not sys.platform.startswith("linux"):
        listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return listed.stdout.strip()
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # proc(5): the command in parentheses may hold anything; state is field 3, start time field 22.
    fields = content.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def _end_with_parent() -> None:
    # prctl(2): the kernel ends the child when its parent ends, however that happens.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
