"""What reconcilers and actions reach the outside by, and who they act for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedsnap.clients.cluster import ClusterClient
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.jobs.tasks import TransitKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What reconcilers and actions reach the outside by, and who they act for.

    Attributes:
        cluster: the own cluster.
        hub: the hub's cluster; for the coordinator it is `cluster` itself.
        store: bucket name → its client; synchronous, so call it by `asyncio.to_thread`.
        store_settings: bucket name → settings to hand to Jobs; without secrets.
        vault: synchronous too; None where no address is configured.
        vault_settings: the same Vault for Jobs, with their role and without a token file.
        hub_vault: the Vault that holds the models' keys; the own one where there is no other.
        hub_vault_settings: the same for Jobs.
        namespace: the operator's own namespace; a participant's Jobs run there.
        hub_namespace: a participant's mailbox namespace in the hub.
        organization: a participant's name; empty for the coordinator.
        image: fedsnap's own image, for the containers of Jobs.
        identity_key: signs the own control files.
        data_key: wraps the own data keys.
        hub_public_keys: key id → base64 raw Ed25519 public key that a participant trusts the hub by.
    """

    cluster: ClusterClient
    hub: ClusterClient
    store: Callable[[str], Store]
    store_settings: Callable[[str], StoreSettings]
    vault: VaultClient | None = None
    vault_settings: VaultSettings | None = None
    hub_vault: VaultClient | None = None
    hub_vault_settings: VaultSettings | None = None
    namespace: str = ""
    hub_namespace: str = ""
    organization: str = ""
    image: str = ""
    identity_key: TransitKey = field(default_factory=lambda: TransitKey(key="fedsnap-identity"))
    data_key: TransitKey = field(default_factory=lambda: TransitKey(key="fedsnap-data"))
    hub_public_keys: Mapping[str, str] = field(default_factory=dict)

    def client(self, *, hub: bool) -> ClusterClient:
        """The hub's cluster or the own one."""
        return self.hub if hub else self.cluster
