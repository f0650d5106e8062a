from __future__ import annotations

import pytest

from fedsnap.policies.sharing import Request, decide
from samples import NOW, rule, sharing_policy

REQUEST = Request(model="heart", image="heart:1", secure_aggregation="Plain", quorum=3)


def test_the_first_rule_that_matches_decides_and_names_its_template():
    consent = decide([sharing_policy(rule("one", template="small"), rule("two"))], REQUEST, NOW)
    assert (consent.allowed, consent.rule, consent.template) == (True, "consent/one", "small")


def test_policies_are_read_in_name_order():
    policies = [sharing_policy(rule("late"), name="b"), sharing_policy(rule("early"), name="a")]
    assert decide(policies, REQUEST, NOW).rule == "a/early"


@pytest.mark.parametrize(
    ("changed", "reason", "named"),
    [
        ({"models": ["lung"]}, "NoMatchingRule", "'heart'"),
        ({"images": ["other:*"]}, "NoMatchingRule", "'heart:1'"),
        ({"expires": "2026-11-24T12:00:00Z"}, "RuleExpired", "2026-11-24T12:00:00Z"),
        ({"requires": {"secureAggregation": "Masked"}}, "SecureAggregationRequired", "Masked"),
        ({"requires": {"secureAggregation": "Plain", "minParticipants": 4}}, "TooFewParticipants", "4"),
    ],
)
def test_what_a_rule_does_not_allow_is_refused_with_its_reason(changed, reason, named):
    consent = decide([sharing_policy(rule(**changed))], REQUEST, NOW)
    assert (consent.allowed, consent.reason) == (False, reason)
    assert named in consent.message


@pytest.mark.parametrize(("quorum", "allowed"), [(4, False), (5, True)])
def test_a_masked_round_whose_least_sum_would_hide_too_few_is_refused(quorum, allowed):
    request = Request(model="heart", image="heart:1", secure_aggregation="Masked", quorum=quorum)
    strict = rule(requires={"secureAggregation": "Masked", "assumedColluders": 2, "minHonest": 3})
    consent = decide([sharing_policy(strict)], request, NOW)
    assert consent.allowed is allowed
    assert allowed or (consent.reason == "TooFewHonest" and "at least 5" in consent.message)


def test_a_refusal_names_the_rule_that_decided():
    assert decide([sharing_policy(rule(expires="2020-01-01T00:00:00Z"))], REQUEST, NOW).rule == "consent/heart"


def test_without_a_policy_nothing_is_shared():
    assert decide([], REQUEST, NOW).reason == "NoSharingPolicy"


def test_a_suspended_policy_refuses_everything():
    assert decide([sharing_policy(suspend=True)], REQUEST, NOW).reason == "PolicySuspended"


def test_a_star_matches_any_characters_of_a_model():
    assert decide([sharing_policy(rule(models=["he*"]))], REQUEST, NOW).allowed


def test_the_name_of_the_longest_policy_fits_into_a_status():
    assert len(decide([sharing_policy(name="p" * 253)], REQUEST, NOW).rule) == 127
