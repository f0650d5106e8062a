from __future__ import annotations

import json

import pytest

from fedsnap.builders import jobs
from fedsnap.builders.pods import BASE, OUTPUT

IDENTITY = jobs.JobIdentity(
    name="j", namespace="cleveland", labels={"fedsnap.dev/stage": "train"}, attempt=2, deadline_s=60
)
TRAINER = {"seed": 7, "round_number": 3, "hyperparameters": {"localEpochs": 2}}
TEMPLATE = {
    "metadata": {"labels": {"team": "ml"}, "annotations": {"note": "x"}},
    "spec": {
        "nodeSelector": {"gpu": "yes"},
        "initContainers": [{"name": "warm", "image": "w"}],
        "containers": [
            {
                "name": "train",
                "image": "heart:1",
                "env": [{"name": "FEDSNAP_SEED", "value": "1"}, {"name": "FEDSNAP_DATA_DIR", "value": "/data"}],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "registry"}}],
    },
}


@pytest.fixture
def pod():
    return jobs.train_job(IDENTITY, template=TEMPLATE, image="fedsnap:1", trainer=TRAINER)["spec"]["template"]["spec"]


def trainer(pod):
    return next(one for one in pod["initContainers"] if one["name"] == "train")


def test_a_training_pod_fetches_trains_and_seals_in_this_order(pod):
    assert [one["name"] for one in pod["initContainers"]] == ["fetch", "warm", "train"]
    assert [one["name"] for one in pod["containers"]] == ["seal"]


def test_the_trainer_sees_neither_vault_nor_store(pod):
    mounted = {mount["name"] for mount in trainer(pod)["volumeMounts"]}
    assert mounted == {"data", "fedsnap-work"}
    assert pod["automountServiceAccountToken"] is False
    named = {one["name"] for one in trainer(pod)["env"]}
    assert not named & {"FEDSNAP_VAULT_TOKEN_FILE", "FEDSNAP_STORE_CREDENTIALS", "FEDSNAP_TASK"}


def test_the_trainer_may_read_the_base_and_write_only_its_output(pod):
    mounts = {mount["mountPath"]: mount for mount in trainer(pod)["volumeMounts"]}
    assert mounts[BASE]["readOnly"] is True
    assert "readOnly" not in mounts[OUTPUT]


def test_the_round_sets_its_variables_whatever_the_template_says(pod):
    values = {one["name"]: one["value"] for one in trainer(pod)["env"]}
    assert values["FEDSNAP_SEED"] == "7"
    assert values["FEDSNAP_DATA_DIR"] == "/data"
    assert json.loads(values["FEDSNAP_HYPERPARAMETERS"]) == {"localEpochs": 2}


def test_gpus_scheduling_volumes_and_labels_of_the_template_are_kept(pod):
    assert trainer(pod)["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert pod["nodeSelector"] == {"gpu": "yes"}
    assert pod["volumes"][0]["name"] == "data"
    job = jobs.train_job(IDENTITY, template=TEMPLATE, image="fedsnap:1", trainer=TRAINER)
    metadata = job["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"] == {"note": "x"}


def test_the_template_itself_is_left_as_it_was(pod):
    assert [one["name"] for one in TEMPLATE["spec"]["initContainers"]] == ["warm"]
    assert pod is not TEMPLATE["spec"]


def test_a_job_never_restarts_its_pods_and_ends_at_the_deadline():
    spec = jobs.stage_job(IDENTITY, image="fedsnap:1", module="publish")["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 60)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_an_aggregation_has_an_index_for_each_shard():
    spec = jobs.aggregate_job(IDENTITY, image="fedsnap:1", shards=3)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)


def test_our_containers_give_up_every_privilege(pod):
    for container in (pod["initContainers"][0], pod["containers"][0]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["runAsNonRoot"]
        assert context["capabilities"] == {"drop": ["ALL"]}
