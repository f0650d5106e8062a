"""Who takes part, and what their namespaces, accounts, keys and prefixes are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedsnap.builders.pods import JOB_SERVICE_ACCOUNT as JOB_ACCOUNT
from fedsnap.builders.pods import STORE_SECRET, VAULT_AUDIENCE

__all__ = ["JOB_ACCOUNT", "STORE_SECRET", "VAULT_AUDIENCE", "Federation", "Manifest", "Member", "Services"]

Manifest = dict[str, Any]

OPERATOR_ACCOUNT = "fedsnap-operator"
OPERATOR_STORE_SECRET = "fedsnap-operator-store"  # noqa: S105 - the name of a Secret
HUB_KEYS_CONFIG_MAP = "fedsnap-hub-keys"
IDENTITY_KEY = "fedsnap-identity"
DATA_KEY = "fedsnap-data"
TRANSIT_MOUNT = "transit"
PART_OF = {"app.kubernetes.io/part-of": "fedsnap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One organization: its own namespace stands for its own cluster, the mailbox is its namespace in the hub."""

    name: str
    display_name: str = ""
    contact: str = ""

    @property
    def namespace(self) -> str:
        """Where its operator, policy, template and training Jobs are."""
        return self.name

    @property
    def mailbox(self) -> str:
        """Where the hub puts its Participations."""
        return f"fedsnap-member-{self.name}"

    @property
    def transit_mount(self) -> str:
        """Its own transit engine."""
        return f"{TRANSIT_MOUNT}-{self.name}"

    @property
    def operator_role(self) -> str:
        """Vault role of its operator."""
        return f"{self.name}-operator"

    @property
    def job_role(self) -> str:
        """Vault role of its training Jobs."""
        return f"{self.name}-job"


HOSPITALS = (
    Member(name="cleveland", display_name="Cleveland Clinic Foundation", contact="platform@cleveland.example"),
    Member(name="hungary", display_name="Hungarian Institute of Cardiology, Budapest", contact="it@hungary.example"),
    Member(name="switzerland", display_name="University Hospitals Zurich and Basel", contact="ml@switzerland.example"),
    Member(name="va-long-beach", display_name="VA Medical Center, Long Beach", contact="sre@va-long-beach.example"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """A hub, one model and the organizations that train it."""

    members: tuple[Member, ...] = HOSPITALS
    model: str = "heart"
    hub_namespace: str = "fedsnap-hub"
    model_namespace: str = "research"
    bucket: str = "fedsnap"
    image: str = "fedsnap:dev"
    trainer_image: str = "fedsnap-heart:dev"

    @property
    def snapshot_prefix(self) -> str:
        """Where the model's snapshots lie in the bucket."""
        return f"snapshots/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Addresses of what all parties reach."""

    vault: str
    store: str
    region: str = "us-east-1"
