from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedsnap.local.errors import NotStarted
from fedsnap.local.processes import Process, Processes

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
PARENT = """
import sys; from pathlib import Path; from fedsnap.local.processes import Processes
Processes(Path(sys.argv[1]), die_with_us=sys.argv[2] == "bound").start("sleeper", ["sleep", "600"])
"""


@pytest.fixture
def processes(tmp_path):
    made = Processes(tmp_path)
    yield made
    made.stop(*(process.name for process in made.all()))


def _wait(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_runs_is_not_started_twice(processes):
    processes.start("sleeper", SLEEPER)
    first = processes.find("sleeper")
    processes.start("sleeper", SLEEPER)
    assert processes.find("sleeper") == first


def test_a_process_that_ends_at_once_tells_why_by_its_log(processes):
    processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such flag')"])
    with pytest.raises(NotStarted, match=r"broken ended(.|\n)*no such flag"):
        processes.wait_until("broken", lambda: False)


def test_a_process_that_is_never_ready_tells_so_with_its_log(processes):
    processes.start("slow", SLEEPER)
    processes.wait_until("slow", lambda: processes.tail("slow") == "up")
    with pytest.raises(NotStarted, match=r"slow was not ready after 0.1 s(.|\n)*up"):
        processes.wait_until("slow", lambda: False, seconds=0.1)


def test_stopping_ends_what_the_process_started_too(processes, tmp_path):
    processes.start("shell", ["sh", "-c", f"sleep 600 & echo $! > {tmp_path / 'child'}; wait"])
    _wait(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    processes.stop("shell")
    child = int((tmp_path / "child").read_text())
    _wait(lambda: not _runs(child))
    assert processes.all() == []


def test_a_process_that_ignores_the_polite_signal_is_killed(processes, monkeypatch):
    monkeypatch.setattr("fedsnap.local.processes.STOP_SECONDS", 0.1)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    processes.start("stubborn", [sys.executable, "-c", stubborn])
    processes.wait_until("stubborn", lambda: processes.tail("stubborn") == "up")
    found = processes.find("stubborn")
    processes.stop("stubborn")
    assert not found.alive()


def test_another_process_with_a_recorded_pid_is_not_taken_for_it(processes):
    processes.start("sleeper", SLEEPER)
    found = processes.find("sleeper")
    assert found.alive()
    assert not Process(found.name, found.pid, "an earlier start").alive()


def test_a_process_outlives_who_started_it(tmp_path):
    subprocess.run([sys.executable, "-c", PARENT, tmp_path, "free"], check=True)
    processes = Processes(tmp_path)
    assert processes.running("sleeper")
    processes.stop("sleeper")
    assert not processes.running("sleeper")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends children with their parent")
def test_a_process_of_a_test_ends_with_the_interpreter(tmp_path):
    subprocess.run([sys.executable, "-c", PARENT, tmp_path, "bound"], check=True)
    _wait(lambda: not Processes(tmp_path).running("sleeper"))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
