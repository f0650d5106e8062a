"""Process groups that stand for containers. Linux only: it reads /proc and uses PR_SET_PDEATHSIG."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Self

from fedsnap.local.node.environment import Program

# Marks all processes of a container, also those that left its process group; /proc shows it for as long as they live.
MARK = "FEDSNAP_CONTAINER_ID"
PR_SET_PDEATHSIG = 1  # prctl(2)
SIGNALLED = 128

_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """One container's process group."""

    def __init__(self, container_id: str, child: asyncio.subprocess.Process) -> None:
        self._id = container_id
        self._child = child

    @classmethod
    async def start(cls, container_id: str, program: Program, directory: Path, log: Path) -> Self:
        """Start a program in a session of its own, with its output in a file.

        Raises:
            OSError: where the program cannot be executed.
        """
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *program.argv,
                env={**program.env, MARK: container_id},
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dies_with(os.getpid()),
            )
        return cls(container_id, child)

    async def wait(self) -> int:
        """The exit code, 128 + n after signal n; what the program left behind is killed, as with a container."""
        code = await self._child.wait()
        self.signal(signal.SIGKILL)
        return SIGNALLED - code if code < 0 else code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; to all marked processes where it is SIGKILL."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)
        if number == signal.SIGKILL:
            kill_marked([self._id])


def _dies_with(agent: int) -> Callable[[], None]:
    # Between fork and exec only names that were looked up before: another thread may have held a lock.
    prctl, getppid, leave = _libc.prctl, os.getppid, os._exit

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if getppid() != agent:
            leave(SIGNALLED + signal.SIGKILL)

    return before_exec


def kill_marked(container_ids: Collection[str]) -> int:
    """Kill all processes of these containers, and say how many there were."""
    marks = {f"{MARK}={one}".encode() for one in container_ids}
    if not marks:
        return 0
    count = 0
    for process, environment in _environments():
        if marks.intersection(environment):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
                count += 1
    return count


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            # Processes come and go meanwhile, and those of other users are none of ours.
            with contextlib.suppress(OSError):
                yield int(directory.name), (directory / "environ").read_bytes().split(b"\0")
