"""What the cluster is told of pods on process nodes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fedsnap.local.node.podspec import Container, Pod
from fedsnap.local.node.states import Record, Running, Terminated, Waiting, restore, resumed, run_again, save
from fedsnap.local.node.status import Ending, View, phase_of, status_of
from fedsnap.local.node.stopping import Stop
from fedsnap.local.node.termination import MAX_MESSAGE, termination_message

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WAITS = Waiting(reason="ContainerCreating", message="soon")
RUNS = Running(container_id="1", started_at=NOW)


def ended(code: int) -> Terminated:
    reason = "Error" if code else "Completed"
    return Terminated(container_id="1", exit_code=code, reason=reason, started_at=NOW, finished_at=NOW)


GOOD, BAD = ended(0), ended(1)
BACKS_OFF = "back-off"


def record(state, index: int) -> Record:
    if state == BACKS_OFF:
        return Record(name=f"c{index}", state=Waiting(reason="CrashLoopBackOff"), last=BAD, restarts=1)
    return Record(name=f"c{index}", state=state, ready=isinstance(state, Running))


def view(main, init=(), policy="Never", **more) -> View:
    spec = {
        "restartPolicy": policy,
        "containers": [{"name": f"c{index}", "image": "i"} for index in range(len(main))],
        "initContainers": [{"name": f"c{index}", "image": "i"} for index in range(len(init))],
    }
    pod = Pod.model_validate({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": spec})
    return View(
        pod=pod,
        started_at=NOW,
        init=[record(one, index) for index, one in enumerate(init)],
        main=[record(one, index) for index, one in enumerate(main)],
        **more,
    )


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        (view([WAITS]), "Pending"),
        (view([WAITS], init=[RUNS]), "Pending"),
        (view([WAITS], init=[BAD]), "Failed"),
        (view([WAITS], init=[BACKS_OFF], policy="OnFailure"), "Pending"),
        (view([RUNS], init=[GOOD]), "Running"),
        (view([RUNS, GOOD]), "Running"),
        (view([RUNS, BAD]), "Running"),
        (view([GOOD, GOOD]), "Succeeded"),
        (view([GOOD, BAD]), "Failed"),
        (view([BACKS_OFF], policy="OnFailure"), "Running"),
        (view([BACKS_OFF], policy="Always"), "Running"),
        (view([GOOD], policy="Always"), "Running"),
        (view([GOOD], policy="OnFailure"), "Succeeded"),
        (view([GOOD], policy="Always", ending=Ending()), "Succeeded"),
        (view([BAD], policy="Always", ending=Ending()), "Failed"),
        (view([RUNS], ending=Ending()), "Running"),
        (view([WAITS], ending=Ending()), "Failed"),
        (view([GOOD], ending=Ending(failed=True)), "Failed"),
    ],
)
def test_the_phase_follows_from_the_containers(found, phase):
    assert phase_of(found) == phase


def conditions(found: View, now: datetime = NOW) -> dict[str, dict]:
    return {one["type"]: one for one in status_of(found, now)["conditions"]}


def test_conditions_tell_what_a_pod_waits_for():
    found = conditions(view([WAITS], init=[RUNS]))
    assert found["PodScheduled"]["status"] == "True"
    assert (found["Initialized"]["status"], found["Initialized"]["reason"]) == ("False", "ContainersNotInitialized")
    assert found["Ready"]["reason"] == "ContainersNotReady"
    assert "c0" in found["Ready"]["message"]


def test_a_running_pod_is_ready_and_a_completed_one_is_not():
    assert conditions(view([RUNS]))["Ready"]["status"] == "True"
    done = conditions(view([GOOD]))["Ready"]
    assert (done["status"], done["reason"]) == ("False", "PodCompleted")


def test_a_condition_keeps_its_time_until_it_changes():
    later = NOW + timedelta(minutes=1)
    before = tuple(conditions(view([RUNS])).values())
    assert conditions(view([RUNS], conditions=before), later)["Ready"]["lastTransitionTime"] == "2030-01-01T00:00:00Z"
    assert conditions(view([GOOD], conditions=before), later)["Ready"]["lastTransitionTime"] == "2030-01-01T00:01:00Z"


def test_the_status_tells_states_and_restarts():
    status = status_of(view([BACKS_OFF], policy="Always"), NOW)["containerStatuses"][0]
    assert status["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["restartCount"] == 1
    assert status["containerID"] == "fedsnap-process://1"


def test_why_a_pod_was_ended_is_told():
    status = status_of(view([BAD], ending=Ending(reason="DeadlineExceeded", message="late", failed=True)), NOW)
    assert (status["reason"], status["message"]) == ("DeadlineExceeded", "late")


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_says_whether_a_container_runs_again(policy, code, again):
    assert run_again(policy, ended(code)) is again


CONTAINER = Container(name="main", image="i")


def test_records_survive_the_agent(tmp_path):
    kept = Record(name="main", state=BAD, last=GOOD, restarts=2)
    save(kept, tmp_path / "main/record.json")
    assert restore(tmp_path / "main/record.json") == kept
    assert restore(tmp_path / "other/record.json") is None


def test_what_ran_when_the_agent_ended_was_killed():
    found = resumed(CONTAINER, Record(name="main", state=RUNS, restarts=1, ready=True), {})
    assert isinstance(found.state, Terminated)
    assert (found.state.exit_code, found.restarts, found.ready) == (137, 1, False)


def test_a_lost_record_of_a_running_container_counts_as_killed():
    assert resumed(CONTAINER, None, {"state": {"running": {}}}).state.exit_code == 137
    assert resumed(CONTAINER, None, {"state": {"waiting": {}}}).state == Waiting()


def test_a_container_that_backed_off_backs_off_again():
    assert resumed(CONTAINER, record(BACKS_OFF, 0), {}).state == BAD


def test_the_first_4096_bytes_of_a_termination_message_are_told(tmp_path):
    (tmp_path / "m").write_text("x" * 5000)
    assert termination_message(CONTAINER, tmp_path / "m", tmp_path / "log", 1) == "x" * MAX_MESSAGE


@pytest.mark.parametrize(
    ("policy", "code", "message"),
    [("FallbackToLogsOnError", 1, "end"), ("FallbackToLogsOnError", 0, ""), ("File", 1, "")],
)
def test_the_log_stands_in_only_for_a_failure_and_only_where_it_is_asked_to(tmp_path, policy, code, message):
    (tmp_path / "log").write_text("end")
    container = CONTAINER.model_copy(update={"termination_message_policy": policy})
    assert termination_message(container, tmp_path / "m", tmp_path / "log", code) == message


def test_only_the_last_80_lines_of_a_log_are_told(tmp_path):
    (tmp_path / "log").write_text("".join(f"{n}\n" for n in range(200)))
    container = CONTAINER.model_copy(update={"termination_message_policy": "FallbackToLogsOnError"})
    lines = termination_message(container, tmp_path / "m", tmp_path / "log", 1).splitlines()
    assert (lines[0], lines[-1]) == ("120", "199")


async def test_a_grace_may_shrink():
    stop = Stop()
    stop.ask(1000)
    over = asyncio.create_task(stop.grace_over())
    await asyncio.sleep(0)
    assert not over.done()
    stop.ask(0)
    await asyncio.wait_for(over, 5)


async def test_a_grace_never_grows():
    stop = Stop()
    stop.ask(0)
    stop.ask(1000)
    await asyncio.wait_for(stop.grace_over(), 5)


async def test_a_sleep_ends_as_soon_as_the_pod_should():
    stop = Stop()
    assert await stop.sleep(0.001) is False
    asleep = asyncio.create_task(stop.sleep(1000))
    stop.ask(5)
    assert await asyncio.wait_for(asleep, 5) is True
