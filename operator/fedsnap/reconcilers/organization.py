"""Organization: whether a member answers, seen from the heartbeats in its Participations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedsnap.api.organization import Organization, OrganizationStatus
from fedsnap.api.participation import Participation
from fedsnap.api.schema import Condition
from fedsnap.clients.cluster import of_kind
from fedsnap.reconcilers.actions import Action
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import Key, Plan
from fedsnap.reconcilers.mailbox import mailbox

CONNECTED = "Connected"
# Four heartbeats: one that is lost, or a restart, is no reason to worry anybody.
SILENT_AFTER = timedelta(minutes=2)
LOOK_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Observed:
    """A member and its mailbox."""

    organization: Organization
    participations: list[Participation]


@dataclass(frozen=True, slots=True)
class OrganizationReconciler:
    """How the coordinator reconciles members."""

    context: Context
    kind: str = Organization.RESOURCE.kind
    resource = of_kind(Organization)
    in_hub: bool = False

    async def gather(self, raw: dict[str, Any], now: datetime) -> Observed:  # noqa: ARG002  # a name of the protocol
        """The member and all its Participations."""
        organization = Organization.model_validate(raw)
        found = await self.context.cluster.list(of_kind(Participation), organization.spec.namespace)
        return Observed(organization, [mailbox(one) for one in found])

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """Nothing but a status."""
        return decide(observed, now)

    async def leftovers(self, key: Key) -> tuple[Action, ...]:  # noqa: ARG002  # a name of the protocol
        """Nothing is made for a member."""
        return ()


def decide(observed: Observed, now: datetime) -> Plan:
    """Connected while it answers, not where it is silent, and unknown while nobody asks it anything."""
    beats = [one.status.last_heartbeat_time for one in observed.participations if one.status.last_heartbeat_time]
    latest = max(beats, default=observed.organization.status.last_heartbeat_time)
    waiting = [one for one in observed.participations if _is_open(one)]
    status = OrganizationStatus(last_heartbeat_time=latest, conditions=[_connected(waiting, latest, now)])
    return Plan(status=status.to_wire(), requeue_after=LOOK_AGAIN if waiting else None)


def _is_open(one: Participation) -> bool:
    status = one.status
    answered = status.decision == "Refused" or status.outcome is not None
    return one.spec.stage not in ("Closed", "Aborted") and not answered


def _connected(waiting: list[Participation], latest: datetime | None, now: datetime) -> Condition:
    if not waiting:
        return Condition(type=CONNECTED, status="Unknown", reason="NothingAsked", message="no round waits for it")
    asked = min((one.metadata.creation_timestamp or now for one in waiting), default=now)
    heard = max(latest or asked, asked)
    if now - heard < SILENT_AFTER:
        return Condition(type=CONNECTED, status="True", reason="Heartbeat", message="it answers")
    names = ", ".join(sorted(one.metadata.name for one in waiting)[:5])
    message = f"nothing heard since {heard:%Y-%m-%dT%H:%M:%SZ}; waiting for it: {names}"
    return Condition(type=CONNECTED, status="False", reason="Silent", message=message)
