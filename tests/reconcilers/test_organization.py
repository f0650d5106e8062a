from __future__ import annotations

from datetime import timedelta

from fedsnap.reconcilers.organization import Observed, decide
from samples import NOW, organization, participation

ASKED = {"creationTimestamp": "2026-11-24T11:59:00Z"}


def connected(*participations, now=NOW):
    return decide(Observed(organization("cleveland"), list(participations)), now).status["conditions"][0]


def test_while_nothing_is_asked_nobody_knows():
    assert connected()["status"] == "Unknown"
    assert connected(participation(status={"decision": "Refused"}, meta=ASKED))["status"] == "Unknown"
    assert connected(participation(stage="Closed", meta=ASKED))["status"] == "Unknown"


def test_a_member_that_answers_is_connected():
    beat = {"decision": "Accepted", "lastHeartbeatTime": "2026-11-24T11:59:40Z"}
    assert connected(participation(status=beat, meta=ASKED))["status"] == "True"


def test_a_member_that_was_asked_just_now_need_not_have_answered():
    assert connected(participation(meta=ASKED))["status"] == "True"


def test_a_silent_member_is_named_with_what_waits_for_it():
    condition = connected(participation(meta=ASKED), now=NOW + timedelta(minutes=5))
    assert (condition["status"], condition["reason"]) == ("False", "Silent")
    assert "research.heart-1.1" in condition["message"]


def test_the_latest_heartbeat_is_kept():
    early = participation("cleveland", status={"lastHeartbeatTime": "2026-11-24T11:00:00Z"}, meta=ASKED)
    late = participation("cleveland", status={"lastHeartbeatTime": "2026-11-24T11:59:00Z"}, meta=ASKED)
    status = decide(Observed(organization("cleveland"), [late, early]), NOW).status
    assert status["lastHeartbeatTime"] == "2026-11-24T11:59:00Z"
