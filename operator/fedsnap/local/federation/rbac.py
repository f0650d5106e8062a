"""Who may do what in the cluster: nothing that its work does not need, and Secrets for nobody."""

from __future__ import annotations

from dataclasses import dataclass

from fedsnap.api.schema import GROUP
from fedsnap.local.federation.layout import OPERATOR_ACCOUNT, PART_OF, Federation, Manifest, Member

RBAC = "rbac.authorization.k8s.io"
COORDINATOR = "fedsnap-coordinator"
PARTICIPANT = "fedsnap-participant"
LEASES = "coordination.k8s.io"
READ = ("get", "list", "watch")
# Server-side apply is a patch, and a create where the object is new.
OWN = (*READ, "create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a Role; resources of one API group."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def to_wire(self) -> Manifest:
        """As RBAC has it."""
        made = {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}
        return made | ({"resourceNames": list(self.names)} if self.names else {})


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount that is given rights."""

    namespace: str
    name: str = OPERATOR_ACCOUNT

    @property
    def user(self) -> str:
        """The user name that the API server knows it by."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


def grants(federation: Federation) -> list[Manifest]:
    """Every Role and binding of the federation."""
    return [*coordinator(federation), *(one for member in federation.members for one in participant(member))]


def coordinator(federation: Federation) -> list[Manifest]:
    """Rights of the hub's operator: it reads our kinds everywhere and acts in the namespaces of hub and models."""
    account = Account(federation.hub_namespace)
    # More than one hub may run in one cluster.
    shared = f"{COORDINATOR}-{federation.hub_namespace}"
    return [
        *_in_cluster(shared, account, _COORDINATOR_EVERYWHERE),
        *_in_namespace(federation.hub_namespace, COORDINATOR, account, lease_rules(COORDINATOR)),
        *_in_namespace(federation.model_namespace, COORDINATOR, account, _COORDINATOR_BY_MODEL),
        # Events about cluster-scoped objects, such as Organizations, lie in `default`.
        *_in_namespace("default", shared, account, (_EVENTS,)),
        *(
            one
            for member in federation.members
            for one in _in_namespace(member.mailbox, COORDINATOR, account, _COORDINATOR_IN_MAILBOX)
        ),
    ]


def participant(member: Member) -> list[Manifest]:
    """Rights of an organization's operator: its own namespace, the sizes of its nodes, its half of its mailbox."""
    account = Account(member.namespace)
    leases = lease_rules(f"{PARTICIPANT}-{member.name}")
    return [
        *_in_cluster(f"{PARTICIPANT}-{member.name}", account, _PARTICIPANT_EVERYWHERE),
        *_in_namespace(member.namespace, PARTICIPANT, account, (*_PARTICIPANT_AT_HOME, *leases)),
        *_in_namespace(member.mailbox, PARTICIPANT, account, _PARTICIPANT_IN_MAILBOX),
    ]


def lease_rules(name: str) -> tuple[Rule, ...]:
    """For the one Lease by which a replica leads; RBAC cannot limit the name of what is created."""
    return (Rule(LEASES, ("leases",), ("create",)), Rule(LEASES, ("leases",), ("get", "update"), (name,)))


_EVENTS = Rule("events.k8s.io", ("events",), ("create",))
_OUR_KINDS = ("sharedmodels", "federatedrounds", "participations", "organizations", "modelsnapshots")
_COORDINATOR_EVERYWHERE = (
    Rule(GROUP, _OUR_KINDS, READ),
    Rule(GROUP, ("organizations/status",), ("patch",)),
    # One watch covers the Jobs of all model namespaces; what it makes, it makes by the Role of the namespace.
    Rule("batch", ("jobs",), READ),
)
_JOBS = (
    Rule("batch", ("jobs",), OWN),
    Rule("", ("configmaps",), OWN),
    Rule("", ("pods", "podtemplates"), READ),
    _EVENTS,
)
_COORDINATOR_BY_MODEL = (
    Rule(GROUP, ("federatedrounds", "modelsnapshots"), ("create", "patch")),
    Rule(GROUP, ("sharedmodels/status", "federatedrounds/status"), ("patch",)),
    *_JOBS,
)
_COORDINATOR_IN_MAILBOX = (Rule(GROUP, ("participations",), ("create", "patch", "delete")), _EVENTS)
# Sizes of nodes, and the keys by which it knows other members.
_PARTICIPANT_EVERYWHERE = (Rule("", ("nodes",), ("get", "list")), Rule(GROUP, ("organizations",), ("get", "list")))
_PARTICIPANT_AT_HOME = (
    Rule(GROUP, ("sharingpolicies",), READ),
    Rule(GROUP, ("sharingpolicies/status",), ("patch",)),
    *_JOBS,
)
_PARTICIPANT_IN_MAILBOX = (
    Rule(GROUP, ("participations",), READ),
    Rule(GROUP, ("participations/status",), ("patch", "update")),
    _EVENTS,
)


def _in_cluster(name: str, account: Account, rules: tuple[Rule, ...]) -> list[Manifest]:
    return [
        _role("ClusterRole", {"name": name}, rules),
        _binding("ClusterRoleBinding", {"name": name}, account, "ClusterRole"),
    ]


def _in_namespace(namespace: str, name: str, account: Account, rules: tuple[Rule, ...]) -> list[Manifest]:
    metadata = {"namespace": namespace, "name": name}
    return [_role("Role", metadata, rules), _binding("RoleBinding", metadata, account, "Role")]


def _role(kind: str, metadata: Manifest, rules: tuple[Rule, ...]) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {**metadata, "labels": PART_OF},
        "rules": [rule.to_wire() for rule in rules],
    }


def _binding(kind: str, metadata: Manifest, account: Account, role: str) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {**metadata, "labels": PART_OF},
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "namespace": account.namespace, "name": account.name}],
    }
