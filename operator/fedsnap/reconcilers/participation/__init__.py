"""Participation: an organization's part in a round, decided by its own policies and run by its own Jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedsnap.api.participation import Participation
from fedsnap.builders import names
from fedsnap.clients.cluster import CONFIG_MAP, JOB, of_kind
from fedsnap.reconcilers.actions import Action, DeleteObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import Key, Plan
from fedsnap.reconcilers.participation.decide import decide
from fedsnap.reconcilers.participation.gather import Gathering
from fedsnap.reconcilers.participation.observed import Observed


@dataclass(frozen=True, slots=True)
class ParticipationReconciler:
    """How a participant reconciles the mailbox that the hub keeps for it."""

    context: Context
    kind: str = Participation.RESOURCE.kind
    resource = of_kind(Participation)
    in_hub: bool = True

    async def gather(self, raw: dict[str, Any], now: datetime) -> Observed:
        """The mailbox and what this organization knows."""
        return await Gathering(self.context, Participation.model_validate(raw), now).observed()

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """What the organization does next."""
        return decide(observed, now, self.context.namespace)

    async def leftovers(self, key: Key) -> tuple[Action, ...]:
        """Jobs and tasks of a Participation that the hub deleted: nothing here is owned by it."""
        labels = {names.LABEL_PARTICIPATION: key.name}
        made = [
            (resource, raw["metadata"]["name"])
            for resource in (JOB, CONFIG_MAP)
            for raw in await self.context.cluster.list(resource, self.context.namespace, labels)
        ]
        return tuple(DeleteObject(resource, self.context.namespace, name) for resource, name in made)
