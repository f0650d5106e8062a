from __future__ import annotations

import json

import pytest

from fedsnap.reconcilers.jobstate import seen_job

SEALED = {
    "commitDigest": "sha256:" + "a" * 64,
    "examples": 5,
    "updateNorm": "1",
    "clipped": False,
    "saturated": 0,
    "bytes": 9,
    "coordinates": 3,
}


def job(condition=None, reason="BackoffLimitExceeded"):
    made = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": "2026-11-24T12:00:00Z"}
    metadata = {"name": "j", "labels": {"fedsnap.dev/attempt": "2", "fedsnap.dev/stage": "train"}}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": [made] if condition else []}}


def pod(init=None, main=None):
    statuses = {"initContainerStatuses": init, "containerStatuses": main}
    return {"status": {name: [{"name": "train", "state": state}] for name, state in statuses.items() if state}}


def ended(code, message="", reason="Error"):
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


def test_a_job_that_ended_well_carries_what_it_reported():
    seen = seen_job(job("Complete"), [pod(main=ended(0, json.dumps(SEALED)))])
    assert seen.result.succeeded
    assert seen.reports[0].examples == 5


def test_a_job_whose_report_is_lost_is_run_again():
    seen = seen_job(job("Complete"), [])
    assert (seen.result.finished, seen.result.succeeded, seen.result.reason) == (True, False, "ReportLost")


def test_a_failure_says_what_its_container_said():
    said = json.dumps({"error": {"reason": "UpdateNotFinite", "message": "tensor w holds NaN"}})
    result = seen_job(job("Failed"), [pod(main=ended(42, said))]).result
    assert (result.exit_code, result.reason) == (42, "UpdateNotFinite")
    assert "tensor w holds NaN" in result.message


def test_text_that_a_trainer_left_is_not_repeated():
    result = seen_job(job("Failed"), [pod(init=ended(1, "patient 4711 has ..."))]).result
    assert result.reason == "ContainerFailed"
    assert "4711" not in result.message


def test_a_container_that_was_killed_for_memory_is_told_as_that():
    assert seen_job(job("Failed"), [pod(init=ended(137, reason="OOMKilled"))]).result.reason == "OutOfMemory"


def test_a_deadline_is_the_jobs_own_reason_whatever_its_containers_left():
    result = seen_job(job("Failed", "DeadlineExceeded"), [pod(init=ended(143))]).result
    assert (result.exit_code, result.reason) == (None, "DeadlineExceeded")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"waiting": {"reason": "ErrImageNeverPull", "message": "no image x"}}, "ErrImageNeverPull: no image x"),
        ({"waiting": {"reason": "PodInitializing", "message": "volume data: no such directory"}}, "volume data"),
    ],
)
def test_why_a_container_does_not_start_is_said(state, said):
    assert said in seen_job(job(), [pod(init=state)]).waiting


def test_a_pod_that_is_being_set_up_says_nothing():
    assert seen_job(job(), [pod(init={"waiting": {"reason": "PodInitializing"}})]).waiting == ""


def test_a_pod_that_no_node_has_room_for_says_so():
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no GPU"}
    assert seen_job(job(), [{"status": {"conditions": [scheduled]}}]).waiting == "Unschedulable: 0/1 nodes: no GPU"


@pytest.mark.parametrize("reason", ["", "a b", "9x", "x" * 128 + "y"])
def test_a_reason_that_is_no_word_is_not_repeated(reason):
    said = json.dumps({"error": {"reason": reason, "message": "m"}})
    assert seen_job(job("Failed"), [pod(init=ended(42, said))]).result.reason == "ContainerFailed"
