from __future__ import annotations

import base64
from fnmatch import fnmatchcase

import pytest

from fedsnap.api.organization import Organization
from fedsnap.api.sharingpolicy import SharingPolicy
from fedsnap.local.federation import deployments, objects, rbac, store, training, vault
from fedsnap.local.federation.apply import resource_of
from fedsnap.local.federation.layout import HOSPITALS, Federation, Services
from fedsnap.runtime.settings import parser

FEDERATION = Federation()
CLEVELAND = HOSPITALS[0]
SERVICES = Services(vault="http://127.0.0.1:1", store="http://127.0.0.1:2")
LISTENING = deployments.Listening(host="127.0.0.1", port=18080)
DEPLOYMENTS = {
    "coordinator": deployments.coordinator(FEDERATION, SERVICES, LISTENING),
    "participant": deployments.participant(FEDERATION, CLEVELAND, SERVICES, LISTENING),
}


def _rules(kind="Role"):
    return [
        (grant["metadata"].get("namespace"), grant["metadata"]["name"], rule)
        for grant in rbac.grants(FEDERATION)
        if grant["kind"] in (kind, f"Cluster{kind}")
        for rule in grant["rules"]
    ]


def test_nobody_may_touch_secrets_or_use_wildcards():
    for namespace, name, rule in _rules():
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not words & {"*", "secrets", "impersonate", "escalate", "bind"}, f"{name} in {namespace}: {rule}"


def test_a_participant_writes_nothing_in_its_mailbox_but_status_and_events():
    writes = [
        (rule["resources"], rule["verbs"])
        for namespace, name, rule in _rules()
        if namespace == CLEVELAND.mailbox and name == rbac.PARTICIPANT and not set(rule["verbs"]) <= set(rbac.READ)
    ]
    assert writes == [(["participations/status"], ["patch", "update"]), (["events"], ["create"])]


def test_what_reaches_the_whole_cluster_only_reads_or_reports_on_cluster_scoped_objects():
    everywhere = [rule for namespace, _, rule in _rules() if namespace is None]
    assert [rule for rule in everywhere if not set(rule["verbs"]) <= set(rbac.READ)] == [
        {"apiGroups": ["fedsnap.dev"], "resources": ["organizations/status"], "verbs": ["patch"]}
    ]


def test_every_binding_names_a_role_that_is_made():
    made = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rbac.grants(FEDERATION)}
    for binding in rbac.grants(FEDERATION):
        if "roleRef" in binding:
            role, namespace = binding["roleRef"], binding["metadata"].get("namespace")
            assert (role["kind"], namespace, role["name"]) in made


def _may(access, verb, path):
    return any(fnmatchcase(f"{verb}:b/{path}", pattern) for pattern in access.actions("b"))


@pytest.mark.parametrize(
    ("party", "verb", "path", "allowed"),
    [
        ("cleveland-job", "Write", "rounds/research/heart/1/1/sealed/cleveland/1", True),
        ("cleveland-job", "Write", "rounds/research/heart/1/1/commit/cleveland.json", True),
        ("cleveland-job", "Write", "rounds/research/heart/1/1/commit/hungary.json", False),
        ("cleveland-job", "Write", "rounds/research/heart/1/1/plan.json", False),
        ("cleveland-job", "Read", "rounds/research/heart/1/1/sealed/hungary/1", False),
        ("cleveland-job", "Read", "snapshots/heart/0/1/key.json", True),
        ("cleveland-operator", "Read", "rounds/research/heart/1/1/plan.json", True),
        ("cleveland-operator", "Write", "rounds/research/heart/1/1/commit/cleveland.json", False),
        ("coordinator", "Write", "rounds/research/heart/1/1/plan.json", True),
        ("coordinator", "Write", "rounds/research/heart/1/1/commit/cleveland.json", False),
        ("coordinator", "Write", "snapshots/heart/1/1/snapshot.json", False),
        ("hub-job", "Write", "snapshots/heart/1/1/snapshot.json", True),
        ("hub-job", "Write", "rounds/research/heart/1/1/plan.json", False),
        ("heart-reader", "Read", "snapshots/heart/1/1/model.safetensors.c2sp", True),
        ("heart-reader", "Read", "rounds/research/heart/1/1/sealed/hungary/1", False),
    ],
)
def test_each_party_of_the_store_has_its_own_part(party, verb, path, allowed):
    access = next(one for one in store.accesses(FEDERATION) if one.party == party)
    assert _may(access, verb, path) is allowed


def test_a_member_cannot_use_the_keys_of_another():
    for member in HOSPITALS:
        others = {other.transit_mount for other in HOSPITALS if other != member}
        for role in vault.member_roles(FEDERATION, member):
            assert not {path.split("/")[0] for path in role.paths} & others


def test_only_jobs_of_the_hub_make_data_keys_of_the_model():
    may = [role.name for role in vault.roles(FEDERATION) if "transit/datakey/plaintext/heart" in role.paths]
    assert may == [vault.HUB_JOB_ROLE]


def test_a_role_of_vault_is_bound_to_one_service_account_and_audience():
    bound = {role.name: role.to_wire()["bound_subject"] for role in vault.roles(FEDERATION)}
    assert bound["cleveland-job"] == "system:serviceaccount:cleveland:fedsnap-job"
    assert len(set(bound.values())) == len(bound)


def test_an_organization_carries_its_pinned_keys():
    made = objects.organization(CLEVELAND, {"fedsnap-identity:v1": bytes(32)})
    parsed = Organization.model_validate(made)
    assert parsed.spec.namespace == "fedsnap-member-cleveland"
    assert base64.b64decode(parsed.spec.identity_keys[0].public_key) == bytes(32)


def test_a_policy_allows_exactly_the_template_of_its_organization():
    policy = SharingPolicy.model_validate(training.sharing_policy(FEDERATION, CLEVELAND))
    template = training.trainer_template(FEDERATION, CLEVELAND, {"emptyDir": {}})
    rule = policy.spec.rules[0]
    assert rule.template == template["metadata"]["name"]
    assert rule.images == [template["template"]["spec"]["containers"][0]["image"]]


@pytest.mark.parametrize("role", DEPLOYMENTS)
def test_the_operator_is_told_only_what_it_has_a_flag_for(role):
    container = DEPLOYMENTS[role]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == [role]
    flags = {f"--{one['name'].removeprefix('FEDSNAP_').lower().replace('_', '-')}=1" for one in container["env"]}
    unknown = [flag for flag in flags if not _known(role, flag)]
    assert unknown == []


def _known(role, flag):
    subparsers = next(action for action in parser()._actions if action.dest == "role")
    return any(flag.split("=")[0] in action.option_strings for action in subparsers.choices[role]._actions)


@pytest.mark.parametrize("role", DEPLOYMENTS)
def test_every_mount_of_an_operator_has_its_volume(role):
    spec = DEPLOYMENTS[role]["spec"]["template"]["spec"]
    mounts = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]}


def test_every_object_of_a_federation_has_a_place_in_the_api():
    for one in (*rbac.grants(FEDERATION), *DEPLOYMENTS.values(), objects.secret("a", "b", {"c": "d"})):
        assert resource_of(one).kind == one["kind"]
