"""Everything that the decision about a round needs, read once: cluster, store and the hub's own keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import IdentityKey, Organization
from fedsnap.api.participation import Participation
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.builders import names
from fedsnap.builders.jobs import owner_reference
from fedsnap.clients.cluster import of_kind
from fedsnap.clients.store import Store
from fedsnap.formats.control import Plan, Roster
from fedsnap.formats.paths import RoundPaths
from fedsnap.jobs.tasks import CohortTask
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.controlfiles import own_public_keys, read_signed, required
from fedsnap.reconcilers.federatedround.actions import cohort_fields
from fedsnap.reconcilers.federatedround.commits import Commits
from fedsnap.reconcilers.federatedround.observed import Observed, StoredPlan
from fedsnap.reconcilers.federatedround.replies import Replies
from fedsnap.reconcilers.jobstate import read_jobs
from fedsnap.reconcilers.mailbox import mailbox

MODEL, ORGANIZATION = of_kind(SharedModel), of_kind(Organization)
PARTICIPATION, SNAPSHOT = of_kind(Participation), of_kind(ModelSnapshot)


@dataclass(frozen=True, slots=True)
class Gathering:
    """One read of all that belongs to a round."""

    context: Context
    raw: Mapping[str, Any]
    round: FederatedRound
    now: datetime

    async def observed(self) -> Observed:
        """The round as it is now.

        Raises:
            ClientError: where something cannot be asked, or is not what it must be.
        """
        model = await self._model()
        base, organizations, members, snapshot = await asyncio.gather(
            self._named_snapshot(self._base_name(model)),
            self._organizations(),
            self._participations(),
            self._named_snapshot(names.snapshot_name(self.round.spec.model_ref.name, self.round.spec.number)),
        )
        attempt = self.round.spec.retry + 1
        current = {one.spec.organization: one for one in members if one.spec.round.attempt == attempt}
        found = Observed(
            round=self.round,
            owner=owner_reference(self.raw),
            model=model,
            base=base,
            organizations=organizations,
            participations=current,
            earlier=tuple(one for one in members if one.spec.round.attempt != attempt),
            snapshot=snapshot,
        )
        return found if model is None or self.round.being_deleted else await self._with_files(found, model)

    async def _with_files(self, found: Observed, model: SharedModel) -> Observed:
        """Plan, roster and commits, each believed only after its signature was checked."""
        store = self.context.store(model.spec.publication.store.bucket)
        keys = await own_public_keys(required(self.context.vault), self.context.identity_key)
        plan = await read_signed(Plan, store, found.paths.plan, keys, self.now)
        if plan is None:
            return replace(found, hub_keys=keys, previous=await self._previous(found, store, keys))
        stored = StoredPlan(plan.value, plan.digest, found.paths.plan)
        roster = await read_signed(Roster, store, found.paths.roster, keys, self.now)
        found = replace(found, hub_keys=keys, plan=stored)
        if roster is None:
            return replace(found, commits=await Commits(store, found, stored, self.now).checked())
        found = replace(found, roster=roster.value, jobs=tuple(await self._jobs(found)))
        if not found.is_masked:
            return found
        task = CohortTask(**cohort_fields(self.context, found, stored))
        return replace(found, masking=await Replies.look(task, store, found))

    async def _previous(self, found: Observed, store: Store, keys: tuple[IdentityKey, ...]) -> StoredPlan | None:
        """The plan of the attempt before this one, whose updates may be used again."""
        if found.attempt == 1:
            return None
        namespace, _ = self.round.key
        spec = self.round.spec
        path = RoundPaths.of(namespace, spec.model_ref.name, spec.number, found.attempt - 1).plan
        signed = await read_signed(Plan, store, path, keys, self.now)
        return StoredPlan(signed.value, signed.digest, path) if signed else None

    async def _model(self) -> SharedModel | None:
        raw = await self.context.cluster.get(MODEL, self.namespace, self.round.spec.model_ref.name)
        return SharedModel.model_validate(raw) if raw else None

    def _base_name(self, model: SharedModel | None) -> str:
        """The snapshot that this round trains: that of the round before, or what the model starts from."""
        spec = self.round.spec
        if spec.number == 1 and model and model.spec.initial_snapshot:
            return model.spec.initial_snapshot.name
        return names.snapshot_name(spec.model_ref.name, spec.number - 1)

    async def _named_snapshot(self, name: str) -> ModelSnapshot | None:
        raw = await self.context.cluster.get(SNAPSHOT, self.namespace, name)
        return ModelSnapshot.model_validate(raw) if raw else None

    async def _organizations(self) -> dict[str, Organization]:
        wanted = set(self.round.spec.participants.organizations)
        found = [Organization.model_validate(raw) for raw in await self.context.cluster.list(ORGANIZATION)]
        return {one.metadata.name: one for one in found if one.metadata.name in wanted}

    async def _participations(self) -> list[Participation]:
        _, name = self.round.key
        labels = {names.LABEL_ROUND: name, names.LABEL_ROUND_NAMESPACE: self.namespace}
        return [mailbox(raw) for raw in await self.context.cluster.list(PARTICIPATION, None, labels)]

    async def _jobs(self, found: Observed) -> list[Any]:
        _, name = self.round.key
        labels = {names.LABEL_ROUND: name, names.LABEL_ROUND_ATTEMPT: str(found.attempt)}
        return await read_jobs(self.context.cluster, self.namespace, labels)

    @property
    def namespace(self) -> str:
        """The round's namespace."""
        return self.round.metadata.namespace
