"""A hub or a member that lies in the store, with valid signatures of its own: honest Jobs refuse, and say whom."""

from __future__ import annotations

import json

import pytest

from fedsnap.formats.control import Roster, RosterMember
from fedsnap.formats.signed import parse_payload
from fedsnap.secagg.masking.files import Ack, Masked, Part, Sharer, ShareRoster, Shares, Survivor
from hub_and_members import Hub, payload

pytestmark = pytest.mark.services
MEMBERS = ("a", "b", "c", "d")
ZEROS = "sha256:" + "0" * 64


@pytest.fixture
def hub(s3, vault, tmp_path):
    return Hub.start(s3, vault, tmp_path, members=MEMBERS, mode="Masked")


@pytest.fixture
def sealed(hub):
    hub.until_sealed()
    hub.write_roster()
    return hub


@pytest.fixture
def shared(sealed):
    for one in MEMBERS:
        assert sealed.share(one).code == 0
    return sealed


@pytest.fixture
def masked(hub):
    hub.until_masked()
    return hub


def read(hub, kind, path):
    return parse_payload(kind, payload(hub.store.get(path, 10**6)), path)


def assert_refused(ended, reason, *named):
    assert (ended.code, ended.reason) == (42, reason), ended.message
    for one in named:
        assert one in ended.why


# The hub.


def test_a_roster_that_counts_another_commit_of_a_member_is_refused(hub):
    hub.until_sealed()
    members = tuple(
        RosterMember(organization=name, commit_digest=ZEROS if name == "b" else digest)
        for name, digest in hub.commits.items()
    )
    hub.store.put_once(hub.paths.roster, hub.sign(Roster(plan_digest=hub.plan_digest, members=members)))
    assert_refused(hub.share("a"), "CommitMismatch", "'b'")


def test_a_member_that_the_roster_leaves_out_reveals_nothing(hub):
    hub.until_sealed()
    hub.commits.pop("a")
    hub.write_roster()
    assert_refused(hub.share("a"), "NotOnRoster", "'a'")


def test_a_roster_of_another_hub_is_refused(sealed):
    keys = sealed.pinned("b")
    assert_refused(sealed.share("a", hub_keys=keys), "SignatureInvalid")


def test_members_whose_keys_this_organization_does_not_know_are_refused(sealed):
    known = {one: sealed.pinned(one) for one in ("a", "b", "c")}
    assert_refused(sealed.share("a", organizations=known), "IdentityUnknown", "'d'")


def test_a_commit_that_the_hub_signed_for_a_member_is_refused(sealed):
    swapped = {one: sealed.pinned(one) for one in MEMBERS} | {"b": sealed.pinned("c")}
    assert_refused(sealed.share("a", organizations=swapped), "SignatureInvalid", "commit/b")


def test_a_share_roster_that_counts_other_shares_than_a_member_sent_is_refused(shared):
    context = shared.context(Shares, shared.paths.shares("a"))
    digests = {one: shared.payload_digest(shared.paths.shares(one)) for one in MEMBERS} | {"c": ZEROS}
    members = tuple(Sharer(organization=name, shares_digest=digest) for name, digest in digests.items())
    shared.store.put_once(shared.paths.share_roster, shared.sign(ShareRoster(context=context, members=members)))
    assert_refused(shared.mask("a"), "ShareRosterMismatch", "'c'")


def test_a_share_roster_below_the_threshold_is_refused(shared):
    shared.write_share_roster(("a", "b"))
    assert_refused(shared.mask("a"), "TooFewShares")


def test_a_member_in_both_lists_gets_no_answer(masked):
    masked.write_survivors(MEMBERS, ("d",))
    assert_refused(masked.run(masked.unmask_task("a"), "a"), "SurvivorAndDropped", "d")


def test_survivors_that_count_another_masked_update_get_no_ack_of_its_member(masked):
    digests = {one: masked.payload_digest(masked.paths.masked(one)) for one in MEMBERS} | {"a": ZEROS}
    members = tuple(Survivor(organization=name, masked_digest=digest) for name, digest in digests.items())
    masked.write_survivors(MEMBERS, members=members)
    assert_refused(masked.run(masked.unmask_task("a"), "a"), "MaskedMismatch")


def test_an_ack_of_other_survivors_is_never_followed_by_an_answer(masked):
    masked.write_survivors(MEMBERS)
    context = masked.context(Masked, masked.paths.masked("a"))
    other = Ack(organization="a", context=context, survivors_digest=ZEROS)
    masked.store.put_once(masked.paths.ack("a"), masked.sign(other, "a"))
    assert_refused(masked.run(masked.unmask_task("a"), "a"), "AlreadyAnswered")


def test_acks_of_two_stories_reveal_nothing(masked):
    masked.write_survivors(MEMBERS)
    context = masked.context(Masked, masked.paths.masked("a"))
    for one in ("b", "c"):
        story = Ack(organization=one, context=context, survivors_digest=ZEROS)
        masked.store.put_once(masked.paths.ack(one), masked.sign(story, one))
    assert_refused(masked.run(masked.unmask_task("a"), "a"), "AcksDisagree", "b, c", "two stories")


def test_without_enough_acks_nothing_is_revealed_and_the_job_may_be_run_again(masked):
    masked.write_survivors(MEMBERS)
    ended = masked.run(masked.unmask_task("a", wait_s=1), "a")
    assert (ended.code, ended.reason) == (1, "TooFewAcks")


# A member.


def test_a_malformed_ack_stops_nobody_else(masked):
    masked.write_survivors(MEMBERS)
    masked.overwrite(masked.paths.ack("d"), b"\xff" * 100)
    ended = masked.unmask(("a", "b", "c"))
    assert [one.code for one in ended.values()] == [0, 0, 0]


def test_a_malformed_answer_is_left_out_and_the_sum_is_made_without_it(masked):
    masked.write_survivors(MEMBERS)
    assert {one.code for one in masked.unmask(MEMBERS).values()} == {0}
    masked.overwrite(masked.paths.unmask("d"), b"{}" * 50)
    (ended,) = masked.aggregate()
    assert ended.code == 0, ended.message


def test_with_too_few_answers_there_is_no_sum(masked):
    masked.write_survivors(MEMBERS)
    assert {one.code for one in masked.unmask(MEMBERS).values()} == {0}
    for one in ("c", "d"):
        masked.overwrite(masked.paths.unmask(one), b"{}")
    assert_refused(masked.aggregate()[0], "TooFewShares", "'a'")


@pytest.mark.parametrize("size", [-4, 4])
def test_a_masked_update_that_was_cut_or_extended_is_refused_with_its_owner(masked, size):
    masked.write_survivors(MEMBERS)
    assert {one.code for one in masked.unmask(MEMBERS).values()} == {0}
    path = masked.paths.masked_part("b", 0)
    content = masked.store.get(path, 10**9)
    masked.overwrite(path, content[:size] if size < 0 else content[:100] + bytes(size) + content[100:])
    assert_refused(masked.aggregate()[0], "MaskedInvalid", "'b'")


def test_a_masked_file_of_another_length_is_refused_with_its_owner(masked):
    one = read(masked, Masked, masked.paths.masked("c"))
    longer = one.model_copy(
        update={
            "coordinates": one.coordinates + 1,
            "parts": (Part(size=one.parts[0].size + 4, digest=one.parts[0].digest),),
        }
    )
    masked.overwrite(masked.paths.masked("c"), masked.sign(longer, "c"))
    masked.write_survivors(MEMBERS)
    assert {one.code for one in masked.unmask(("a", "b", "d")).values()} == {0}
    assert_refused(masked.aggregate()[0], "MaskedMismatch", "'c'")


def test_a_file_of_another_attempt_is_refused_with_its_sender(shared):
    one = read(shared, Shares, shared.paths.shares("b")).model_copy(update={"context": ZEROS})
    shared.overwrite(shared.paths.shares("b"), shared.sign(one, "b"))
    context = shared.context(Shares, shared.paths.shares("a"))
    members = tuple(
        Sharer(organization=name, shares_digest=shared.payload_digest(shared.paths.shares(name))) for name in MEMBERS
    )
    shared.store.put_once(shared.paths.share_roster, shared.sign(ShareRoster(context=context, members=members)))
    assert_refused(shared.mask("a"), "ContextMismatch", "'b'")


def test_no_file_of_a_masked_round_holds_a_secret_of_a_member(masked):
    masked.write_survivors(MEMBERS)
    assert {one.code for one in masked.unmask(MEMBERS).values()} == {0}
    answer = json.loads(payload(masked.store.get(masked.paths.unmask("a"), 10**6)))
    assert set(answer) == {"organization", "context", "survivorsDigest", "sealed"}
