"""Masked rounds: nobody's single update is seen, and the sum is that of the survivors to the bit."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from fedsnap.formats.control import Plan
from fedsnap.formats.signed import parse_payload
from fedsnap.secagg.encoding import FixedPoint
from fedsnap.secagg.masking.ring import WeightedEncoding, weight_bits
from hub_and_members import payload
from rounds.hospitals import MEMBERS, PARTIES, masked_model, sharing_policy, wait_for
from rounds.plain_trainer import SHAPES

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]
SHIFTS = dict(zip(MEMBERS, (0.5, 0.25, -0.125, 1.0), strict=True))
# Each begins with other weights: members refuse to reveal two sums of different cohorts on one base.
SEEDS = {"hidden": 1, "bereft": 2, "alone": 3, "cautious": 4}
EXAMPLES = dict(zip(MEMBERS, (10, 20, 30, 40), strict=True))


@pytest.fixture
def trainers(hospitals):
    """Trainers that add a known constant to all weights."""
    for member in MEMBERS:
        hospitals.train_with(member, shift=SHIFTS[member], examples=EXAMPLES[member])
    return hospitals


def masked(name, **template):
    model = masked_model(name, **template)
    model["spec"]["initialization"]["seed"] = SEEDS[name]
    return model


def plan_of(hospitals, model):
    return parse_payload(Plan, payload(hospitals.store().get(f"rounds/research/{model}/1/1/plan.json", 10**6)), "plan")


def stored_sums(hospitals, model, attempt=1):
    return np.frombuffer(hospitals.store().get(f"rounds/research/{model}/1/{attempt}/aggregate/0", 10**6), "<i8")


def expected_sums(plan, members, roster=MEMBERS):
    """What the members' encoded, weighted updates add up to, without any mask."""
    random = np.random.default_rng(SEEDS[plan.model])
    base = {name: random.normal(size=shape).astype("f4") for name, shape in SHAPES.items()}
    codec = FixedPoint(len(plan.organizations), plan.clip_norm, plan.scale_exponent)
    encoding = WeightedEncoding(codec, weight_bits(max(EXAMPLES[one] for one in roster)))
    total = 0
    for one in members:
        moved = [(base[name] + np.float32(SHIFTS[one])).astype("f8") - base[name] for name in sorted(base)]
        update = np.concatenate([tensor.ravel() for tensor in moved])
        norm = float(np.linalg.norm(update))
        assert norm < codec.clip
        encoded, _ = codec.encode(update)
        total = total + encoding.weigh(encoded, EXAMPLES[one]).view("<i4").astype("<i8")
    return total << encoding.weight_bits


def start_with(hospitals, *mortals):
    """All operators; those of `mortals` die before they mask."""
    options = {one: {"mortal": True, "DIES_BEFORE": "mask"} for one in mortals}
    return {party: hospitals.start(party, **options.get(party, {})) for party in PARTIES}


def test_a_masked_round_sums_all_members_to_the_bit_and_shows_its_stages(trainers):
    trainers.start_all()
    trainers.apply(masked("hidden"))
    status = trainers.wait_finished("hidden-1")["status"]
    assert [one["type"] for one in status["conditions"]] == [
        "Accepted", "Trained", "Shared", "Masked", "Unmasked", "Aggregated", "Published", "Finished",
    ]  # fmt: skip
    assert trainers.condition("federatedround", "hidden-1", "Finished")["reason"] == "Completed"
    assert np.array_equal(stored_sums(trainers, "hidden"), expected_sums(plan_of(trainers, "hidden"), MEMBERS))


def test_a_member_killed_between_sharing_and_masking_is_named_and_the_others_sum_is_exact(trainers):
    gone, *others = MEMBERS
    mortal = start_with(trainers, gone)[gone]
    trainers.apply(masked("bereft", deadlines={"accept": "60s", "train": "2m", "mask": "40s", "aggregate": "2m"}))
    status = trainers.wait_finished("bereft-1", 180)["status"]
    assert mortal.wait(30) == -signal.SIGKILL
    finished = trainers.condition("federatedround", "bereft-1", "Finished")
    assert finished["reason"] == "Degraded"
    assert f"missing {gone}: DeadlineExceeded" in finished["message"]
    assert {one["organization"]: one["state"] for one in status["participants"]} == {gone: "Missing"} | dict.fromkeys(
        others, "Aggregated"
    )
    assert np.array_equal(stored_sums(trainers, "bereft"), expected_sums(plan_of(trainers, "bereft"), others))


def test_below_the_threshold_the_round_ends_and_a_retry_masks_the_stored_updates_anew(trainers):
    first, second, *_ = MEMBERS
    start_with(trainers, first, second)
    trainers.apply(masked("alone", deadlines={"accept": "60s", "train": "2m", "mask": "30s", "aggregate": "2m"}))
    trainers.wait_finished("alone-1", 180)
    finished = trainers.condition("federatedround", "alone-1", "Finished")
    assert finished["reason"] == "ThresholdNotReached"
    assert "Masking needs 3 members" in finished["message"]
    assert f"{first}: no reply before the deadline" in finished["message"]
    trainers.stop()
    trainers.start_all()
    trainers.patch("federatedround", "alone-1", {"spec": {"retry": 1}})
    wait_for(lambda: ended_well(trainers, "alone-1"), "the second attempt's end", 120)
    for member in MEMBERS:
        jobs = [one["metadata"]["name"] for one in trainers.list("job", member, "fedsnap.dev/model=alone")]
        assert len([one for one in jobs if "-train-" in one]) == 1
        assert len([one for one in jobs if "-reseal-" in one]) == 1
    sums = stored_sums(trainers, "alone", attempt=2)
    assert np.array_equal(sums, expected_sums(plan_of(trainers, "alone"), MEMBERS))


def ended_well(hospitals, name):
    finished = hospitals.condition("federatedround", name, "Finished")
    return (finished.get("status"), finished.get("reason")) == ("True", "Completed")


def test_a_member_whose_policy_wants_more_members_refuses_before_it_trains(trainers):
    cautious = MEMBERS[0]
    trainers.apply(sharing_policy(cautious, requires={"secureAggregation": "Masked", "minHonest": 3}))
    trainers.start_all()
    trainers.apply(masked("cautious"))
    trainers.wait_finished("cautious-1")
    finished = trainers.condition("federatedround", "cautious-1", "Finished")
    assert finished["reason"] == "Degraded"
    assert f"{cautious}: TooFewHonest" in finished["message"]
    assert not trainers.list("job", cautious, "fedsnap.dev/model=cautious")
