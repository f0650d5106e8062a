"""A masked round by the Jobs' entry points, on a real Vault and store."""

from __future__ import annotations

import json
import uuid

import numpy as np
import obstore
import pytest

from fedsnap.formats.control import Commit, Transcript
from fedsnap.formats.dsse import pinned_keys
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import parse_payload, read_control
from fedsnap.jobs.snapshots import open_snapshot
from hub_and_members import FIRST, Hub, payload, read_model

pytestmark = pytest.mark.services
MEMBERS = ("a", "b", "c", "d")
EXAMPLES = {"a": 303, "b": 294, "c": 17, "d": 200}


@pytest.fixture
def hub(s3, vault, tmp_path):
    return Hub.start(s3, vault, tmp_path, members=MEMBERS, mode="Masked")


def answered(hub, survivors=MEMBERS, dropped=()):
    hub.write_survivors(survivors, dropped)
    for ended in hub.unmask(survivors).values():
        assert ended.code == 0, ended.message


def finish(hub):
    """Aggregation and publication; the new weights."""
    for ended in hub.aggregate():
        assert ended.code == 0, ended.message
    hub.adopt(hub.publish())
    target = hub.directory / f"opened-{hub.bucket}.safetensors"
    open_snapshot(hub.base, hub.root, hub.store, target)
    return read_model(target)


def assert_mean(hub, new, trained, members):
    for name, base in FIRST.items():
        if base.dtype.kind != "f":
            continue
        moves = {one: trained[one][name].astype(float) - base.astype(float) for one in members}
        mean = sum(EXAMPLES[one] * moves[one] for one in members) / sum(EXAMPLES[one] for one in members)
        step = float(np.finfo(base.dtype).eps)
        # Rounding of each weighted update: half a unit, times 2^s over the sum of weights.
        atol = 2.0**-hub.plan.scale_exponent * (1 + 0.5 * len(members) * 512 / sum(EXAMPLES[one] for one in members))
        np.testing.assert_allclose(new[name], base + mean, rtol=step, atol=atol)


def test_a_masked_round_publishes_the_mean_of_what_the_members_trained(hub):
    trained = hub.until_masked(EXAMPLES)
    answered(hub)
    assert_mean(hub, finish(hub), trained, MEMBERS)


def test_with_one_member_gone_after_sharing_the_survivors_mean_is_published(hub):
    trained = hub.until_masked(EXAMPLES, dropped=("b",))
    answered(hub, ("a", "c", "d"), ("b",))
    assert_mean(hub, finish(hub), trained, ("a", "c", "d"))
    transcript = parse_payload(Transcript, hub.store.get(hub.paths.transcript, 10**6), "transcript")
    assert [(one.organization, one.weight) for one in transcript.members] == [("a", 303), ("c", 17), ("d", 200)]
    assert transcript.survivors_digest == hub.survivors_digest


def test_a_masked_commit_holds_no_key_that_opens_its_update_for_the_hub(hub):
    hub.until_sealed(EXAMPLES)
    keys = pinned_keys(hub.pinned("a"), hub.plan.accept_by)
    commit = read_control(Commit, hub.store.get(hub.paths.commit("a"), 10**6), keys, "a").value
    assert commit.aggregator_key is None
    assert commit.masking is not None


def test_every_masking_job_may_run_twice_and_stores_nothing_else(hub):
    hub.until_masked(EXAMPLES)
    for one in MEMBERS:
        for job in (hub.share, hub.mask):
            first, second = job(one), job(one)
            assert first.code == 0, first.message
            assert first == second
    answered(hub)
    stored = hub.store.get(hub.paths.unmask("a"), 10**6)
    assert hub.unmask(("a",))["a"].code == 0
    assert hub.store.get(hub.paths.unmask("a"), 10**6) == stored


def test_any_number_of_shards_gives_the_same_sums(hub):
    hub.until_masked(EXAMPLES, dropped=("d",))
    answered(hub, ("a", "b", "c"), ("d",))
    whole = hub.aggregate()[0]
    assert whole.code == 0, whole.message
    sums = hub.store.get(hub.paths.aggregate(0), 10**9)
    hub.shards = 2
    hub.move_to(f"other-{uuid.uuid4().hex[:8]}")
    for ended in hub.aggregate():
        assert ended.code == 0, ended.message
    assert b"".join(hub.store.get(hub.paths.aggregate(n), 10**9) for n in range(2)) == sums


def test_an_organization_answers_for_the_survivors_that_it_recorded_and_no_others(hub):
    hub.until_masked(EXAMPLES)
    hub.write_survivors(("a", "b", "c"), ("d",))
    other = hub.run(hub.unmask_task("a", survivors_digest="sha256:" + "0" * 64), "a")
    assert other.reason == "AlreadyAnswered"


def test_a_roster_below_the_members_own_limit_is_refused_before_anything_is_shared(hub):
    hub.until_sealed(EXAMPLES)
    hub.write_roster()
    limits = hub.limits.model_copy(update={"least_members": 5})
    ended = hub.share("a", limits=limits)
    assert (ended.code, ended.reason) == (42, "CohortTooSmall")


def test_a_cohort_that_differs_by_one_from_an_earlier_one_is_refused(hub):
    hub.until_sealed(EXAMPLES)
    hub.write_roster()
    earlier = {
        "base_content_root": hub.base.content_root,
        "federation": "research/other",
        "round": 1,
        "survivors": ("a", "b", "c"),
    }
    ended = hub.share("a", revealed=(earlier,))
    assert (ended.code, ended.reason) == (42, "RostersDifferTooLittle")
    assert "d" in ended.why


def test_a_masked_update_that_was_overwritten_is_noticed_with_its_owners_name(hub):
    hub.until_masked(EXAMPLES)
    answered(hub)
    path = hub.paths.masked_part("c", 0)
    hub.overwrite(path, bytes(len(hub.store.get(path, 10**9))))
    (ended,) = hub.aggregate()
    assert (ended.code, ended.reason) == (42, "MaskedInvalid")
    assert "'c'" in ended.why


def test_nothing_that_a_member_stores_is_its_update(hub):
    """Sealed with its own key, and masked: no stored object repeats the encoded update."""
    hub.until_masked(EXAMPLES)
    encoded = (hub.work("a") / "update.encoded").exists()
    assert not encoded
    masked = np.frombuffer(hub.store.get(hub.paths.masked_part("a", 0), 10**9), "<u4")
    signed = masked.view("<i4")
    assert np.abs(signed.astype("f8")).mean() > 2**29
    assert json.loads(payload(hub.store.get(hub.paths.masked("a"), 10**6)))["organization"] == "a"


def test_another_attempt_masks_the_stored_updates_anew_without_training(hub):
    trained = hub.until_masked(EXAMPLES, dropped=("b", "c"))
    before = {one: hub.store.get(hub.paths.commit(one), 10**6) for one in MEMBERS}
    hub.begin_again()
    for one in MEMBERS:
        (hub.work(one) / "output" / "model.safetensors").unlink()
        ended = hub.reseal(one)
        assert ended.code == 0, ended.message
        assert hub.reseal(one).message == ended.message
        new = json.loads(payload(hub.store.get(hub.paths.commit(one), 10**6)))
        old = json.loads(payload(before[one]))
        assert all(new[kept] == old[kept] for kept in ("examples", "updateNorm", "metrics", "clipFactor"))
        assert new["masking"]["maskKey"] != old["masking"]["maskKey"]
        assert new["wrappedKey"] != old["wrappedKey"]
    hub.write_roster()
    for one in MEMBERS:
        assert hub.share(one).code == 0
    hub.write_share_roster(MEMBERS)
    for one in MEMBERS:
        ended = hub.mask(one)
        assert ended.code == 0, ended.message
    answered(hub)
    assert_mean(hub, finish(hub), trained, MEMBERS)


def test_who_has_no_update_in_the_earlier_attempt_is_told_to_train(hub):
    hub.until_sealed(EXAMPLES)
    hub.begin_again()
    obstore.delete(hub.raw(hub.bucket), RoundPaths.of("research", hub.model, 1, 1).commit("a"))
    ended = hub.reseal("a")
    assert (ended.code, ended.reason) == (42, "CommitMissing")


def test_an_update_that_was_encoded_otherwise_is_not_used_again(hub):
    hub.until_sealed(EXAMPLES)
    hub.clip_norm = "4"
    hub.begin_again()
    ended = hub.reseal("a")
    assert (ended.code, ended.reason) == (42, "PlanMismatch")
    assert "encodes otherwise" in ended.why
