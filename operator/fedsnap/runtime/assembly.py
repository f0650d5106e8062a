"""From settings to connected clients and reconcilers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from fedsnap.clients.cluster import ClusterClient
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.reconcilers.loop import Child, Context, Reconciler
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
            vault=VaultClient(_operator_vault(settings)) if settings.vault_address else None,
            vault_settings=vault_settings(settings, settings.vault_job_role) if settings.vault_address else None,
            namespace=settings.namespace,
            hub_namespace=settings.hub_namespace,
            organization=settings.organization,
            image=settings.image,
            hub_public_keys=settings.hub_public_keys,
        )


def store_settings(settings: Settings, bucket: str) -> StoreSettings:
    """Where a bucket is, without where this process finds its credentials: Jobs have their own."""
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


def vault_settings(settings: Settings, role: str) -> VaultSettings:
    """Where Vault is and the role to log in by, without this process' token file: Jobs have their own."""
    return VaultSettings(
        address=settings.vault_address,
        auth_mount=settings.vault_auth_mount,
        role=role or settings.vault_role,
        namespace=settings.vault_namespace or None,
        ca_file=str(settings.vault_ca_file) if settings.vault_ca_file else None,
    )


def _operator_vault(settings: Settings) -> VaultSettings:
    token_file = str(settings.vault_token_file) if settings.vault_token_file else None
    return vault_settings(settings, settings.vault_role).model_copy(update={"token_file": token_file})


def reconcilers_of(settings: Settings, context: Context) -> tuple[list[Reconciler[Any]], list[Child]]:
    """The reconcilers of the role, and the children whose events wake them."""
    # Imported here: it pulls in every reconciler, which `--help` and wrong settings need not wait for.
    from fedsnap.reconcilers import roles  # noqa: PLC0415

    made = roles.coordinator(context) if settings.role == "coordinator" else roles.participant(context)
    return list(made), [child for child in roles.CHILDREN if settings.role in child.roles]
