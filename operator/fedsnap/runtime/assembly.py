"""From settings to connected clients and reconcilers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from fedsnap.clients.cluster import ClusterClient
from fedsnap.clients.errors import Misconfigured
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.jobs.tasks import TransitKey
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import Child, Reconciler
from fedsnap.runtime.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Context]:
    """All clients of one operator; the connections are closed at the end.

    Raises:
        Misconfigured: where credentials cannot be used.
    """
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(await ClusterClient.connect(settings.kubeconfig))
        hub = cluster
        if settings.hub_kubeconfig:
            hub = await stack.enter_async_context(await ClusterClient.connect(settings.hub_kubeconfig))
        yield Context(
            cluster=cluster,
            hub=hub,
            store=_stores(settings),
            store_settings=lambda bucket: store_settings(settings, bucket),
            vault=_vault_client(settings, own_vault(settings, settings.vault_role)),
            vault_settings=own_vault(settings, settings.vault_job_role or settings.vault_role),
            hub_vault=_vault_client(settings, hub_vault(settings, settings.hub_vault_role or settings.vault_role)),
            hub_vault_settings=hub_vault(settings, settings.hub_vault_job_role or settings.vault_job_role),
            namespace=settings.namespace,
            hub_namespace=settings.hub_namespace,
            organization=settings.organization,
            image=settings.image,
            identity_key=TransitKey(mount=settings.vault_transit_mount, key=settings.identity_key),
            data_key=TransitKey(mount=settings.vault_transit_mount, key=settings.data_key),
            hub_public_keys=settings.hub_public_keys,
        )


def store_settings(settings: Settings, bucket: str) -> StoreSettings:
    """Where a bucket is, without where this process finds its credentials: Jobs have their own.

    Raises:
        Misconfigured: where no endpoint is set.
    """
    if not settings.store_endpoint:
        raise Misconfigured("StoreNotConfigured", "no store is set; give --store-endpoint (FEDSNAP_STORE_ENDPOINT)")
    return StoreSettings(
        endpoint=settings.store_endpoint,
        bucket=bucket,
        region=settings.store_region,
        allow_http=settings.store_allow_http,
    )


def _stores(settings: Settings) -> Callable[[str], Store]:
    directory = str(settings.store_credentials) if settings.store_credentials else None

    @cache
    def store(bucket: str) -> Store:
        found = store_settings(settings, bucket)
        return Store(found.model_copy(update={"credentials_directory": directory}))

    return store


def own_vault(settings: Settings, role: str) -> VaultSettings | None:
    """Where the own Vault is, without this process' token file: Jobs have their own. None where there is none."""
    if not settings.vault_address:
        return None
    return VaultSettings(
        address=settings.vault_address,
        auth_mount=settings.vault_auth_mount,
        role=_required(role, "--vault-role (FEDSNAP_VAULT_ROLE)"),
        namespace=settings.vault_namespace or None,
        ca_file=str(settings.vault_ca_file) if settings.vault_ca_file else None,
    )


def hub_vault(settings: Settings, role: str) -> VaultSettings | None:
    """Where the hub's Vault is, which holds the models' keys; the own one where no other is set."""
    if not settings.hub_vault_address:
        return own_vault(settings, role or settings.vault_role)
    return VaultSettings(
        address=settings.hub_vault_address,
        auth_mount=settings.hub_vault_auth_mount,
        role=_required(role, "--hub-vault-role (FEDSNAP_HUB_VAULT_ROLE)"),
        ca_file=str(settings.vault_ca_file) if settings.vault_ca_file else None,
    )


def _required(role: str, flag: str) -> str:
    if not role:
        raise Misconfigured("VaultRoleMissing", f"an address of Vault needs a role to log in by; give {flag}")
    return role


def _vault_client(settings: Settings, found: VaultSettings | None) -> VaultClient | None:
    token_file = str(settings.vault_token_file) if settings.vault_token_file else None
    return VaultClient(found.model_copy(update={"token_file": token_file})) if found else None


def reconcilers_of(settings: Settings, context: Context) -> tuple[list[Reconciler[Any]], list[Child]]:
    """The reconcilers of the role, and the children whose events wake them."""
    # Imported here: it pulls in every reconciler, which `--help` and wrong settings need not wait for.
    from fedsnap.reconcilers import roles  # noqa: PLC0415

    made = roles.coordinator(context) if settings.role == "coordinator" else roles.participant(context)
    return list(made), [child for child in roles.CHILDREN if settings.role in child.roles]
