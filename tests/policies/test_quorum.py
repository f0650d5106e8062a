from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedsnap.policies.quorum import Standing, Verdict, judge

VALID, PENDING, EXCLUDED = Standing.VALID, Standing.PENDING, Standing.EXCLUDED


def stand(*standings):
    return dict(zip("abcdefgh", standings, strict=False))


def test_all_replies_complete_a_stage_before_its_deadline():
    assert judge(stand(VALID, VALID), 2, deadline_passed=False).verdict is Verdict.COMPLETED


def test_a_stage_stays_open_while_somebody_may_still_reply():
    assert judge(stand(VALID, VALID, PENDING), 2, deadline_passed=False).verdict is Verdict.OPEN


def test_a_deadline_with_a_quorum_degrades_and_names_the_missing():
    judgement = judge(stand(VALID, PENDING, VALID, EXCLUDED), 2, deadline_passed=True)
    assert (judgement.verdict, judgement.missing) == (Verdict.DEGRADED, ("b", "d"))


def test_a_stage_that_can_no_longer_reach_its_quorum_closes_at_once():
    assert judge(stand(EXCLUDED, PENDING, VALID), 3, deadline_passed=False).verdict is Verdict.QUORUM_NOT_REACHED


@given(st.lists(st.sampled_from(list(Standing)), min_size=1, max_size=8), st.integers(1, 8), st.booleans())
def test_a_stage_goes_on_exactly_with_a_quorum_of_valid_replies(standings, quorum, passed):
    verdict = judge(stand(*standings), quorum, deadline_passed=passed).verdict
    if verdict in (Verdict.COMPLETED, Verdict.DEGRADED):
        assert standings.count(VALID) >= quorum
    if passed:
        assert verdict is not Verdict.OPEN
