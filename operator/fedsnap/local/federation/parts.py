"""The objects of a whole federation in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedsnap.local.federation import deployments, objects, rbac, store, training
from fedsnap.local.federation.deployments import Listening
from fedsnap.local.federation.layout import (
    JOB_ACCOUNT,
    OPERATOR_ACCOUNT,
    OPERATOR_STORE_SECRET,
    STORE_SECRET,
    Federation,
    Manifest,
    Member,
    Services,
)

HUB = "hub"
PublicKeys = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was found or made outside the cluster.

    Attributes:
        services: addresses of Vault and the store.
        keys: party (`hub` or a member's name) → its public identity keys, by key id.
        credentials: party of the store → access-key-id and secret-access-key.
        data: member's name → volume source of its data.
        listening: party → where its operator serves metrics and probes.
    """

    services: Services
    keys: Mapping[str, PublicKeys]
    credentials: Callable[[str], Mapping[str, str]]
    data: Mapping[str, Manifest]
    listening: Mapping[str, Listening]


def everything(federation: Federation, inputs: Inputs) -> list[Manifest]:
    """Namespaces and rights first, operators last."""
    return [*prerequisites(federation, inputs), *operators(federation, inputs)]


def prerequisites(federation: Federation, inputs: Inputs) -> list[Manifest]:
    """Everything but the operators."""
    return [
        *namespaces(federation),
        *accounts(federation),
        *rbac.grants(federation),
        *hub(federation, inputs),
        *(one for member in federation.members for one in organization(federation, member, inputs)),
    ]


def namespaces(federation: Federation) -> list[Manifest]:
    """Those of the hub, the model, and each member's own and mailbox."""
    of_members = [name for member in federation.members for name in (member.namespace, member.mailbox)]
    return [objects.namespace(name) for name in (federation.hub_namespace, federation.model_namespace, *of_members)]


def accounts(federation: Federation) -> list[Manifest]:
    """One ServiceAccount for each operator, and one for its Jobs."""
    return [
        objects.service_account(federation.hub_namespace, OPERATOR_ACCOUNT),
        objects.service_account(federation.model_namespace, JOB_ACCOUNT),
        *(
            objects.service_account(member.namespace, name)
            for member in federation.members
            for name in (OPERATOR_ACCOUNT, JOB_ACCOUNT)
        ),
    ]


def hub(federation: Federation, inputs: Inputs) -> list[Manifest]:
    """Credentials of the hub, and how the model's first weights are made."""
    return [
        objects.secret(federation.hub_namespace, STORE_SECRET, inputs.credentials(store.COORDINATOR)),
        objects.secret(federation.model_namespace, STORE_SECRET, inputs.credentials(store.HUB_JOB)),
        training.initializer_template(federation),
    ]


def organization(federation: Federation, member: Member, inputs: Inputs) -> list[Manifest]:
    """What makes one member: in the hub its pinned keys, at home its credentials, template and policy."""
    return [
        objects.organization(member, inputs.keys[member.name]),
        objects.hub_keys(member.namespace, inputs.keys[HUB]),
        objects.secret(member.namespace, OPERATOR_STORE_SECRET, inputs.credentials(store.operator_of(member))),
        objects.secret(member.namespace, STORE_SECRET, inputs.credentials(store.job_of(member))),
        training.trainer_template(federation, member, inputs.data[member.name]),
        training.sharing_policy(federation, member),
    ]


def operators(federation: Federation, inputs: Inputs) -> list[Manifest]:
    """The coordinator and each member's participant."""
    return [
        deployments.coordinator(federation, inputs.services, inputs.listening[HUB]),
        *(
            deployments.participant(federation, member, inputs.services, inputs.listening[member.name])
            for member in federation.members
        ),
    ]
