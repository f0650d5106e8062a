"""FederatedRound: a round from invitation to snapshot, as a function of which objects exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.clients.cluster import of_kind
from fedsnap.reconcilers.actions import Action
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.federatedround.decide import decide
from fedsnap.reconcilers.federatedround.gather import Gathering
from fedsnap.reconcilers.federatedround.observed import Observed
from fedsnap.reconcilers.loop import Key, Plan


@dataclass(frozen=True, slots=True)
class RoundReconciler:
    """How the coordinator reconciles rounds."""

    context: Context
    kind: str = FederatedRound.RESOURCE.kind
    resource = of_kind(FederatedRound)
    in_hub: bool = False

    async def gather(self, raw: dict[str, Any], now: datetime) -> Observed:
        """The round and all that belongs to it."""
        return await Gathering(self.context, raw, FederatedRound.model_validate(raw), now).observed()

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """What it does next."""
        return decide(observed, now)

    async def leftovers(self, key: Key) -> tuple[Action, ...]:  # noqa: ARG002  # a name of the protocol
        """Its Jobs follow it by their ownerReference, its Participations by the finalizer."""
        return ()
