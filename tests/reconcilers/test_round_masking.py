"""The stages of a masked round between training and aggregation, decided from what exists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fedsnap.formats.control import Roster, RosterMember
from fedsnap.formats.signed import Signed
from fedsnap.reconcilers.actions import ApplyObject
from fedsnap.reconcilers.federatedround.actions import StartHubJob, WriteControl
from fedsnap.reconcilers.federatedround.decide import FINALIZER, decide
from fedsnap.reconcilers.federatedround.masking import Masking, Reply
from fedsnap.reconcilers.federatedround.observed import Observed, StoredPlan
from fedsnap.secagg.masking.files import Sharer, ShareRoster, Survivor, Survivors
from samples import (
    DIGEST,
    MEMBERS,
    NOW,
    federated_round,
    model_snapshot,
    organizations,
    participation,
    plan,
    shared_model,
)

TRAINED = {"decision": "Accepted", "outcome": "Succeeded", "result": {"commitDigest": DIGEST, "examples": 10}}
STORED = StoredPlan(plan(secure_aggregation="Masked"), DIGEST, "rounds/research/heart/1/1/plan.json")
ROSTER = Roster(
    plan_digest=DIGEST, members=tuple(RosterMember(organization=one, commit_digest=DIGEST) for one in MEMBERS)
)
LATER = NOW + timedelta(minutes=10)


def share_roster(*names):
    return Signed(
        ShareRoster(context=DIGEST, members=tuple(Sharer(organization=one, shares_digest=DIGEST) for one in names)),
        DIGEST,
    )


def survivors(*names, dropped=()):
    members = tuple(Survivor(organization=one, masked_digest=DIGEST) for one in names)
    return Signed(Survivors(context=DIGEST, share_roster_digest=DIGEST, members=members, dropped=dropped), DIGEST)


def reported(stage, outcome="Succeeded", **more):
    return TRAINED | {"stages": [{"stage": stage, "outcome": outcome} | more]}


def seen(stage, statuses=None, **masking):
    given = dict.fromkeys(MEMBERS, TRAINED) | (statuses or {})
    times = {"attempt": 1, "trainedAt": "2026-11-24T12:00:00Z", "sharedAt": "2026-11-24T12:00:00Z"}
    times |= {"maskedAt": "2026-11-24T12:00:00Z"}
    one = federated_round(
        meta={"finalizers": [FINALIZER]}, status=times, privacy={"secureAggregation": "Masked", "clipNorm": "8"}
    )
    return Observed(
        round=one,
        model=shared_model(),
        base=model_snapshot(),
        organizations=organizations(),
        plan=STORED,
        roster=ROSTER,
        participations={name: participation(name, stage, status) for name, status in given.items()},
        masking=Masking(context=DIGEST, roster=MEMBERS, **masking),
    )


def stages(decided):
    specs = [action.obj["spec"] for action in decided.actions if isinstance(action, ApplyObject)]
    return {spec["organization"]: (spec["stage"], spec.get("stageBy")) for spec in specs}


def replies(*names):
    return {name: Reply(DIGEST) for name in names}


def condition(decided, kind):
    return next((one for one in decided.status["conditions"] if one["type"] == kind), None)


def test_after_the_roster_its_members_are_asked_to_share_by_a_deadline():
    decided = decide(seen("Training"), NOW)
    assert stages(decided) == dict.fromkeys(MEMBERS, ("Sharing", "2026-11-24T12:10:00Z"))
    assert decided.status["stage"] == "Sharing"


def test_while_members_share_the_round_says_for_whom_it_waits():
    first, *others = MEMBERS
    decided = decide(seen("Sharing", dict.fromkeys(others, reported("Sharing")), replies=replies(*others)), NOW)
    assert decided.actions == ()
    assert condition(decided, "Shared")["message"] == f"waiting until 12:10:00Z for {first}"


def test_when_all_have_shared_the_share_roster_is_signed():
    decided = decide(seen("Sharing", dict.fromkeys(MEMBERS, reported("Sharing")), replies=replies(*MEMBERS)), NOW)
    (write,) = decided.actions
    assert isinstance(write, WriteControl)
    assert write.path.endswith("share-roster.json")
    assert write.control.names == set(MEMBERS)


def test_shares_that_do_not_hold_exclude_their_sender_alone():
    liar, *others = MEMBERS
    given = replies(*others) | {liar: Reply(refusal=("SharesIncomplete", "no box for hungary"))}
    decided = decide(seen("Sharing", dict.fromkeys(MEMBERS, reported("Sharing")), replies=given), NOW)
    assert decided.actions[0].control.names == set(others)
    assert {one["organization"]: one["state"] for one in decided.status["participants"]}[liar] == "Failed"


def test_those_who_shared_mask_and_those_who_did_not_are_closed():
    out, *sharers = MEMBERS
    decided = decide(seen("Sharing", share_roster=share_roster(*sharers)), NOW)
    assert {name: stage for name, (stage, _) in stages(decided).items()} == {out: "Closed"} | dict.fromkeys(
        sharers, "Masking"
    )


def test_at_the_deadline_who_masked_survives_and_who_did_not_is_dropped():
    gone, *others = MEMBERS
    found = seen(
        "Masking",
        dict.fromkeys(others, reported("Masking")),
        share_roster=share_roster(*MEMBERS),
        replies=replies(*others),
    )
    assert decide(found, NOW).actions == ()
    (write,) = decide(found, LATER).actions
    assert [one.organization for one in write.control.members] == others
    assert write.control.dropped == (gone,)


def test_below_the_threshold_the_round_ends_and_names_who_is_missing():
    first, second, *others = MEMBERS
    failed = reported("Masking", "Failed", reason="PolicySuspended", message="suspended")
    found = seen(
        "Masking",
        {first: failed} | dict.fromkeys(others, reported("Masking")),
        share_roster=share_roster(*MEMBERS),
        replies=replies(*others),
    )
    finished = condition(decide(found, LATER), "Finished")
    assert finished["reason"] == "ThresholdNotReached"
    assert "Masking needs 3 members" in finished["message"]
    assert f"{first}: PolicySuspended: Masking: suspended" in finished["message"]
    assert f"{second}: no reply before the deadline" in finished["message"]


@pytest.mark.parametrize(("answered", "starts"), [(2, False), (3, True)])
def test_aggregation_begins_when_enough_survivors_answered_and_too_few_are_waited_for(answered, starts):
    names = MEMBERS[:answered]
    found = seen(
        "Unmasking",
        dict.fromkeys(names, reported("Unmasking")),
        share_roster=share_roster(*MEMBERS),
        survivors=survivors(*MEMBERS),
        replies=replies(*names),
    )
    decided = decide(found, LATER)
    assert any(isinstance(action, StartHubJob) for action in decided.actions) is starts
    assert condition(decided, "Finished") is None


def test_a_survivor_that_does_not_answer_still_counts():
    silent, *others = MEMBERS
    found = seen(
        "Unmasking",
        dict.fromkeys(others, reported("Unmasking")),
        share_roster=share_roster(*MEMBERS),
        survivors=survivors(*MEMBERS),
        replies=replies(*others),
    )
    decided = decide(found, LATER)
    states = {one["organization"]: one["state"] for one in decided.status["participants"]}
    assert states[silent] == "Committed"
    assert decided.status["members"] == "4/4"


def test_a_suspended_round_asks_nobody_to_mask():
    found = seen("Sharing", share_roster=share_roster(*MEMBERS))
    held = replace(
        found, round=found.round.model_copy(update={"spec": found.round.spec.model_copy(update={"suspend": True})})
    )
    decided = decide(held, NOW)
    assert all(stage == "Sharing" for stage, _ in stages(decided).values())
    assert condition(decided, "Masked")["reason"] == "Suspended"


def test_an_answer_has_no_deadline_because_it_closes_the_round():
    found = seen("Masking", share_roster=share_roster(*MEMBERS), survivors=survivors(*MEMBERS))
    assert stages(decide(found, NOW)) == dict.fromkeys(MEMBERS, ("Unmasking", None))


def test_survivors_that_cannot_answer_any_more_end_the_round():
    first, second, *others = MEMBERS
    failed = reported("Unmasking", "Failed", reason="AcksDisagree", message="two stories")
    found = seen(
        "Unmasking",
        {first: failed, second: failed} | dict.fromkeys(others, reported("Unmasking")),
        share_roster=share_roster(*MEMBERS),
        survivors=survivors(*MEMBERS),
        replies=replies(*others),
    )
    finished = condition(decide(found, NOW), "Finished")
    assert finished["reason"] == "ThresholdNotReached"
    assert "AcksDisagree" in finished["message"]
