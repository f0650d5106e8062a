from __future__ import annotations

from datetime import UTC, datetime

from fedsnap.reconcilers.conditions import merged_status, transitions, with_failure

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BEFORE = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Accepted",
            "status": "True",
            "reason": "Done",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}


def _raw(status=None, generation=1):
    return {"metadata": {"name": "a", "generation": generation}, "status": status or {}}


def _condition(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_a_new_condition_holds_since_now():
    status = merged_status(_raw(), {"conditions": [_condition("Accepted", "False", "Waiting")]}, NOW)
    assert status["conditions"][0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_the_observed_generation_is_filled_in_where_the_kind_has_it():
    assert merged_status(_raw(generation=3), {"observedGeneration": 0}, NOW) == {"observedGeneration": 3}
    assert merged_status(_raw(generation=3), {}, NOW) == {}


def test_a_condition_with_another_reason_but_the_same_status_holds_since_before():
    status = merged_status(_raw(BEFORE), {"conditions": [_condition("Accepted", "True", "Degraded")]}, NOW)
    assert status["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_the_same_wish_gives_the_same_status():
    wanted = {"observedGeneration": 0, "conditions": [_condition("Accepted", "True", "Done")]}
    assert merged_status(_raw(BEFORE), wanted, NOW) == BEFORE


def test_an_earlier_failure_is_forgotten_by_a_success():
    failed = with_failure(BEFORE, "Reconciling", "VaultUnavailable", "down")
    assert merged_status(_raw(failed), failed, NOW) == BEFORE


def test_a_failure_replaces_the_failure_before():
    status = with_failure(with_failure({}, "Reconciling", "A", ""), "Stalled", "B", "")
    assert [one["type"] for one in status["conditions"]] == ["Stalled"]


def test_people_hear_of_changes_but_not_of_what_has_yet_to_begin():
    after = {"conditions": [_condition("Accepted", "False", "Refused"), _condition("Trained", "False", "Waiting")]}
    assert [(one.type, one.reason, one.warning) for one in transitions(BEFORE, after)] == [
        ("Accepted", "Refused", True)
    ]


def test_the_same_reason_is_told_once():
    assert transitions(BEFORE, BEFORE) == ()


def test_progress_is_told_as_normal_and_what_went_wrong_as_a_warning():
    before = {"conditions": [_condition("Ready", "False", "Initializing")]}
    told = {
        reason: transitions(before, {"conditions": [_condition("Ready", "False", reason)]})[0].warning
        for reason in ("Training", "RoundFailed")
    }
    assert told == {"Training": False, "RoundFailed": True}
