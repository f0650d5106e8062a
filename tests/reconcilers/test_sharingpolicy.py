from __future__ import annotations

from datetime import timedelta

from fedsnap.reconcilers.sharingpolicy import Observed, decide
from samples import NOW, participation, rule, sharing_policy

OFFERED = {"creationTimestamp": "2026-11-24T11:00:00Z"}


def status(policy, *participations, now=NOW):
    return decide(Observed(policy, list(participations)), now).status


def test_a_rule_says_how_often_it_accepted_and_what_last():
    accepted = participation(status={"decision": "Accepted", "rule": "consent/heart"}, meta=OFFERED)
    refused = participation(
        status={"decision": "Refused", "rule": "consent/heart"},
        meta={"creationTimestamp": "2026-11-24T11:30:00Z", "name": "research.heart-2.1"},
    )
    (used,) = status(sharing_policy(), refused, accepted)["rules"]
    assert used["roundsAllowed"] == 1
    assert (used["lastDecision"], used["lastDecisionTime"]) == ("Refused: research.heart-2.1", "2026-11-24T11:30:00Z")


def test_a_rule_that_was_never_asked_says_nothing():
    (unused,) = status(sharing_policy(), participation())["rules"]
    assert (unused["roundsAllowed"], unused["lastDecision"]) == (0, "")


def test_a_policy_in_force_names_the_rules_that_expired():
    old = rule("old", expires="2020-01-01T00:00:00Z")
    (condition,) = status(sharing_policy(old, rule()))["conditions"]
    assert (condition["status"], condition["message"]) == ("True", "expired: old")


def test_a_policy_whose_rules_all_expired_or_that_is_suspended_is_not_ready():
    later = NOW + timedelta(days=9999)
    assert status(sharing_policy(), now=later)["conditions"][0]["reason"] == "RulesExpired"
    assert status(sharing_policy(suspend=True))["conditions"][0]["reason"] == "Suspended"


def test_a_rule_of_an_equal_name_in_another_policy_is_another_rule():
    accepted = participation(status={"decision": "Accepted", "rule": "other/heart"}, meta=OFFERED)
    (unused,) = status(sharing_policy(), accepted)["rules"]
    assert unused["roundsAllowed"] == 0


def test_the_longest_name_of_a_participation_fits_into_a_rules_status():
    asked = participation(status={"decision": "Accepted", "rule": "consent/heart"}, meta=OFFERED | {"name": "x" * 253})
    (used,) = status(sharing_policy(), asked)["rules"]
    assert len(used["lastDecision"]) == 128
