"""Keys in Vault and who may use them: one JWT role and one policy per service account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import hvac  # type: ignore[import-untyped]

from fedsnap.local.federation.layout import (
    DATA_KEY,
    IDENTITY_KEY,
    JOB_ACCOUNT,
    OPERATOR_ACCOUNT,
    TRANSIT_MOUNT,
    VAULT_AUDIENCE,
    Federation,
    Member,
)

COORDINATOR_ROLE = "coordinator"
HUB_JOB_ROLE = "hub-job"
JWT_MOUNT = "jwt"
READ, UPDATE = "read", "update"
_ENCRYPTION = {"type": "aes256-gcm96", "derived": True}
_SIGNING = {"type": "ed25519"}


@dataclass(frozen=True, slots=True)
class Role:
    """A service account and the paths that it may use, each with one capability."""

    name: str
    namespace: str
    account: str
    paths: Mapping[str, str]

    @property
    def policy(self) -> str:
        """The policy in Vault's own language."""
        return "\n".join(f'path "{path}" {{ capabilities = ["{may}"] }}' for path, may in self.paths.items())

    def to_wire(self) -> dict[str, object]:
        """The JWT role."""
        return {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_subject": f"system:serviceaccount:{self.namespace}:{self.account}",
            "bound_audiences": [VAULT_AUDIENCE],
            "token_policies": [self.name],
            "token_no_default_policy": True,
            "token_ttl": "15m",
            "token_max_ttl": "1h",
        }


@dataclass(frozen=True, slots=True)
class Key:
    """A transit key."""

    mount: str
    name: str
    options: Mapping[str, object]


def roles(federation: Federation) -> list[Role]:
    """All roles: the hub's operator and Jobs, and each member's."""
    hub = TRANSIT_MOUNT
    return [
        Role(
            COORDINATOR_ROLE,
            federation.hub_namespace,
            OPERATOR_ACCOUNT,
            {
                f"{hub}/keys/*": READ,
                f"{hub}/sign/{IDENTITY_KEY}": UPDATE,
                f"{hub}/encrypt/{DATA_KEY}": UPDATE,
            },
        ),
        Role(
            HUB_JOB_ROLE,
            federation.model_namespace,
            JOB_ACCOUNT,
            {
                f"{hub}/decrypt/{DATA_KEY}": UPDATE,
                f"{hub}/datakey/plaintext/{federation.model}": UPDATE,
                f"{hub}/decrypt/{federation.model}": UPDATE,
            },
        ),
        *(role for member in federation.members for role in member_roles(federation, member)),
    ]


def member_roles(federation: Federation, member: Member) -> list[Role]:
    """An organization's operator, which only looks at keys, and its Jobs, which use them."""
    own = member.transit_mount
    return [
        Role(
            member.operator_role,
            member.namespace,
            OPERATOR_ACCOUNT,
            {f"{TRANSIT_MOUNT}/keys/{federation.model}": READ, f"{own}/keys/*": READ},
        ),
        Role(
            member.job_role,
            member.namespace,
            JOB_ACCOUNT,
            {
                f"{TRANSIT_MOUNT}/decrypt/{federation.model}": UPDATE,
                f"{own}/datakey/plaintext/{DATA_KEY}": UPDATE,
                f"{own}/decrypt/{DATA_KEY}": UPDATE,
                f"{own}/sign/{IDENTITY_KEY}": UPDATE,
                f"{own}/keys/{IDENTITY_KEY}": READ,
            },
        ),
    ]


def keys(federation: Federation) -> list[Key]:
    """All transit keys: identity and data of each party, and the model's."""
    mounts = [TRANSIT_MOUNT, *(member.transit_mount for member in federation.members)]
    own = [key for mount in mounts for key in (Key(mount, IDENTITY_KEY, _SIGNING), Key(mount, DATA_KEY, _ENCRYPTION))]
    return [*own, Key(TRANSIT_MOUNT, federation.model, _ENCRYPTION)]


def set_up(root: hvac.Client, federation: Federation) -> None:
    """Make mounts, keys, policies and roles; what exists stays as it is, so that no key is ever replaced."""
    mounted = set(root.sys.list_mounted_secrets_engines()["data"])
    wanted = keys(federation)
    for mount in sorted({key.mount for key in wanted}):
        if f"{mount}/" not in mounted:
            root.sys.enable_secrets_engine("transit", path=mount)
    for key in wanted:
        if root.read(f"{key.mount}/keys/{key.name}") is None:
            root.write_data(f"{key.mount}/keys/{key.name}", data=dict(key.options))
    for role in roles(federation):
        root.sys.create_or_update_policy(role.name, role.policy)
        root.write_data(f"auth/{JWT_MOUNT}/role/{role.name}", data=role.to_wire())


def reader_token(root: hvac.Client, federation: Federation, ttl: str = "24h") -> str:
    """A token for a person who may open snapshots of the model, and nothing else."""
    name = f"{federation.model}-reader"
    root.sys.create_or_update_policy(
        name, f'path "{TRANSIT_MOUNT}/decrypt/{federation.model}" {{ capabilities = ["update"] }}'
    )
    made = root.auth.token.create(
        policies=[name], ttl=ttl, display_name=name, no_default_policy=True, no_parent=True, renewable=False
    )
    return str(made["auth"]["client_token"])
