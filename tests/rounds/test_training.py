"""A model over two rounds, as people see it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from fedsnap.local.federation import setup
from rounds.hospitals import FEDERATION, MEMBERS, RESEARCH, pod_template, shared_model

pytestmark = [pytest.mark.round, pytest.mark.cluster, pytest.mark.services]
MODEL = "mean"
SHIFTS = dict(zip(MEMBERS, (0.5, 0.25, -0.125, 1.0), strict=True))
EXAMPLES = dict(zip(MEMBERS, (10, 20, 30, 40), strict=True))


@pytest.fixture(scope="module")
def trained(_hospitals):
    """Four members whose trainers add a known constant; operators run until the model is ready."""
    for member in MEMBERS:
        _hospitals.train_with(member, shift=SHIFTS[member], examples=EXAMPLES[member])
    _hospitals.start_all()
    _hospitals.apply(shared_model(MODEL, rounds=2))
    _hospitals.kubectl("wait", "--for=condition=Ready", f"sharedmodel/{MODEL}", f"-n={RESEARCH}", "--timeout=180s")
    yield _hospitals
    _hospitals.stop()


def pull(hospitals, name, output, token_file, party="heart-reader"):
    snapshot = hospitals.kubectl("get", "modelsnapshot", name, f"-n={RESEARCH}", "-o=yaml").stdout
    services = setup.services(hospitals.running)
    options = [
        f"--output={output}",
        f"--store={services.store}",
        "--allow-http",
        f"--store-credentials={hospitals.running.cluster.s3.credentials / party}",
        f"--vault={services.vault}",
        f"--vault-token-file={token_file}",
    ]
    command = [sys.executable, "-m", "fedsnap.cli.main", "pull", "-", *options]
    return subprocess.run(command, input=snapshot, capture_output=True, text=True, check=False)


def vault_token(hospitals, directory, *paths):
    root = setup.administrator(hospitals.running)
    rules = "\n".join(f'path "{path}" {{ capabilities = ["update"] }}' for path in paths)
    root.sys.create_or_update_policy(f"test-{len(paths)}", rules)
    made = root.auth.token.create(policies=[f"test-{len(paths)}"], ttl="10m", no_default_policy=True)
    file = directory / f"token-{len(paths)}"
    file.write_text(made["auth"]["client_token"])
    return file


def weights(hospitals, tmp_path, name):
    token = vault_token(hospitals, tmp_path, f"transit/decrypt/{FEDERATION.model}")
    done = pull(hospitals, name, tmp_path / f"{name}.safetensors", token)
    assert done.returncode == 0, done.stderr
    return load_file(tmp_path / f"{name}.safetensors")


def test_rounds_follow_one_another_and_each_ends_completed(trained):
    rounds = trained.list("federatedround", selector=f"fedsnap.dev/model={MODEL}")
    assert {one["metadata"]["name"]: one["status"]["members"] for one in rounds} == {"mean-1": "4/4", "mean-2": "4/4"}
    assert {trained.condition("federatedround", name, "Finished")["reason"] for name in ("mean-1", "mean-2")} == {
        "Completed"
    }


def test_the_model_names_its_latest_snapshot_and_key_version(trained):
    status = trained.get("sharedmodel", MODEL)["status"]
    assert (status["latestSnapshot"], status["roundsFinished"], status["keyVersion"]) == ("mean-2", 2, 1)


def test_each_round_adds_the_weighted_mean_of_the_updates(trained, tmp_path):
    mean = sum(SHIFTS[name] * EXAMPLES[name] for name in MEMBERS) / sum(EXAMPLES.values())
    before, after = weights(trained, tmp_path, "mean-0"), weights(trained, tmp_path, "mean-2")
    for name in before:
        assert np.allclose(after[name], before[name] + 2 * mean, atol=1e-5), name


def test_there_is_one_training_job_for_each_member_and_round(trained):
    for member in MEMBERS:
        jobs = [one["metadata"]["name"] for one in trained.list("job", member, f"fedsnap.dev/model={MODEL}")]
        assert sorted(re.sub("-[0-9a-f]{10}$", "", one) for one in jobs) == [
            f"mean-{number}-{member}-train-1" for number in (1, 2)
        ]


def test_without_permission_nothing_is_decrypted(trained, tmp_path):
    token = vault_token(trained, tmp_path, "transit/decrypt/other", "transit/decrypt/another")
    done = pull(trained, "mean-2", tmp_path / "stolen.safetensors", token)
    assert done.returncode == 1
    assert "PermissionDenied" in done.stderr
    assert not (tmp_path / "stolen.safetensors").exists()


def test_applying_the_same_manifests_again_changes_nothing(trained):
    def state():
        found = [trained.get("sharedmodel", MODEL), *trained.list("federatedround"), *trained.list("modelsnapshot")]
        return [(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in found]

    before = state()
    trained.apply(shared_model(MODEL, rounds=2), pod_template("plain-init", RESEARCH))
    assert state() == before


def test_no_object_carries_a_secret(trained):
    kinds = "sharedmodel,federatedround,participation,modelsnapshot,configmap,job,event"
    everything = trained.kubectl("get", kinds, "-A", "-o=json").stdout
    root = trained.running.cluster.vault.root_token
    credentials = trained.running.cluster.s3.credentials
    secrets = [root, *((party / "secret-access-key").read_text() for party in credentials.iterdir())]
    assert not [secret for secret in secrets if secret and secret.strip() in everything]


def test_members_know_only_their_own_mailbox(trained):
    kubeconfig = trained.directory / MEMBERS[0] / "kubeconfig"
    for namespace, allowed in ((f"fedsnap-member-{MEMBERS[0]}", True), (f"fedsnap-member-{MEMBERS[1]}", False)):
        done = trained.kubectl(f"--kubeconfig={kubeconfig}", "get", "participations", f"-n={namespace}", check=False)
        assert (done.returncode == 0) is allowed, done.stderr


def test_explain_reads_well(trained):
    said = trained.kubectl("explain", "federatedround.spec").stdout
    assert "Number of the round; it trains the snapshot of number - 1." in said
    for name in ("participants", "deadlines", "privacy", "suspend", "abort", "retry"):
        assert name in said


def test_events_tell_what_happened(trained):
    events = json.loads(
        trained.kubectl(
            "get", "events", f"-n={RESEARCH}", "-o=json", "--field-selector=involvedObject.name=mean-1"
        ).stdout
    )["items"]
    assert {"QuorumAccepted", "RosterAgreed", "SumsStored", "SnapshotRecorded", "Completed"} <= {
        one["reason"] for one in events
    }
    assert {one["type"] for one in events} == {"Normal"}
