from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.local.demo import view
from fedsnap.local.demo.progress import Progress, reasons, rows

NOW = datetime(2026, 6, 1, 12, 0, 40, tzinfo=UTC)
MEMBERS = ("cleveland", "hungary")


def _condition(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _model(*conditions, latest=None):
    spec = {
        "architecture": {"image": "trainer:1"},
        "initialization": {"template": "heart-init", "seed": 1},
        "training": {
            "rounds": 3,
            "roundTemplate": {"participants": {"organizations": list(MEMBERS), "quorum": 1}},
        },
        "keys": {"vault": {"mount": "transit", "key": "heart"}},
        "publication": {"store": {"bucket": "fedsnap", "prefix": "snapshots/heart"}},
    }
    status = {"latestSnapshot": latest, "conditions": list(conditions)}
    return SharedModel.model_validate({"metadata": {"name": "heart"}, "spec": spec, "status": status})


def _round(*conditions, number=1, stage="Training", members=(), seconds=40):
    spec = {
        "modelRef": {"name": "heart"},
        "number": number,
        "participants": {"organizations": list(MEMBERS), "quorum": 1},
    }
    status = {
        "stage": stage,
        "participants": list(members),
        "conditions": list(conditions),
        "startedAt": NOW - timedelta(seconds=seconds),
    }
    return FederatedRound.model_validate({"metadata": {"name": f"heart-{number}"}, "spec": spec, "status": status})


REFUSED = {"organization": "hungary", "state": "Refused", "reason": "RuleExpired", "message": "rule r expired"}
TRAINING = {"organization": "cleveland", "state": "Training"}
FAILED = _condition("Finished", "True", "QuorumNotReached", "fewer than the quorum of 2 accepted")


@pytest.mark.parametrize(
    ("progress", "verdict"),
    [
        (Progress(_model(), []), None),
        (Progress(_model(_condition("Ready", "False", "Training")), [_round()]), None),
        (Progress(_model(_condition("Ready", "True", "Trained"), latest="heart-3"), []), "Trained"),
        (Progress(_model(_condition("Ready", "False", "InitializationFailed")), []), "Failed"),
        (Progress(_model(_condition("Stalled", "True", "Misconfigured")), []), "Failed"),
        (Progress(_model(_condition("Ready", "False", "Training")), [_round(FAILED)]), "Failed"),
        (Progress(_model(), [_round(_condition("Finished", "True", "Degraded"))]), None),
        (Progress(_model(), [_round(_condition("Reconciling", "True", "StoreUnavailable"))]), None),
    ],
)
def test_the_verdict_comes_from_conditions_alone(progress, verdict):
    assert progress.verdict == verdict


def test_a_failure_is_told_with_every_unmet_condition_and_the_words_of_the_members():
    progress = Progress(
        _model(_condition("Ready", "False", "RoundFailed", "round 1 failed")), [_round(FAILED, members=[REFUSED])]
    )
    assert reasons(progress) == [
        "SharedModel heart: Ready=False, RoundFailed: round 1 failed",
        "FederatedRound heart-1: Finished=True, QuorumNotReached: fewer than the quorum of 2 accepted",
        "  hungary: Refused, RuleExpired: rule r expired",
    ]


def test_rounds_that_went_well_are_no_reason():
    done = _round(_condition("Finished", "True", "Completed"), _condition("Trained", "True", "Done"))
    assert reasons(Progress(_model(), [done])) == []


def test_a_row_says_where_each_member_is_and_since_when_the_round_runs():
    waiting = _condition("Trained", "False", "Waiting", "waiting until 12:10:00Z for cleveland")
    row = rows(Progress(_model(latest="heart-0"), [_round(waiting, members=[TRAINING, REFUSED])]), NOW)[1]
    assert row.members == (("cleveland", "Training"), ("hungary", "Refused: RuleExpired"))
    assert row.seconds == 40
    assert row.note == "waiting until 12:10:00Z for cleveland"


def test_first_weights_have_a_row_of_their_own_until_they_are_published():
    ready = _condition("Ready", "False", "Initializing", "Job heart-0-initialize-1 makes the first weights")
    assert rows(Progress(_model(ready), []), NOW)[0].stage == "Initializing"
    assert rows(Progress(_model(ready, latest="heart-0"), []), NOW)[0].stage == "Published"


def test_without_a_terminal_a_line_comes_only_where_something_changed():
    out = io.StringIO()
    shown = view.View(Console(file=out, width=200), MEMBERS)
    progress = Progress(_model(latest="heart-0"), [_round(members=[TRAINING])])
    with shown.shown():
        shown.update(rows(progress, NOW))
        shown.update(rows(progress, NOW + timedelta(seconds=5)))
    lines = [line.split("s  ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == ["round 0 (first weights): Published", "round 1: Training; Training cleveland"]


def test_members_in_the_same_state_share_a_word():
    both = [{"organization": name, "state": "Committed"} for name in MEMBERS]
    row = rows(Progress(_model(), [_round(members=both, stage="Aggregating")]), NOW)[1]
    assert view.plain(row) == "round 1: Aggregating; all Committed"


def test_text_of_others_is_shown_as_text_and_not_as_markup():
    out = io.StringIO()
    note = _condition("Trained", "False", "Waiting", "[bold]not bold[/] [/red]")
    made = view.table(rows(Progress(_model(), [_round(note)]), NOW), MEMBERS)
    Console(file=out, width=200).print(made)
    assert "[bold]not bold[/] [/red]" in out.getvalue()
