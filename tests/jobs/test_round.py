from __future__ import annotations

import uuid

import numpy as np
import pytest

from fedsnap.formats.cobblestone import encrypt_file
from fedsnap.formats.contexts import sealed_context
from fedsnap.formats.control import Commit, SnapshotRecord, Transcript
from fedsnap.formats.dsse import pinned_keys
from fedsnap.formats.signed import parse_payload, read_control
from fedsnap.jobs.results import PublishResult
from fedsnap.jobs.snapshots import open_snapshot
from hub_and_members import FIRST, MEMBERS, read_model

pytestmark = pytest.mark.services
EXAMPLES = {"a": 303, "b": 294, "c": 17}


def finish(hub):
    """Roster, aggregation and publication; the opened snapshot and what was reported."""
    for ended in hub.aggregate():
        assert ended.code == 0, ended.message
    made = hub.adopt(hub.publish())
    target = hub.directory / f"opened-{hub.bucket}.safetensors"
    open_snapshot(hub.base, hub.root, hub.store, target)
    return made, target.read_bytes(), read_model(target)


def test_a_round_publishes_the_mean_of_what_the_members_trained(hub):
    trained = hub.until_sealed(EXAMPLES)
    hub.write_roster()
    _, _, new = finish(hub)
    for name, base in FIRST.items():
        if base.dtype.kind != "f":
            np.testing.assert_array_equal(new[name], base)
            continue
        moves = {one: trained[one][name].astype(float) - base.astype(float) for one in MEMBERS}
        mean = sum(EXAMPLES[one] * moves[one] for one in MEMBERS) / sum(EXAMPLES.values())
        step = float(np.finfo(base.dtype).eps)
        np.testing.assert_allclose(new[name], base + mean, rtol=step, atol=2.0**-hub.plan.scale_exponent)


def test_any_number_of_shards_gives_the_same_bytes(hub):
    hub.until_sealed(EXAMPLES)
    hub.write_roster()
    base = hub.base
    one, one_bytes, _ = finish(hub)
    sums = hub.store.get(hub.paths.aggregate(0), 10**9)
    hub.base, hub.shards = base, 3
    hub.move_to(f"other-{uuid.uuid4().hex[:8]}")
    three, three_bytes, _ = finish(hub)
    assert b"".join(hub.store.get(hub.paths.aggregate(n), 10**9) for n in range(3)) == sums
    assert three_bytes == one_bytes
    assert (three.content_root, three.plaintext_digest) == (one.content_root, one.plaintext_digest)


def test_every_job_may_run_twice_and_says_the_same(hub):
    assert hub.run(hub.initialize_task()).reason == "UpdateMissing"
    hub.until_sealed()
    assert hub.run(hub.initialize_task()).message == hub.run(hub.initialize_task()).message
    for one in MEMBERS:
        again = hub.run(hub.seal_task(one), one)
        assert (again.code, again.message["commitDigest"]) == (0, hub.commits[one])
        assert hub.run(hub.fetch_task(one), one).code == 0
    hub.write_roster()
    assert [ended.message for ended in hub.aggregate()] == [ended.message for ended in hub.aggregate()]
    first = hub.publish()
    assert first.code == 0, first.message
    assert hub.publish() == first


def test_a_commit_tells_what_was_sealed(hub):
    hub.until_sealed(EXAMPLES)
    keys = pinned_keys(hub.pinned("a"), hub.plan.accept_by)
    commit = read_control(Commit, hub.store.get(hub.paths.commit("a"), 10**6), keys, "a").value
    assert (commit.organization, commit.plan_digest, commit.examples) == ("a", hub.plan_digest, 303)
    assert commit.coordinates == 5000 + 50 + 9
    assert commit.metrics == {"loss": "0.5"}
    assert commit.environment == {"numpy": np.__version__}
    assert (commit.clipped, commit.clip_factor, commit.saturated) == (False, "1.0", 0)
    stored = hub.store.digest(commit.sealed.path)
    assert (stored.digest, stored.size) == (commit.sealed.digest, commit.sealed.size)


def test_an_update_beyond_the_clip_norm_is_scaled_and_says_so(hub):
    hub.initialize()
    hub.write_plan()
    hub.run(hub.fetch_task("a"), "a")
    hub.train("a", FIRST | {"layer.bias": np.full(50, 100.0)})
    ended = hub.seal("a")
    assert ended.code == 0, ended.message
    assert ended.message["clipped"] is True
    assert float(ended.message["updateNorm"]) == pytest.approx(100 * 50**0.5)


def test_transcript_and_record_name_everything_that_went_in(hub):
    hub.until_sealed(EXAMPLES)
    hub.write_roster()
    base_root = hub.base.content_root
    made, _, _ = finish(hub)
    raw = hub.store.get(hub.paths.transcript, 10**6)
    transcript = parse_payload(Transcript, raw, "transcript.json")
    assert (transcript.plan_digest, transcript.base_content_root) == (hub.plan_digest, base_root)
    assert transcript.content_root == made.content_root
    assert {one.organization: (one.commit_digest, one.weight) for one in transcript.members} == {
        one: (hub.commits[one], EXAMPLES[one]) for one in MEMBERS
    }
    assert transcript.shards[0].digest == hub.store.digest(hub.paths.aggregate(0)).digest
    record = parse_payload(SnapshotRecord, hub.store.get(hub.snapshot_paths.record, 10**6), "snapshot.json")
    assert PublishResult(**record.model_dump(include=set(PublishResult.model_fields))) == made
    assert record.plan_digest == hub.plan_digest


def test_members_that_are_not_in_the_roster_do_not_count(hub):
    hub.until_sealed()
    hub.commits.pop("c")
    hub.write_roster()
    assert hub.aggregate()[0].code == 0
    assert hub.publish().code == 0
    transcript = parse_payload(Transcript, hub.store.get(hub.paths.transcript, 10**6), "transcript")
    assert [one.organization for one in transcript.members] == ["a", "b"]


def test_a_seal_that_died_before_its_commit_goes_on_with_the_same_bytes(hub):
    hub.initialize()
    hub.write_plan()
    hub.run(hub.fetch_task("a"), "a")
    hub.train("a", FIRST)
    hub.allow_member_job("a", f"transit/sign/{hub.key('identity', 'a')}")
    denied = hub.seal("a")
    assert (denied.code, denied.reason) == (43, "PermissionDenied")
    sealed = hub.store.digest(hub.paths.sealed("a", 1))
    hub.allow_member_job("a")
    ended = hub.seal("a")
    assert ended.code == 0, ended.message
    assert hub.store.digest(hub.paths.sealed("a", 1)) == sealed


def test_the_next_round_trains_what_this_one_published(hub):
    hub.until_sealed()
    hub.write_roster()
    finish(hub)
    hub.round = 2
    hub.write_plan()
    fetched = hub.run(hub.fetch_task("a"), "a")
    assert fetched.message["contentRoot"] == hub.base.content_root


def test_an_update_that_its_owner_seals_again_after_its_commit_is_refused_by_name(hub):
    """It opens with the right key; but it is not what the transcript would say."""
    hub.until_sealed()
    hub.write_roster()
    keys = pinned_keys(hub.pinned("b"), hub.plan.accept_by)
    commit = read_control(Commit, hub.store.get(hub.paths.commit("b"), 10**6), keys, "b").value
    context = sealed_context(hub.plan_digest, "b", 1)
    key = hub.root.decrypt("transit", hub.key("data", "b"), commit.wrapped_key, context)
    plain, sealed = hub.directory / "other", hub.directory / "other.sealed"
    plain.write_bytes(bytes(4 * commit.coordinates))
    encrypt_file(plain, sealed, key=key, context=context, salt=b"\x07" * 24)
    hub.overwrite(commit.sealed.path, sealed.read_bytes())
    (ended,) = hub.aggregate()
    assert (ended.code, ended.reason) == (42, "SealedUpdateInvalid")
    assert "'b'" in ended.why
