from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.services, pytest.mark.round]


@pytest.mark.timeout(600)
def test_the_demo_trains_pulls_compares_and_leaves_nothing_behind(tmp_path):
    state = tmp_path / "state"
    command = [sys.executable, "-m", "fedsnap.local.demo", "--state", str(state), "--rounds", "1", "--no-keep"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "round 1: Completed; all Aggregated" in done.stdout
    assert "all digests verified" in done.stdout
    federated = re.search(r"federated\s+│\s+([01]\.\d{3})", done.stdout)
    assert federated, done.stdout
    assert float(federated[1]) > 0.7
    assert not state.exists()
