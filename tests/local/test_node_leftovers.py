"""Processes of process nodes, and what an earlier agent left behind."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedsnap.local.node.environment import Program
from fedsnap.local.node.leftovers import clear, sweep
from fedsnap.local.node.processes import Process
from fedsnap.local.node.states import Record, Running, save

WITHIN_S = 20
# A child in a session of its own: a signal to the process group does not reach it.
PARENT = """
import subprocess, sys, time
command = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(1000)"]
child = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
{then}
"""


@pytest.fixture
def start(tmp_path):
    async def run(program: str, container_id: str) -> Process:
        argv = (sys.executable, "-c", program)
        return await Process.start(container_id, Program(argv, {}), tmp_path, tmp_path / "log")

    return run


async def _until(check) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not check():  # noqa: ASYNC110 - files and processes wake nobody
            await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_the_exit_code_is_the_programs(start, tmp_path):
    process = await start("print('said'); raise SystemExit(5)", "code")
    assert await process.wait() == 5
    assert (tmp_path / "log").read_text() == "said\n"


async def test_a_program_starts_with_nothing_but_its_own_environment(start, tmp_path):
    process = await start("import os; print(sorted(k for k in os.environ if k != 'LC_CTYPE'))", "environment")
    await process.wait()
    assert (tmp_path / "log").read_text() == "['FEDSNAP_CONTAINER_ID']\n"


async def test_a_signal_ends_the_process(start):
    process = await start("import time; time.sleep(1000)", "signal")
    process.signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 143


async def test_what_a_program_leaves_behind_is_killed_when_it_ends(start, tmp_path):
    process = await start(PARENT.format(then=""), "left")
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
    child = int((tmp_path / "log").read_text())
    await _until(lambda: not _alive(child))


async def test_a_new_agent_kills_what_an_earlier_one_remembered_as_running(start, tmp_path):
    process = await start(PARENT.format(then="time.sleep(1000)"), "earlier")
    await _until(lambda: (tmp_path / "log").read_text().endswith("\n"))
    child = int((tmp_path / "log").read_text())
    running = Running(container_id="earlier", started_at=datetime.now(UTC))
    save(Record(name="main", state=running), tmp_path / "pods/n_p_u/main/record.json")
    clear(tmp_path)
    await _until(lambda: not _alive(child))
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 137


def test_volumes_of_pods_that_are_gone_are_removed_and_logs_stay(tmp_path):
    for uid in ("a", "b"):
        (tmp_path / f"pods/n_p_{uid}/.scratch/volumes/secret").mkdir(parents=True)
        (tmp_path / f"pods/n_p_{uid}/0.log").touch()
    sweep(tmp_path, {"b"})
    found = {str(one.relative_to(tmp_path / "pods")) for one in tmp_path.glob("pods/*/*")}
    assert found == {"n_p_a/0.log", "n_p_b/0.log", "n_p_b/.scratch"}
