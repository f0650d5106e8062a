"""Set a federation up on an embedded cluster: keys, rights, objects, operators. Doing it again changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]

from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.local import agent, cluster, seaweedfs
from fedsnap.local.cluster import Cluster
from fedsnap.local.errors import LocalClusterError, NotStarted
from fedsnap.local.federation import parts, store, vault
from fedsnap.local.federation.apply import DEPLOYMENT, Applier, applier
from fedsnap.local.federation.deployments import Listening
from fedsnap.local.federation.layout import IDENTITY_KEY, TRANSIT_MOUNT, Federation, Manifest, Services
from fedsnap.local.ports import LOOPBACK, free_ports
from fedsnap.local.seaweedfs import Identity

EXAMPLE = Path(__file__).parents[4] / "examples" / "heart"
OPERATORS_READY_SECONDS = 90.0
_POLL_SECONDS = 0.2
_KEY_FILES = ("access-key-id", "secret-access-key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A federation on its cluster."""

    cluster: Cluster
    federation: Federation

    @property
    def data(self) -> Path:
        """One folder per member, with its rows."""
        return self.cluster.directory / "data"


def start_cluster(directory: Path, federation: Federation) -> Cluster:
    """The embedded cluster with everybody's store identities and the images of the example.

    Raises:
        LocalClusterError: telling which program failed.
    """
    return cluster.start(
        directory,
        identities=identities(directory, federation),
        buckets=(federation.bucket,),
        node=True,
        images=images(federation),
    )


async def set_up(running: Running, *, operators: bool = True) -> None:
    """Apply the whole federation and wait until its operators lead; without `operators`, the caller runs them.

    Raises:
        ClientError: where the API server or Vault refuses something.
        LocalClusterError: where an operator does not become ready, or the example has no data.
    """
    inputs = await asyncio.to_thread(_inputs, running)
    made = parts.operators(running.federation, inputs) if operators else []
    async with applier(running.cluster.kubeconfig) as api:
        await api.apply([*parts.prerequisites(running.federation, inputs), *made])
        # Operators start meanwhile; nobody trains before there is a model.
        await asyncio.gather(_operators_ready(api, made), asyncio.to_thread(prepare_data, running.data))


def images(federation: Federation) -> dict[str, Any]:
    """The image names of the federation, as programs of this virtual environment."""
    own = agent.default_images()["fedsnap:dev"]
    trainer = {**own, "env": {**own.get("env", {}), "PYTHONPATH": str(EXAMPLE)}}
    return {federation.image: own, federation.trainer_image: trainer}


def identities(directory: Path, federation: Federation) -> list[Identity]:
    """Everybody's identity in the store; keys that were made before stay."""
    kept = directory.absolute() / "s3" / "credentials"
    return [_identity(kept / one.party, one, federation.bucket) for one in store.accesses(federation)]


def _identity(kept: Path, access: store.Access, bucket: str) -> Identity:
    actions = access.actions(bucket)
    if not kept.exists():
        return seaweedfs.generated(access.party, *actions)
    access_key, secret_key = (read_credentials(kept)[name] for name in _KEY_FILES)
    return Identity(name=access.party, access_key=access_key, secret_key=secret_key, actions=tuple(actions))


def read_credentials(directory: Path) -> dict[str, str]:
    """The two files of a store identity, as a Secret holds them."""
    return {name: (directory / name).read_text(encoding="ascii") for name in _KEY_FILES}


def prepare_data(data: Path) -> None:
    """Each member's rows of the example, below `data`; made once.

    Raises:
        LocalClusterError: with what the example said.
    """
    if not data.exists():
        run_example("heart.prepare", str(data))


def run_example(module: str, *arguments: str) -> str:
    """Run a program of the example and return what it printed.

    Raises:
        LocalClusterError: with what it said.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"`python -m {module}` in {EXAMPLE} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def services(running: Running) -> Services:
    """Addresses of the cluster's Vault and store.

    Raises:
        LocalClusterError: where it was started without them.
    """
    found = running.cluster
    if found.vault is None or found.s3 is None:
        raise LocalClusterError("the cluster runs without OpenBao and S3; start it without --no-services")
    return Services(vault=found.vault.address, store=found.s3.endpoint)


def administrator(running: Running) -> hvac.Client:
    """Vault with the administrator's token."""
    address = services(running).vault
    assert running.cluster.vault is not None  # noqa: S101 - services() saw to it
    return hvac.Client(url=address, token=running.cluster.vault.root_token)


def _inputs(running: Running) -> parts.Inputs:
    federation, found = running.federation, services(running)
    vault.set_up(administrator(running), federation)
    assert running.cluster.s3 is not None  # noqa: S101 - services() saw to it
    credentials = running.cluster.s3.credentials
    return parts.Inputs(
        services=found,
        keys=_public_keys(running),
        credentials=lambda party: read_credentials(credentials / party),
        data={member.name: _host_path(running.data / member.name) for member in federation.members},
        listening=_listening(running),
    )


def _public_keys(running: Running) -> dict[str, dict[str, bytes]]:
    mounts = {parts.HUB: TRANSIT_MOUNT} | {one.name: one.transit_mount for one in running.federation.members}
    root = str(administrator(running).token)
    client = VaultClient(VaultSettings(address=services(running).vault, role="administrator"), token=root)
    return {party: client.public_keys(mount, IDENTITY_KEY) for party, mount in mounts.items()}


def _host_path(directory: Path) -> Manifest:
    return {"hostPath": {"path": str(directory), "type": "Directory"}}


def _listening(running: Running) -> dict[str, Listening]:
    """Each operator's port, chosen once: another one would restart the operator."""
    file = running.cluster.directory / "operators.json"
    names = [parts.HUB, *(member.name for member in running.federation.members)]
    ports: Mapping[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else free_ports(names)
    file.write_text(json.dumps(ports, indent=2), encoding="utf-8")
    return {name: Listening(host=LOOPBACK, port=ports[name]) for name in names}


async def _operators_ready(api: Applier, wanted: list[Manifest]) -> None:
    waiting = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in wanted}
    try:
        async with asyncio.timeout(OPERATORS_READY_SECONDS):
            while waiting:
                waiting = {one for one in waiting if not _available(await api.get(DEPLOYMENT, *one))}
                await asyncio.sleep(_POLL_SECONDS if waiting else 0)
    except TimeoutError:
        names = ", ".join(f"{namespace}/{name}" for namespace, name in sorted(waiting))
        raise NotStarted(
            f"not ready after {OPERATORS_READY_SECONDS:g} s: {names}; see the pods' logs, in node/pods of the state"
        ) from None


def _available(deployment: dict[str, Any] | None) -> bool:
    if deployment is None:
        return False
    status = deployment.get("status") or {}
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == status.get("availableReplicas") == deployment["spec"]["replicas"]
    )
