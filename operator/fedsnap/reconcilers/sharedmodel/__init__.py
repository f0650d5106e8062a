"""SharedModel: first weights, then rounds one after another until as many are finished as are wanted."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.builders import names
from fedsnap.builders.jobs import owner_reference
from fedsnap.clients.cluster import POD_TEMPLATE, of_kind
from fedsnap.clients.errors import NotFound, PermissionDenied
from fedsnap.clients.vault import KeyInfo
from fedsnap.formats.paths import SnapshotPaths
from fedsnap.reconcilers.actions import Action
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.controlfiles import required
from fedsnap.reconcilers.jobstate import read_jobs
from fedsnap.reconcilers.loop import Key, Plan
from fedsnap.reconcilers.sharedmodel.actions import INITIALIZE
from fedsnap.reconcilers.sharedmodel.decide import decide
from fedsnap.reconcilers.sharedmodel.observed import Observed, is_finished, latest_number

ROUND, SNAPSHOT = of_kind(FederatedRound), of_kind(ModelSnapshot)


@dataclass(frozen=True, slots=True)
class ModelReconciler:
    """How the coordinator reconciles models."""

    context: Context
    kind: str = SharedModel.RESOURCE.kind
    resource = of_kind(SharedModel)
    in_hub: bool = False

    async def gather(self, raw: dict[str, Any], now: datetime) -> Observed:  # noqa: ARG002  # a name of the protocol
        """The model with its key, rounds and snapshots."""
        model = SharedModel.model_validate(raw)
        namespace, name = model.key
        cluster = self.context.cluster
        labels = {names.LABEL_MODEL: name}
        published, initial, jobs, template = await asyncio.gather(
            cluster.list(SNAPSHOT, namespace, labels),
            self._initial(model),
            read_jobs(cluster, namespace, labels | {names.LABEL_STAGE: INITIALIZE}),
            self._template(model),
        )
        snapshots = {one.spec.round: one for one in map(ModelSnapshot.model_validate, published)}
        key, problem = await self._key(model)
        if not snapshots:
            await self._expect_store(model)
        return Observed(
            model=model,
            owner=owner_reference(raw),
            key=key,
            key_problem=problem,
            snapshots=snapshots,
            initial=initial,
            current=await self._current(model, latest_number(snapshots, initial) or 0),
            template=template,
            jobs=tuple(jobs),
        )

    async def _current(self, model: SharedModel, latest: int) -> FederatedRound | None:
        last = await self._round(model, latest) if latest else None
        return last if last and not is_finished(last) else await self._round(model, latest + 1)

    async def _round(self, model: SharedModel, number: int) -> FederatedRound | None:
        namespace, name = model.key
        raw = await self.context.cluster.get(ROUND, namespace, names.round_name(name, number))
        return FederatedRound.model_validate(raw) if raw else None

    async def _initial(self, model: SharedModel) -> ModelSnapshot | None:
        wanted = model.spec.initial_snapshot
        raw = await self.context.cluster.get(SNAPSHOT, model.metadata.namespace, wanted.name) if wanted else None
        return ModelSnapshot.model_validate(raw) if raw else None

    async def _expect_store(self, model: SharedModel) -> None:
        """Before the first weights: a store that cannot be reached is said here, not by Jobs that fail one by one.

        Raises:
            ClientError: where it cannot be read.
        """
        destination = model.spec.publication.store
        path = SnapshotPaths.of(destination.prefix, 0, 1).record
        with contextlib.suppress(NotFound):
            await asyncio.to_thread(self.context.store(destination.bucket).head, path)

    async def _template(self, model: SharedModel) -> dict[str, Any] | None:
        initialization = model.spec.initialization
        if initialization is None:
            return None
        raw = await self.context.cluster.get(POD_TEMPLATE, model.metadata.namespace, initialization.template)
        return (raw.get("template") or {}) if raw else None

    async def _key(self, model: SharedModel) -> tuple[KeyInfo | None, str]:
        vault, key = required(self.context.vault), model.spec.keys.vault
        try:
            return await asyncio.to_thread(vault.key_info, key.mount, key.key), ""
        except (NotFound, PermissionDenied) as error:
            return None, error.message

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """What it needs next."""
        return decide(observed, now)

    async def leftovers(self, key: Key) -> tuple[Action, ...]:  # noqa: ARG002  # a name of the protocol
        """Rounds and Jobs follow the model by their ownerReferences; snapshots stay."""
        return ()
