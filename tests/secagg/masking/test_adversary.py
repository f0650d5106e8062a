"""Each line of the specification's attack table, tried by a hub or a member that speaks the protocol."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from fedsnap.formats.control import MaskingKeys
from fedsnap.formats.digests import digest_of
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.masking import agreement, answers, member
from fedsnap.secagg.masking.cohort import EarlierCohort, Limits, expect_no_differencing
from fedsnap.secagg.masking.derivation import private_key
from fedsnap.secagg.masking.errors import COORDINATOR, MaskingRefused, Reason
from fedsnap.secagg.masking.files import Sharer, ShareRoster, Survivor
from fedsnap.secagg.masking.keystream import apply_masks
from fedsnap.secagg.masking.ring import WeightedEncoding
from fedsnap.secagg.masking.session import Session
from masking.members import AGGREGATOR, AGGREGATOR_PUBLIC, ATTEMPT, FEW, make_round, shared_and_masked, signed

FIRST, SECOND, THIRD, FOURTH, FIFTH = (f"org-{number:03}" for number in range(5))


def refused(reason, offender, attack):
    with pytest.raises(MaskingRefused) as caught:
        attack()
    assert (caught.value.reason, caught.value.offender) == (reason, offender)


def other_attempt(**changes):
    return replace(ATTEMPT, **changes)


@pytest.mark.parametrize(
    "told",
    [
        {"base_content_root": digest_of(b"another base")},
        {"plan_digest": digest_of(b"another plan")},
        {"roster_digest": digest_of(b"another roster")},
        {"attempt": 2},
        {"round": 4},
        {"federation": "another"},
    ],
)
def test_members_who_were_told_different_things_refuse_each_others_files(told):
    one, other = make_round(5), make_round(5, attempt=other_attempt(**told))
    one.share()
    other.share()
    mixed = dict(one.shares) | {FIRST: other.shares[FIRST]}
    sharers = tuple(Sharer(organization=name, shares_digest=file.digest) for name, file in sorted(mixed.items()))
    roster = ShareRoster(context=one.session.context_digest, members=sharers)
    refused(Reason.CONTEXT_MISMATCH, FIRST, lambda: agreement.expect_share_roster(one.session, roster, mixed))


def test_boxes_of_another_attempt_do_not_open():
    one, other = make_round(5), make_round(5, attempt=other_attempt(attempt=2))
    one.share()
    other.share()
    opened = member.open_boxes(
        one.session, one.secrets[FIRST], {name: file.value for name, file in other.shares.items()}
    )
    assert not opened.pairs
    assert {error.reason for error in opened.refused.values()} == {Reason.BOX_INVALID}


def test_masks_of_members_with_different_bases_do_not_cancel():
    one, other = make_round(5, coordinates=300), make_round(5, coordinates=300, attempt=other_attempt(round=9))
    one.share()
    one.mask()
    other.share()
    one.masked[SECOND] = other.masked_of(SECOND)
    with pytest.raises(MaskingRefused, match="masks do not cancel"):
        one.unmask()


def test_nobody_is_both_survivor_and_dropped():
    one = shared_and_masked(5)
    both = signed(one.survivors_file(dropped=(SECOND,)))
    refused(Reason.SURVIVOR_AND_DROPPED, COORDINATOR, lambda: one.propose(both))


def test_nobody_is_left_out_of_survivors_and_dropped():
    one = shared_and_masked(5, dropped=[4])
    refused(Reason.SHARE_ROSTER_MISMATCH, COORDINATOR, lambda: one.propose(signed(one.survivors_file(dropped=()))))


def test_an_answer_names_nobodys_other_secret():
    one = shared_and_masked(5, dropped=[4])
    agreed = one.agree()
    given = one.answers(agreed)[FIRST]
    pairs = one.opened(FIRST).pairs
    told = member._text(pairs[SECOND].key)  # what a member that colludes would reveal
    colluding = given.model_copy(update={"keys": {**given.keys, SECOND: told}})
    file = answers.seal_answer(one.session, agreed, colluding, AGGREGATOR_PUBLIC)
    refused(Reason.UNMASK_INVALID, FIRST, lambda: answers.open_answer(one.session, agreed, FIRST, file, AGGREGATOR))


def test_a_member_notices_keys_that_it_did_not_announce():
    one, stranger = make_round(5), make_round(5, attempt=other_attempt(plan_digest=digest_of(b"stranger")))
    keys = dict(one.session.keys) | {THIRD: stranger.session.keys[THIRD]}
    session = Session.open(ATTEMPT, keys, FEW)
    refused(Reason.KEY_INVALID, COORDINATOR, lambda: member.deal(session, one.secrets[THIRD]))


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_keys_of_small_order_are_refused_with_their_owner(point):
    one = make_round(5)
    bad = one.session.keys[SECOND].model_copy(update={"mask_key": base64.b64encode(point).decode()})
    keys = dict(one.session.keys) | {SECOND: bad}
    refused(Reason.KEY_INVALID, SECOND, lambda: Session.open(ATTEMPT, keys, FEW))


def test_a_key_that_two_members_announce_is_refused():
    one = make_round(5)
    copied: MaskingKeys = one.session.keys[FIRST]
    refused(Reason.KEY_REPEATED, SECOND, lambda: Session.open(ATTEMPT, dict(one.session.keys) | {SECOND: copied}, FEW))


def test_two_sets_of_survivors_shown_to_two_halves_reveal_nothing():
    one = shared_and_masked(5)
    members = one.survivors.value.members
    other = signed(one.survivors_file(members=members[1:], dropped=(FIRST,)))
    left, right = one.propose(), one.propose(other)
    acks = one.acks(left, (FIRST, SECOND)) + one.acks(right, (THIRD, FOURTH, FIFTH))
    for proposal in (left, right):
        refused(
            Reason.ACKS_DISAGREE, COORDINATOR, lambda proposal=proposal: agreement.agree(one.session, proposal, acks)
        )


def test_after_an_answer_nothing_is_revealed_for_other_survivors():
    one = shared_and_masked(5)
    other = one.propose(signed(one.survivors_file(members=one.survivors.value.members[1:], dropped=(FIRST,))))
    answered = one.propose().digest
    refused(
        Reason.ALREADY_ANSWERED,
        COORDINATOR,
        lambda: agreement.agree(one.session, other, one.acks(other), answered),
    )


def test_survivors_that_count_another_masked_update_get_no_ack():
    one = shared_and_masked(5)
    forged = tuple(
        Survivor(organization=name, masked_digest=digest_of(b"forged") if name == THIRD else file.digest)
        for name, file in one.masked_files.items()
    )
    proposal = one.propose(signed(one.survivors_file(members=forged)))
    refused(Reason.MASKED_MISMATCH, COORDINATOR, lambda: one.acks(proposal, (THIRD,)))


def test_the_same_base_with_a_member_fewer_is_refused_and_with_equal_members_is_not():
    limits = Limits(least_members=3, assumed_colluders=0, least_honest=2, least_difference=3)
    attempt = other_attempt(federation="another model")

    def earlier(*names):
        return EarlierCohort(
            base_content_root=ATTEMPT.base_content_root,
            federation=ATTEMPT.federation,
            round=ATTEMPT.round,
            survivors=frozenset(names),
        )

    now = (FIRST, SECOND, THIRD, FOURTH)
    refused(
        Reason.ROSTERS_DIFFER_TOO_LITTLE,
        COORDINATOR,
        lambda: expect_no_differencing(attempt, now, [earlier(FIRST, SECOND, THIRD)], limits),
    )
    expect_no_differencing(attempt, now, [earlier(*now)], limits)
    expect_no_differencing(attempt, now, [earlier(FIRST)], limits)
    refused(Reason.ROUND_CLOSED, COORDINATOR, lambda: expect_no_differencing(ATTEMPT, now, [earlier(*now)], limits))


@pytest.mark.parametrize(("count", "colluders"), [(2, 0), (5, 3), (4, 2)])
def test_a_roster_that_cannot_hide_its_members_is_refused(count, colluders):
    limits = Limits(least_members=3, assumed_colluders=colluders, least_honest=2, least_difference=2)
    refused(Reason.COHORT_TOO_SMALL, None, lambda: make_round(count, limits=limits))


def test_too_few_honest_survivors_get_no_answer():
    one = shared_and_masked(5, dropped=[0])
    careful = Limits(least_members=3, assumed_colluders=2, least_honest=3, least_difference=2)
    refused(Reason.COHORT_TOO_SMALL, None, lambda: one.propose(limits=careful))


def test_weights_that_could_overflow_the_ring_are_refused_before_the_round():
    refused(Reason.RING_OVERFLOW, None, lambda: WeightedEncoding(FixedPoint(5, "8", 20), 31))


def test_with_enough_others_a_forged_share_changes_nothing():
    one = shared_and_masked(7, dropped=[6])
    agreed = one.agree()
    given = one.answers(agreed)
    forged = member._text(bytes(66))
    liar = given[FIRST].model_copy(update={"self_masks": {**given[FIRST].self_masks, SECOND: forged}})
    recovered = one.recover(agreed, given | {FIRST: liar})
    assert [error.offender for error in recovered.refused] == [FIRST]
    assert recovered.self_masks == one.recover(agreed, given).self_masks


def test_everything_that_the_hub_holds_does_not_tell_one_update_from_another():
    """The hub opens every answer and takes away every mask that it recovered.

    What is left of each survivor is still masked by its pairs with other survivors; only the sum of all is an update.
    """
    one = shared_and_masked(6, dropped=[5], coordinates=4000)
    agreed = one.agree()
    recovered = one.recover(agreed, one.answers(agreed))
    bound = one.encoding.codec.bound
    total = np.zeros(one.coordinates, "<u4")
    for name in agreed.survivors:
        left = np.frombuffer(one.masked[name], "<u4")[:-1].copy()
        known = [member.self_mask(one.session, name, recovered.self_masks[name]).inverse]
        keys = {gone: private_key(recovered.mask_keys[gone]) for gone in agreed.dropped}
        known += [member.pair_mask(one.session, gone, key, name) for gone, key in keys.items()]
        apply_masks(left, 0, known)
        total += left
        # An update stays within its bound; what the hub sees of one is spread over the whole ring.
        beyond = np.abs(left.view("<i4").astype("f8")) > bound
        assert beyond.mean() > 0.9
        bits = np.unpackbits(left.view("u1")).mean()
        assert abs(bits - 0.5) < 0.01
    plain, _ = one.plain_sums()
    assert np.array_equal(total.view("<i4").astype("<i8") << one.encoding.weight_bits, plain)
