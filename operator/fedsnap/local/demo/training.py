"""Apply the model and follow its training to the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import yaml

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.clients.cluster import ClusterClient, of_kind
from fedsnap.clients.errors import Unavailable
from fedsnap.local.demo.progress import Progress, Row, reasons, rows
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.federation.apply import applier
from fedsnap.local.federation.layout import Federation

TIMEOUT_SECONDS = 900.0
_POLL_SECONDS = 0.5
_MODEL, _ROUND, _SNAPSHOT = of_kind(SharedModel), of_kind(FederatedRound), of_kind(ModelSnapshot)


class TrainingFailed(LocalClusterError):  # noqa: N818  # read as an answer
    """The model was not trained; the message holds what conditions say."""


async def apply_model(kubeconfig: Path, manifest: str, rounds: int | None = None) -> None:
    """What `kubectl apply --server-side -f` does; `rounds` overrides how many the manifest wants."""
    objects = list(yaml.safe_load_all(manifest))
    for one in objects:
        if rounds is not None and one["kind"] == _MODEL.kind:
            one["spec"]["training"]["rounds"] = rounds
    async with applier(kubeconfig) as api:
        await api.apply(objects)


async def follow(kubeconfig: Path, federation: Federation, show: Callable[[list[Row]], None]) -> ModelSnapshot:
    """Show progress until the last round is finished; returns the last snapshot.

    Raises:
        TrainingFailed: where a round failed, or time ran out.
    """
    async with await ClusterClient.connect(kubeconfig) as client:
        progress = await _finished(client, federation, show)
        name = progress.model.status.latest_snapshot
        raw = await client.get(_SNAPSHOT, federation.model_namespace, name) if name else None
    if raw is None:
        raise TrainingFailed(f"SharedModel {federation.model} is ready, but its ModelSnapshot {name} is not there")
    return ModelSnapshot.model_validate(raw)


async def _finished(client: ClusterClient, federation: Federation, show: Callable[[list[Row]], None]) -> Progress:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        progress = await _progress(client, federation)
        if progress is not None:
            show(rows(progress, datetime.now(UTC)))
            if progress.verdict == "Trained":
                return progress
            if progress.verdict == "Failed":
                raise TrainingFailed("training failed:\n" + "\n".join(reasons(progress)))
            if time.monotonic() > deadline:
                said = "\n".join(reasons(progress))
                raise TrainingFailed(f"not trained after {TIMEOUT_SECONDS:g} s; conditions say:\n{said}")
        await asyncio.sleep(_POLL_SECONDS)


async def _progress(client: ClusterClient, federation: Federation) -> Progress | None:
    try:
        model = await client.get(_MODEL, federation.model_namespace, federation.model)
        rounds = await client.list(_ROUND, federation.model_namespace)
    except Unavailable:
        return None
    if model is None:
        raise TrainingFailed(f"SharedModel {federation.model} in {federation.model_namespace} is gone")
    return Progress(SharedModel.model_validate(model), [FederatedRound.model_validate(one) for one in rounds])
