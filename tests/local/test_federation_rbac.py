from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import pytest
import yaml

from fedsnap.api.participation import Participation
from fedsnap.clients.cluster import NAMESPACE, POD, SECRET, ClusterClient, of_kind
from fedsnap.clients.cluster.connection import open_connection
from fedsnap.clients.cluster.requests import Request, Requests
from fedsnap.clients.errors import PermissionDenied
from fedsnap.local.federation import parts, rbac
from fedsnap.local.federation.apply import Applier, resource_of
from fedsnap.local.federation.layout import Federation, Member

pytestmark = pytest.mark.cluster
PARTICIPATION = of_kind(Participation)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True)
class Site:
    """A federation of two members, and the administrator's connection to its cluster."""

    federation: Federation
    requests: Requests

    @property
    def us(self) -> Member:
        return self.federation.members[0]

    @property
    def them(self) -> Member:
        return self.federation.members[1]

    async def may(self, account, verb, group, resource, namespace):
        name, _, subresource = resource.partition("/")
        asked = {"namespace": namespace or "", "verb": verb, "group": group, "resource": name}
        if subresource:
            asked["subresource"] = subresource
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.namespace}", "system:authenticated"]
        review = {"spec": {"user": account.user, "groups": groups, "resourceAttributes": asked}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return (await self.requests.send(Request(method="POST", path=path, body=review)))["status"]["allowed"]

    async def rights(self, account, namespace):
        """Everything that the account may do in the namespace (None: everywhere), of all that the server serves."""
        asked = [(group, name, verb) for group, name in await self.resources() for verb in VERBS]
        answers = await asyncio.gather(
            *(self.may(account, verb, group, name, namespace) for group, name, verb in asked)
        )
        found = {}
        for (_, name, verb), allowed in zip(asked, answers, strict=True):
            if allowed:
                found.setdefault(name, set()).add(verb)
        return found

    async def resources(self):
        groups = (await self.requests.send(Request(method="GET", path="/apis")))["groups"]
        found = [
            ("", "/api/v1"),
            *((one["name"], f"/apis/{one['preferredVersion']['groupVersion']}") for one in groups),
        ]
        lists = [(group, await self.requests.send(Request(method="GET", path=path))) for group, path in found]
        # What every authenticated user may ask of the server about itself is no right of ours.
        own = {"authentication.k8s.io", "authorization.k8s.io"}
        return [(group, one["name"]) for group, answer in lists if group not in own for one in answer["resources"]]


@pytest.fixture(scope="module")
async def site(kubeconfig):
    suffix = uuid.uuid4().hex[:8]
    members = (Member(name=f"us-{suffix}"), Member(name=f"them-{suffix}"))
    federation = Federation(members=members, hub_namespace=f"hub-{suffix}", model_namespace=f"model-{suffix}")
    requests = Requests(await open_connection(kubeconfig))
    objects = [*parts.namespaces(federation), *parts.accounts(federation), *rbac.grants(federation)]
    await Applier(requests).apply(objects)
    site = Site(federation, requests)
    yield site
    for one in objects:
        if one["kind"] == "Namespace" or one["metadata"].get("namespace") is None:
            path = resource_of(one).path(None, one["metadata"]["name"])
            await requests.send(Request(method="DELETE", path=path))
    await requests.close()


@pytest.fixture(scope="module")
async def participant(site, kubeconfig, tmp_path_factory):
    """A client with the token of our member's operator."""
    account = rbac.Account(site.us.namespace)
    path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token"
    token = (await site.requests.send(Request(method="POST", path=path, body={"spec": {}})))["status"]["token"]
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    mine = tmp_path_factory.mktemp("participant") / "kubeconfig"
    mine.write_text(yaml.safe_dump(content))
    async with await ClusterClient.connect(mine) as client:
        yield client


def _participation(namespace, model="heart"):
    spec = {
        "organization": "us",
        "model": model,
        "round": {"namespace": "research", "name": "heart-1", "number": 1, "attempt": 1},
        "plan": {"bucket": "fedsnap", "path": "rounds/plan.json", "digest": "sha256:" + "0" * 64},
        "base": {"vaultMount": "transit", "vaultKey": "heart", "keyVersion": 1},
        "image": "trainer:1",
        "secureAggregation": "Plain",
        "invited": 3,
        "quorum": 3,
        "hyperparameters": {},
        "acceptBy": "2030-01-01T00:00:00Z",
    }
    metadata = {"namespace": namespace, "name": "research.heart-1.1"}
    return {"apiVersion": "fedsnap.dev/v1alpha1", "kind": "Participation", "metadata": metadata, "spec": spec}


# Sizes of nodes, and public keys of other members.
EVERYWHERE = {"nodes": {"get", "list"}, "organizations": {"get", "list"}}


async def test_a_participant_has_exactly_its_half_of_its_mailbox(site):
    assert await site.rights(rbac.Account(site.us.namespace), site.us.mailbox) == EVERYWHERE | {
        "participations": {"get", "list", "watch"},
        "participations/status": {"patch", "update"},
        "events": {"create"},
    }


async def test_a_participant_has_nothing_in_the_hub_or_with_other_members(site):
    account = rbac.Account(site.us.namespace)
    hub = (site.federation.hub_namespace, site.federation.model_namespace)
    for namespace in (*hub, site.them.mailbox, None):
        assert await site.rights(account, namespace) == EVERYWHERE, namespace


async def test_a_participant_makes_jobs_at_home_and_reads_no_secret_there(site):
    rights = await site.rights(rbac.Account(site.us.namespace), site.us.namespace)
    own = {"get", "list", "watch", "create", "patch", "delete"}
    assert rights == EVERYWHERE | {
        "sharingpolicies": {"get", "list", "watch"},
        "sharingpolicies/status": {"patch"},
        "podtemplates": {"get", "list", "watch"},
        "jobs": own,
        "configmaps": own,
        "pods": {"get", "list", "watch"},
        "events": {"create"},
        "leases": {"create"},
    }


async def test_a_coordinator_only_posts_to_mailboxes(site):
    rights = await site.rights(rbac.Account(site.federation.hub_namespace), site.us.mailbox)
    written = {name: verbs - set(rbac.READ) for name, verbs in rights.items() if verbs - set(rbac.READ)}
    assert written == {
        "participations": {"create", "patch", "delete"},
        "organizations/status": {"patch"},
        "events": {"create"},
    }


async def test_jobs_have_no_rights_in_the_cluster(site):
    for namespace in (site.us.namespace, site.federation.model_namespace):
        assert await site.rights(rbac.Account(namespace, "fedsnap-job"), namespace) == {}


async def test_a_participant_reads_and_reports_on_its_own_participation_and_cannot_change_what_was_asked(
    site, participant
):
    mine = site.us.mailbox
    await Applier(site.requests).apply([_participation(mine)])
    name = (await participant.list(PARTICIPATION, mine))[0]["metadata"]["name"]
    answered = await participant.apply_status(PARTICIPATION, mine, name, {"decision": "Accepted", "rule": "r"})
    assert answered["status"]["decision"] == "Accepted"
    with pytest.raises(PermissionDenied):
        await participant.apply(_participation(mine, model="other"))
    with pytest.raises(PermissionDenied):
        await participant.delete(PARTICIPATION, mine, name)


async def test_a_participant_cannot_see_the_participations_of_another_or_the_namespaces(site, participant):
    await Applier(site.requests).apply([_participation(site.them.mailbox)])
    with pytest.raises(PermissionDenied):
        await participant.get(PARTICIPATION, site.them.mailbox, "research.heart-1.1")
    with pytest.raises(PermissionDenied):
        await participant.apply_status(PARTICIPATION, site.them.mailbox, "research.heart-1.1", {"rule": "r"})
    for resource, namespace in ((PARTICIPATION, None), (NAMESPACE, None), (SECRET, site.us.namespace), (POD, None)):
        with pytest.raises(PermissionDenied):
            await participant.list(resource, namespace)
