"""Everything that others can get wrong, on purpose or not: each is refused for good, with its reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fedsnap.formats.control import Commit, Excluded, Roster, RosterMember
from fedsnap.formats.digests import digest_of
from fedsnap.formats.dsse import pinned_keys
from fedsnap.formats.signed import payload_of, read_control
from hub_and_members import FIRST, MEMBERS

pytestmark = pytest.mark.services
OTHER = "sha256:" + "f" * 64


@pytest.fixture
def fetched(hub):
    """Member `a` has fetched the base and not trained yet."""
    hub.initialize()
    hub.write_plan()
    assert hub.run(hub.fetch_task("a"), "a").code == 0
    return hub


@pytest.fixture
def sealed(hub):
    """All members have sealed; the roster is not written."""
    hub.until_sealed()
    return hub


def assert_refused(ended, reason, *words):
    assert (ended.code, ended.reason) == (42, reason), ended.message
    for word in words:
        assert word in ended.why


# What a trainer leaves behind.


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ({"layer.bias": np.full(50, np.nan)}, "UpdateNotFinite", ("'layer.bias'", "NaN")),
        ({"layer.bias": np.full(50, np.inf)}, "UpdateNotFinite", ("'layer.bias'",)),
        ({"layer.bias": np.zeros(51)}, "LayoutMismatch", ("'layer.bias'", "[51]", "[50]")),
        ({"layer.bias": np.zeros(50, np.float32)}, "LayoutMismatch", ("'layer.bias'", "F32", "F64")),
        ({"another": np.zeros(1, np.float32)}, "LayoutMismatch", ("'another'", "not expected")),
    ],
)
def test_weights_that_are_not_an_update_are_refused(changed, reason, words, fetched):
    fetched.train("a", FIRST | changed)
    assert_refused(fetched.seal("a"), reason, *words)


def test_a_tensor_under_another_name_is_refused(fetched):
    renamed = {name.replace("layer", "Layer"): array for name, array in FIRST.items()}
    fetched.train("a", renamed)
    assert_refused(fetched.seal("a"), "LayoutMismatch", "'Layer.bias' is not expected")


def test_a_truncated_file_is_refused(fetched):
    fetched.train("a", FIRST)
    file = fetched.work("a") / "output" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert_refused(fetched.seal("a"), "UpdateInvalid", "it was cut")


def test_missing_weights_are_refused(fetched):
    fetched.train("a", FIRST)
    (fetched.work("a") / "output" / "model.safetensors").unlink()
    assert_refused(fetched.seal("a"), "UpdateMissing", "FEDSNAP_OUTPUT_DIR")


def test_a_missing_report_is_refused(fetched):
    fetched.train("a", FIRST)
    (fetched.work("a") / "output" / "report.json").unlink()
    assert_refused(fetched.seal("a"), "ReportMissing", "report.json")


@pytest.mark.parametrize(
    "report",
    [
        {"examples": 0},
        {"examples": 1.5},
        {"examples": 2**40},
        {"metrics": {"loss": float("nan")}},
        {"metrics": {"loss": "0.1"}},
        {"metrics": {f"m{n}": 0.5 for n in range(17)}},
        {"extra": 1},
        {"framework": {"torch": "x" * 70_000}},
    ],
)
def test_a_report_that_is_not_one_is_refused(report, fetched):
    fetched.train("a", FIRST, **report)
    assert_refused(fetched.seal("a"), "ReportInvalid", "report.json")


def test_a_trainer_that_changed_the_base_is_refused(fetched):
    fetched.train("a", FIRST)
    file = fetched.work("a") / "base" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert_refused(fetched.seal("a"), "BaseChanged")


def test_first_weights_with_nan_are_refused(hub):
    hub.initialize()
    hub.model += "-x"
    hub.train("hub", FIRST | {"half": np.full(9, np.nan, np.float16)})
    assert_refused(hub.run(hub.initialize_task()), "UpdateNotFinite", "'half'")


def test_first_weights_of_another_layout_than_the_model_pins_are_refused(hub):
    hub.train("hub", FIRST)
    task = hub.initialize_task().model_copy(update={"layout_digest": OTHER})
    assert_refused(hub.run(task), "LayoutMismatch", OTHER)


def test_a_second_training_attempt_cannot_replace_a_sealed_update(fetched):
    """The pod's directory is lost before the commit: new bytes need a new attempt number."""
    fetched.train("a", FIRST)
    fetched.allow_member_job("a", f"transit/sign/{fetched.key('identity', 'a')}")
    assert fetched.seal("a").code == 43
    (fetched.work("a") / "wrapped-key.1").unlink()
    fetched.allow_member_job("a")
    assert_refused(fetched.seal("a"), "ObjectConflict")
    assert fetched.run(fetched.seal_task("a", attempt=2), "a").code == 0


# The plan.


@pytest.mark.parametrize("job", ["fetch_task", "seal_task"])
def test_another_plan_than_the_member_accepted_is_refused(job, fetched):
    task = getattr(fetched, job)("a").model_copy(update={"plan_digest": OTHER})
    assert_refused(fetched.run(task, "a"), "PlanMismatch", OTHER)


def test_a_plan_that_the_hub_did_not_sign_is_refused(fetched):
    task = fetched.fetch_task("a").model_copy(update={"hub_keys": fetched.pinned("b")})
    assert_refused(fetched.run(task, "a"), "SignatureInvalid", "plan.json")


def test_the_plan_of_another_round_is_refused(fetched):
    stolen = fetched.store.get(fetched.paths.plan, 10**6)
    fetched.round = 2
    fetched.store.put_once(fetched.paths.plan, stolen)
    assert_refused(fetched.run(fetched.fetch_task("a"), "a"), "PlanMismatch", "/1/1/")


def test_an_organization_that_was_not_invited_is_refused(hub):
    hub.initialize()
    hub.write_plan(organizations=("b", "c"))
    assert_refused(hub.run(hub.fetch_task("a"), "a"), "NotInvited", "'a'")


def test_a_base_of_another_layout_than_the_plan_says_is_refused(hub):
    hub.initialize()
    hub.write_plan(layout_digest=OTHER)
    assert_refused(hub.run(hub.fetch_task("a"), "a"), "LayoutMismatch", OTHER)


def test_a_base_whose_bytes_changed_is_refused_and_leaves_no_file(hub):
    hub.initialize()
    hub.write_plan()
    sealed = bytearray(hub.store.get(hub.base.path, 10**7))
    sealed[100] ^= 1
    hub.overwrite(hub.base.path, bytes(sealed))
    assert_refused(hub.run(hub.fetch_task("a"), "a"), "SnapshotMismatch", "ciphertext digest")
    assert not list((hub.work("a") / "base").iterdir())


def test_a_base_with_another_content_root_cannot_be_opened(hub):
    hub.initialize()
    hub.write_plan(base=hub.base.model_copy(update={"content_root": OTHER}))
    ended = hub.run(hub.fetch_task("a"), "a")
    assert (ended.code, ended.reason) == (42, "VaultRequestRefused"), ended.message


# Roster, commits and sealed updates.


def test_a_roster_that_the_hub_did_not_sign_is_refused(sealed):
    members = tuple(RosterMember(organization=name, commit_digest=one) for name, one in sealed.commits.items())
    roster = Roster(plan_digest=sealed.plan_digest, members=members)
    sealed.store.put_once(sealed.paths.roster, sealed.sign(roster, "a"))
    assert_refused(sealed.aggregate()[0], "SignatureInvalid", "roster.json")


def test_a_roster_of_another_plan_is_refused(sealed):
    sealed.write_roster(plan_digest=OTHER)
    assert_refused(sealed.aggregate()[0], "RosterMismatch", OTHER)


def test_a_roster_of_nobody_is_refused(sealed):
    out = tuple(Excluded(organization=one, reason="Late") for one in MEMBERS)
    sealed.write_roster(members=(), excluded=out)
    assert_refused(sealed.aggregate()[0], "RosterEmpty")


def test_a_forged_commit_is_refused(sealed):
    commit = own_commit(sealed, "a")
    sealed.write_roster()
    forged = commit.model_copy(update={"examples": 10**6})
    sealed.overwrite(sealed.paths.commit("a"), sealed.sign(forged, "b"))
    assert_refused(sealed.aggregate()[0], "SignatureInvalid", "commit/a.json")


def recommit(hub, member, **update):
    """The member signs something else, and the hub counts it."""
    changed = own_commit(hub, member).model_copy(update=update)
    hub.overwrite(hub.paths.commit(member), hub.sign(changed, member))
    hub.commits[member] = digest_of(payload_of(changed))


def own_commit(hub, member):
    keys = pinned_keys(hub.pinned(member), hub.plan.accept_by)
    return read_control(Commit, hub.store.get(hub.paths.commit(member), 10**6), keys, member).value


def test_a_commit_that_changed_after_the_roster_is_refused(sealed):
    sealed.write_roster()
    changed = own_commit(sealed, "a").model_copy(update={"examples": 10**6})
    sealed.overwrite(sealed.paths.commit("a"), sealed.sign(changed, "a"))
    assert_refused(sealed.aggregate()[0], "CommitMismatch", "'a'")


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"organization": "b"}, ("organization", "'b'")),
        ({"plan_digest": OTHER}, ("plan digest", OTHER)),
        ({"train_attempt": 2}, ("sealed path",)),
        ({"coordinates": 7}, ("coordinates",)),
    ],
)
def test_a_commit_to_something_else_is_refused(update, words, sealed):
    """Signed by its member and counted by the hub, but not a commit to this round's update."""
    recommit(sealed, "a", **update)
    sealed.write_roster()
    assert_refused(sealed.aggregate()[0], "CommitInvalid", "commit of 'a'", *words)


def test_a_commit_of_somebody_unknown_is_refused(sealed):
    sealed.write_roster()
    task = sealed.aggregate_task()
    known = {name: keys for name, keys in task.organizations.items() if name != "c"}
    ended = sealed.run(task.model_copy(update={"organizations": known}))
    assert_refused(ended, "IdentityUnknown", "'c'")


@pytest.mark.parametrize("shards", [1, 3])
def test_a_tampered_sealed_update_names_its_member(shards, sealed):
    sealed.write_roster()
    path = sealed.paths.sealed("b", 1)
    content = bytearray(sealed.store.get(path, 10**7))
    content[-20] ^= 1
    sealed.overwrite(path, bytes(content))
    sealed.shards = shards
    for ended in sealed.aggregate():
        assert_refused(ended, "SealedUpdateInvalid", "'b'")


def test_a_truncated_sealed_update_names_its_member(sealed):
    sealed.write_roster()
    path = sealed.paths.sealed("b", 1)
    sealed.overwrite(path, sealed.store.get(path, 10**7)[:-5])
    ended = sealed.aggregate()[0]
    assert_refused(ended, "SealedUpdateInvalid", "'b'")


def test_a_sealed_update_of_another_member_does_not_pass_as_its_own(sealed):
    sealed.write_roster()
    sealed.overwrite(sealed.paths.sealed("b", 1), sealed.store.get(sealed.paths.sealed("a", 1), 10**7))
    assert_refused(sealed.aggregate()[0], "SealedUpdateInvalid", "'b'")


def test_a_sealing_key_that_was_made_for_another_member_is_refused(sealed):
    recommit(sealed, "a", aggregator_key=own_commit(sealed, "b").aggregator_key)
    sealed.write_roster()
    assert_refused(sealed.aggregate()[0], "AggregatorKeyInvalid", "'a'")


def test_an_aggregate_of_the_wrong_size_is_refused(sealed):
    sealed.write_roster()
    sealed.store.put_once(sealed.paths.aggregate(0), b"12345678")
    assert_refused(sealed.publish(), "AggregateInvalid", "8")


def test_another_model_cannot_be_published_at_the_same_place(hub):
    hub.initialize()
    hub.train("hub", FIRST | {"half": np.zeros(9, np.float16)})
    assert_refused(hub.run(hub.initialize_task()), "SnapshotConflict", "use a new attempt")


# Permission and configuration: nothing that a retry cures, and nobody's bad input.


def test_a_member_that_may_not_use_the_models_key_learns_so_at_once(hub):
    hub.initialize()
    hub.write_plan()
    hub.allow_member_job("a", f"transit/decrypt/{hub.model}")
    ended = hub.run(hub.fetch_task("a"), "a")
    assert (ended.code, ended.reason) == (43, "PermissionDenied")
    assert not list(hub.work("a").rglob("*safetensors*"))


@pytest.mark.parametrize("job", ["aggregate", "publish"])
def test_a_hub_job_without_its_role_is_denied(job, sealed):
    sealed.write_roster()
    assert sealed.aggregate()[0].code == 0
    sealed.allow_hub_job(f"transit/decrypt/{sealed.key('data')}", f"transit/decrypt/{sealed.model}")
    ended = sealed.aggregate()[0] if job == "aggregate" else sealed.publish()
    assert (ended.code, ended.reason) == (43, "PermissionDenied")


def test_a_token_of_another_service_account_is_denied(hub):
    hub.initialize()
    hub.write_plan()
    task = hub.fetch_task("a")
    foreign = task.model_copy(update={"vault": task.vault.model_copy(update={"role": hub.role("b")})})
    ended = hub.run(foreign, "a")
    assert (ended.code, ended.reason) == (43, "LoginRefused"), ended.message


def test_a_transit_key_that_does_not_exist_is_a_matter_of_configuration(fetched):
    fetched.train("a", FIRST)
    fetched.vault.allow(fetched.role("a"), "transit/*")
    task = fetched.seal_task("a")
    ended = fetched.run(task.model_copy(update={"data_key": task.data_key.model_copy(update={"key": "nope"})}), "a")
    assert (ended.code, ended.reason) == (44, "KeyNotFound"), ended.message


def test_refusals_fit_a_termination_message(fetched):
    fetched.train("a", {f"{'x' * 500}{n}": np.zeros(1) for n in range(3)})
    ended = fetched.seal("a")
    assert_refused(ended, "LayoutMismatch")
    assert len(json.dumps(ended.message)) <= 4096
