"""Pure: the plan, roster and Participations that an observed round leads to."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, TypeVar

from fedsnap.api.federatedround import FINISHED
from fedsnap.api.participation import BaseKey, ParticipationSpec, PlanReference, RoundReference, Stage
from fedsnap.api.schema import find_condition, parse_duration
from fedsnap.builders import names, objects
from fedsnap.formats.control import (
    MAX_SHARDS,
    Aggregator,
    BaseSnapshot,
    EarlierAttempt,
    Excluded,
    Plan,
    Roster,
    RosterMember,
)
from fedsnap.formats.digests import digest_bytes
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.federatedround.exclusions import exclusions
from fedsnap.reconcilers.federatedround.observed import Observed, in_training
from fedsnap.secagg.encoding import scale_exponent

T = TypeVar("T")
# A shard's sums take up to four times the bytes of its weights, and one object of the store holds 5 GiB.
_SHARD_BYTES = 1024**3
_NO_REPLY = (say.DEADLINE_EXCEEDED, "no valid update before the deadline")


def make_plan(observed: Observed, aggregator: Aggregator, now: datetime) -> Plan:
    """The plan of this attempt; its deadlines are absolute, by the coordinator's clock."""
    one, model, base = observed.round, _present(observed.model), _present(observed.base)
    spec = one.spec
    accept_by = now + parse_duration(spec.deadlines.accept)
    return Plan(
        namespace=one.metadata.namespace,
        model=spec.model_ref.name,
        round=spec.number,
        attempt=observed.attempt,
        organizations=tuple(sorted(spec.participants.organizations)),
        quorum=spec.participants.quorum,
        image=model.spec.architecture.image,
        secure_aggregation=spec.privacy.secure_aggregation,
        retries=spec.stragglers.retries,
        clip_norm=spec.privacy.clip_norm,
        scale_exponent=scale_exponent(len(spec.participants.organizations), spec.privacy.clip_norm),
        seed=round_seed(base.spec.content_root, spec.number),
        accept_by=accept_by,
        train_by=accept_by + parse_duration(spec.deadlines.train),
        bucket=model.spec.publication.store.bucket,
        base=BaseSnapshot.of(base.spec),
        layout_digest=base.spec.layout_digest,
        coordinates=base.spec.coordinates,
        hyperparameters=spec.hyperparameters,
        aggregator=aggregator,
        reuses=_reusable(observed),
        shards=min(MAX_SHARDS, 1 + base.spec.plaintext_size // _SHARD_BYTES),
    )


def _reusable(observed: Observed) -> EarlierAttempt | None:
    """The attempt before, where too many members left it after training: their updates need no second training."""
    status, previous = observed.round.status, observed.previous
    finished = find_condition(status.conditions, FINISHED)
    if previous is None or finished is None or status.attempt != previous.plan.attempt:
        return None
    if finished.reason != say.THRESHOLD_NOT_REACHED:
        return None
    return EarlierAttempt(attempt=previous.plan.attempt, plan_digest=previous.digest)


def round_seed(content_root: str, number: int) -> int:
    """Seed of a round's training, 48 bits: it follows from what is trained, so that the round can be trained again."""
    digest = hashlib.sha256(b"fedsnap/seed/v1\0" + digest_bytes(content_root) + number.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:6], "big")


def _present(found: T | None) -> T:
    if found is None:
        raise AssertionError("the step `references` lets no round pass without it")
    return found


def participation(
    observed: Observed, organization: str, stage: Stage, *, stage_by: datetime | None = None, suspend: bool
) -> dict[str, Any]:
    """The Participation of one organization as the hub wants it now."""
    stored = _present(observed.plan)
    plan: Plan = stored.plan
    namespace, name = observed.round.key
    spec = ParticipationSpec(
        organization=organization,
        model=plan.model,
        round=RoundReference(namespace=namespace, name=name, number=plan.round, attempt=plan.attempt),
        plan=PlanReference(bucket=plan.bucket, path=stored.path, digest=stored.digest),
        base=BaseKey(
            vault_mount=plan.base.vault_mount, vault_key=plan.base.vault_key, key_version=plan.base.key_version
        ),
        image=plan.image,
        secure_aggregation=plan.secure_aggregation,
        invited=len(plan.organizations),
        quorum=plan.quorum,
        hyperparameters=plan.hyperparameters,
        retries=plan.retries,
        accept_by=plan.accept_by,
        train_by=plan.train_by,
        stage=stage,
        stage_by=stage_by,
        suspend=suspend,
    )
    invited = observed.participations.get(organization)
    mailbox = invited.metadata.namespace if invited else observed.organizations[organization].spec.namespace
    return objects.participation(names.participation_name(namespace, name, plan.attempt), mailbox, spec)


def make_roster(observed: Observed) -> Roster:
    """Valid commits, and why the others are not among them."""
    stored, out = _present(observed.plan), exclusions(observed)
    valid = {
        name: observed.commits[name]
        for name in in_training(observed.participations)
        if name in observed.commits and observed.commits[name].refusal is None
    }
    excluded = [(name, *out.get(name, _NO_REPLY)) for name in stored.plan.organizations if name not in valid]
    return Roster(
        plan_digest=stored.digest,
        members=tuple(
            RosterMember(organization=name, commit_digest=commit.digest) for name, commit in sorted(valid.items())
        ),
        excluded=tuple(
            Excluded(organization=name, reason=reason[:128], message=message[:1024])
            for name, reason, message in excluded
        ),
    )
