from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from fedsnap.clients.cluster import NAMESPACE, ClusterClient
from fedsnap.local import cluster as local
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.processes import Processes

CONTROL_PLANE = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]


def _command(directory, *words):
    command = [sys.executable, "-m", "fedsnap.local", *words, f"--state={directory}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.cluster
async def test_a_cluster_goes_up_again_after_a_crash_and_down_without_a_trace(tmp_path):
    directory = tmp_path / "state"
    try:
        up = _command(directory, "up", "--no-services", "--no-node")
        assert (up.returncode, up.stderr) == (0, "")
        assert f"export KUBECONFIG={directory / 'kubeconfig'}" in up.stdout
        first = Processes(directory).all()
        assert [process.name for process in first if process.alive()] == CONTROL_PLANE

        assert _command(directory, "up", "--no-services", "--no-node").returncode == 0
        assert Processes(directory).all() == first

        for name in ("etcd", "kube-apiserver"):
            os.kill(Processes(directory).find(name).pid, signal.SIGKILL)
        assert _command(directory, "status").returncode == 3
        found = local.start(directory, services=False)
        async with await ClusterClient.connect(found.kubeconfig) as client:
            assert await client.get(NAMESPACE, None, "default")
        assert _command(directory, "status").returncode == 0
        last = Processes(directory).all()
    finally:
        down = _command(directory, "down")
    assert down.returncode == 0
    assert [process for process in last if process.alive()] == []
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_directory_is_neither_used_nor_removed(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LocalClusterError, match="nothing was removed"):
        local.stop(tmp_path)
    with pytest.raises(LocalClusterError, match=r"expected .* to be empty"):
        local.start(tmp_path, services=False)
    assert (tmp_path / "thesis.tex").exists()


def test_going_down_twice_is_fine(tmp_path):
    assert _command(tmp_path / "none", "down").returncode == 0


def test_status_says_how_to_start(tmp_path):
    answer = _command(tmp_path / "none", "status")
    assert answer.returncode == 3
    assert "python -m fedsnap.local up" in answer.stderr


def test_names_choose_directories(monkeypatch, tmp_path):
    monkeypatch.delenv("FEDSNAP_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert local.state_directory("two") == tmp_path / "fedsnap" / "two"
    monkeypatch.setenv("FEDSNAP_STATE", str(tmp_path / "mine"))
    assert local.state_directory() == tmp_path / "mine" / "fedsnap"
