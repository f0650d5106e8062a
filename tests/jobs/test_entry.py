from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fedsnap.clients.vault import VaultSettings
from fedsnap.jobs.entry import run
from fedsnap.jobs.fetch import fetch
from fedsnap.jobs.results import FailureMessage, FetchResult, parse_termination
from fedsnap.jobs.tasks import FetchTask
from fedsnap.local.ports import free_ports
from hub_and_members import FIRST


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The termination log of a pod with an empty environment."""
    for name in [name for name in os.environ if name.startswith("FEDSNAP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEDSNAP_TERMINATION_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def test_a_missing_environment_variable_is_named(log):
    assert run(FetchTask, fetch) == 44
    assert json.loads(log.read_text())["error"] == {
        "reason": "EnvironmentMissing",
        "message": "the environment variable FEDSNAP_TASK is not set; set it in the pod",
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "TaskNotFound"), ("{}", "TaskInvalid"), ("[", "TaskInvalid"), ('{"unknown": 1}', "TaskInvalid")],
)
def test_a_task_that_cannot_be_read_is_a_matter_of_configuration(content, reason, log, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / "task.json").write_text(content)
    monkeypatch.setenv("FEDSNAP_TASK", str(tmp_path / "task.json"))
    assert run(FetchTask, fetch) == 44
    assert json.loads(log.read_text())["error"]["reason"] == reason


def test_a_long_reason_is_cut_to_what_the_kubelet_keeps(log, tmp_path, monkeypatch):
    (tmp_path / "task.json").write_text(json.dumps({"x" * 100_000: 1}))
    monkeypatch.setenv("FEDSNAP_TASK", str(tmp_path / "task.json"))
    assert run(FetchTask, fetch) == 44
    assert len(log.read_bytes()) <= 4096


@pytest.mark.services
def test_an_unreachable_vault_may_be_tried_again(hub):
    hub.initialize()
    hub.write_plan()
    task = hub.fetch_task("a")
    gone = VaultSettings(address=f"http://127.0.0.1:{free_ports(['vault'])['vault']}", role="a")
    ended = hub.run(task.model_copy(update={"vault": gone}), "a")
    assert (ended.code, ended.reason) == (1, "VaultUnavailable")


@pytest.mark.services
@pytest.mark.parametrize("index", ["", "1", "-1", "x"])
def test_a_completion_index_beyond_the_shards_is_a_matter_of_configuration(index, hub):
    hub.initialize()
    hub.write_plan()
    ended = hub.run(hub.aggregate_task(), index=index)
    assert ended.code == 44


@pytest.mark.services
def test_jobs_are_programs_whose_exit_code_says_how_they_ended(hub):
    hub.initialize()
    hub.write_plan()
    fetched = start(hub, "fetch", hub.fetch_task("a"))
    assert fetched[0] == 0
    assert isinstance(fetched[1], FetchResult)
    assert (hub.work("a") / "base" / "model.safetensors").is_file()
    hub.train("a", FIRST)
    (hub.work("a") / "output" / "report.json").write_text("{}")
    refused = start(hub, "seal", hub.seal_task("a"))
    assert refused[0] == 42
    assert isinstance(refused[1], FailureMessage)


def start(hub, name, task):
    environment = hub.environment("a", task)
    ended = subprocess.run(
        [sys.executable, "-m", f"fedsnap.jobs.{name}"], env=os.environ | environment, check=False, capture_output=True
    )
    with open(environment["FEDSNAP_TERMINATION_LOG"]) as file:  # noqa: PTH123
        return ended.returncode, parse_termination(file.read())
