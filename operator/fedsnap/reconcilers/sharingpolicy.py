"""SharingPolicy: how an organization's rules were used, told from the Participations that exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fedsnap.api.participation import Participation
from fedsnap.api.schema import Condition
from fedsnap.api.sharingpolicy import Rule, RuleStatus, SharingPolicy, SharingPolicyStatus
from fedsnap.clients.cluster import of_kind
from fedsnap.policies.sharing import rule_id
from fedsnap.reconcilers.actions import Action
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.loop import Key, Plan

READY = "Ready"
_MAX_DECISION = 128
# Decisions are made in the hub's objects, whose events do not lead here.
LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Observed:
    """A policy and all Participations that the hub keeps for this organization."""

    policy: SharingPolicy
    participations: list[Participation]


@dataclass(frozen=True, slots=True)
class PolicyReconciler:
    """How a participant reconciles its own policies: it only reports."""

    context: Context
    kind: str = SharingPolicy.RESOURCE.kind
    resource = of_kind(SharingPolicy)
    in_hub: bool = False

    async def gather(self, raw: dict[str, Any], now: datetime) -> Observed:  # noqa: ARG002  # a name of the protocol
        """The policy and what it was asked."""
        found = await self.context.hub.list(of_kind(Participation), self.context.hub_namespace)
        return Observed(SharingPolicy.model_validate(raw), [Participation.model_validate(one) for one in found])

    def decide(self, observed: Observed, now: datetime) -> Plan:
        """Nothing but a status."""
        return decide(observed, now)

    async def leftovers(self, key: Key) -> tuple[Action, ...]:  # noqa: ARG002  # a name of the protocol
        """Nothing is made for a policy."""
        return ()


def decide(observed: Observed, now: datetime) -> Plan:
    """Each rule's use, and whether the policy allows anything at all."""
    name = observed.policy.metadata.name
    rules = [_rule_status(name, rule, observed.participations) for rule in observed.policy.spec.rules]
    status = SharingPolicyStatus(rules=rules, conditions=[_ready(observed.policy, now)])
    return Plan(status=status.to_wire(), requeue_after=LOOK_AGAIN)


def _rule_status(policy: str, rule: Rule, participations: list[Participation]) -> RuleStatus:
    decided = [one for one in participations if one.status.rule == rule_id(policy, rule.name) and one.status.decision]
    latest = max(decided, key=_asked, default=None)
    return RuleStatus(
        name=rule.name,
        rounds_allowed=sum(one.status.decision == "Accepted" for one in decided),
        last_decision=f"{latest.status.decision}: {latest.metadata.name}"[:_MAX_DECISION] if latest else "",
        last_decision_time=latest.metadata.creation_timestamp if latest else None,
    )


def _asked(one: Participation) -> tuple[datetime, str]:
    return one.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC), one.metadata.name


def _ready(policy: SharingPolicy, now: datetime) -> Condition:
    if policy.spec.suspend:
        return Condition(
            type=READY, status="False", reason="Suspended", message="spec.suspend is true: nothing is shared"
        )
    expired = [rule.name for rule in policy.spec.rules if rule.expires <= now]
    if len(expired) == len(policy.spec.rules):
        return Condition(type=READY, status="False", reason="RulesExpired", message="every rule has expired")
    message = f"expired: {', '.join(expired)}" if expired else ""
    return Condition(type=READY, status="True", reason="InForce", message=message[:2048])
