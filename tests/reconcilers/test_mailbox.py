from __future__ import annotations

from fedsnap.reconcilers.mailbox import mailbox
from samples import participation


def raw(status):
    made = participation().model_dump(mode="json", by_alias=True)
    return made | {"status": status}


def test_a_status_that_can_be_read_is_read():
    assert mailbox(raw({"decision": "Accepted"})).status.decision == "Accepted"


def test_a_status_that_cannot_be_read_is_a_refusal_of_its_member_alone():
    read = mailbox(raw({"decision": "Accepted", "lastHeartbeatTime": "9999999-01-01T00:00:00Z"}))
    assert (read.status.decision, read.status.outcome, read.status.reason) == ("Refused", "Failed", "StatusInvalid")
    assert "lastHeartbeatTime" in read.status.message
