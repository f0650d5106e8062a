"""Consent: whether an organization's own rules allow a round."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from fedsnap.api.sharingpolicy import Requirements, Rule, SharingPolicy

MAX_RULE = 127
_STRENGTH = {"Plain": 0, "Masked": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the hub asks for, as its signed plan says."""

    model: str
    image: str
    secure_aggregation: str
    quorum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The decision, the rule that decided as `<policy>/<rule>`, and why, in words."""

    allowed: bool
    reason: str
    message: str
    rule: str = ""
    template: str = ""
    requires: Requirements = field(default_factory=Requirements)


def decide(policies: list[SharingPolicy], request: Request, now: datetime) -> Consent:
    """The first rule that matches model and image decides; no match refuses.

    Policies are read in name order, rules in their own order.
    """
    if not policies:
        return _refused("NoSharingPolicy", "this organization has no SharingPolicy; apply one to take part")
    for policy in sorted(policies, key=lambda one: one.metadata.name):
        if policy.spec.suspend:
            return _refused("PolicySuspended", f"SharingPolicy {policy.metadata.name} is suspended")
        for rule in policy.spec.rules:
            if _names(rule, request):
                decided = _apply(rule, request, now)
                return replace(decided, rule=rule_id(policy.metadata.name, rule.name))
    return _refused(
        "NoMatchingRule", f"no rule names model {request.model!r} with image {request.image!r}; add one to allow it"
    )


def rule_id(policy: str, rule: str) -> str:
    """How decisions name a rule; a policy's name may be longer than a status holds."""
    return f"{policy}/{rule}"[:MAX_RULE]


def _names(rule: Rule, request: Request) -> bool:
    return any(fnmatchcase(request.model, pattern) for pattern in rule.models) and any(
        fnmatchcase(request.image, pattern) for pattern in rule.images
    )


def _apply(rule: Rule, request: Request, now: datetime) -> Consent:
    for check in (_expired, _weak_aggregation, _small_cohort, _few_honest):
        refusal = check(rule, request, now)
        if refusal:
            return refusal
    return Consent(
        allowed=True,
        reason="Allowed",
        message=f"rule {rule.name} allows it until {rule.expires:%Y-%m-%d %H:%M}Z",
        template=rule.template,
        requires=rule.requires,
    )


def _expired(rule: Rule, _request: Request, now: datetime) -> Consent | None:
    if now < rule.expires:
        return None
    return _refused("RuleExpired", f"rule {rule.name} expired at {rule.expires:%Y-%m-%dT%H:%M:%SZ}")


def _weak_aggregation(rule: Rule, request: Request, _now: datetime) -> Consent | None:
    wanted = rule.requires.secure_aggregation
    if _STRENGTH.get(request.secure_aggregation, -1) >= _STRENGTH[wanted]:
        return None
    return _refused(
        "SecureAggregationRequired",
        f"rule {rule.name} requires secureAggregation {wanted}, the round offers {request.secure_aggregation}",
    )


def _small_cohort(rule: Rule, request: Request, _now: datetime) -> Consent | None:
    least = rule.requires.min_participants
    if request.quorum >= least:
        return None
    return _refused(
        "TooFewParticipants",
        f"rule {rule.name} requires at least {least} participants, the round's quorum is {request.quorum}",
    )


def _few_honest(rule: Rule, request: Request, _now: datetime) -> Consent | None:
    """Masked: a sum of the least members that the round may end with still hides each of them."""
    colluders, honest = rule.requires.assumed_colluders, rule.requires.min_honest
    if request.secure_aggregation != "Masked" or request.quorum >= colluders + honest:
        return None
    return _refused(
        "TooFewHonest",
        f"rule {rule.name} assumes {colluders} colluders and wants {honest} honest members, the round's quorum is "
        f"{request.quorum}; it must be at least {colluders + honest}",
    )


def _refused(reason: str, message: str) -> Consent:
    return Consent(allowed=False, reason=reason, message=message)
