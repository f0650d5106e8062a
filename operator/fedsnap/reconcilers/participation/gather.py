"""Everything that an organization's decision needs, read once: mailbox, plan, own policies, templates and Jobs."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fedsnap.api.organization import IdentityKey, Organization
from fedsnap.api.participation import BaseKey, Participation, stage_report
from fedsnap.api.sharingpolicy import SharingPolicy
from fedsnap.builders import names
from fedsnap.clients.cluster import CONFIG_MAP, NODE, POD_TEMPLATE, of_kind
from fedsnap.clients.errors import NotFound, PermissionDenied
from fedsnap.formats.control import Plan
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import Signed
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.tasks import RevealedCohort
from fedsnap.policies import sharing
from fedsnap.policies.preflight import KeyState
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.controlfiles import identity_keys, read_signed, required
from fedsnap.reconcilers.failures import Waiting
from fedsnap.reconcilers.jobstate import SeenJob, read_jobs
from fedsnap.reconcilers.participation import masking
from fedsnap.reconcilers.participation.actions import REVEALED_FILE
from fedsnap.reconcilers.participation.observed import Observed
from fedsnap.secagg.masking.files import Survivors

POLICY, ORGANIZATION = of_kind(SharingPolicy), of_kind(Organization)


@dataclass(frozen=True, slots=True)
class Gathering:
    """One read of all that belongs to an organization's part in a round."""

    context: Context
    participation: Participation
    now: datetime

    async def observed(self) -> Observed:
        """The mailbox and what this organization knows.

        Raises:
            ClientError: where something cannot be asked.
        """
        one = self.participation
        labels = {names.LABEL_PARTICIPATION: one.metadata.name}
        jobs = tuple(await read_jobs(self.context.cluster, self.context.namespace, labels))
        found = Observed(participation=one, hub_keys=self._hub_keys(), jobs=jobs)
        # Once a Job runs, neither store nor Vault nor templates are needed to watch it.
        if self._nothing_to_start(found):
            return found
        plan, refusal = await self._plan(found)
        policies, templates = await asyncio.gather(self._policies(), self._templates())
        found = replace(found, plan=plan, plan_refusal=refusal, policies=policies, templates=templates)
        if one.spec.stage in masking.STAGES:
            return await self._with_peers(found)
        return replace(
            found,
            can_reseal=await self._can_reseal(plan) if plan else False,
            allocatable=await self._allocatable(),
            key=await self._key(plan) if plan and self._is_consented(found, plan, policies) else None,
        )

    def _nothing_to_start(self, found: Observed) -> bool:
        one = self.participation
        closed = one.being_deleted or one.spec.stage in ("Closed", "Aborted")
        if closed or one.status.decision == "Refused" or one.status.outcome == "Failed":
            return True
        stage = masking.STAGES.get(one.spec.stage)
        if one.status.outcome == "Succeeded":
            return stage is None or bool(stage_report(one.status, stage.name)) or _is_busy(found.jobs_of(stage.job))
        waiting = one.status.decision == "Accepted" and one.spec.stage == "Invited"
        return waiting or _is_busy(found.jobs_of("train"))

    async def _can_reseal(self, plan: Plan) -> bool:
        if plan.reuses is None:
            return False
        earlier = RoundPaths.of(plan.namespace, plan.model, plan.round, plan.reuses.attempt)
        try:
            path = earlier.commit(self.context.organization)
            await asyncio.to_thread(self.context.store(plan.bucket).head, path)
        except NotFound:
            return False
        return True

    async def _with_peers(self, found: Observed) -> Observed:
        """What the stages after training need beside plan and policies."""
        if found.plan is None:
            return found
        peers, records = await asyncio.gather(self._peers(), self._records(found.plan))
        own = records.pop(self.participation.spec.plan.digest, None)
        return replace(
            found,
            peers=peers,
            revealed=tuple(RevealedCohort.model_validate_json(raw["data"][REVEALED_FILE]) for raw in records.values()),
            answers_for=own["metadata"]["annotations"][names.ANNOTATION_SURVIVORS] if own else None,
            survivors=await self._survivors(found),
        )

    async def _peers(self) -> dict[str, tuple[IdentityKey, ...]]:
        """Keys that this organization's own cluster pins: what the hub says of its members' keys is not asked."""
        raws = await self.context.cluster.list(ORGANIZATION)
        found = [Organization.model_validate(raw) for raw in raws]
        return {one.metadata.name: tuple(one.spec.identity_keys) for one in found if one.spec.identity_keys}

    async def _records(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """What this organization wrote down that it reveals on this base, by plan."""
        labels = {
            names.LABEL_STAGE: names.STAGE_REVEALED,
            names.LABEL_BASE: names.base_label(plan.base.content_root),
        }
        raws = await self.context.cluster.list(CONFIG_MAP, self.context.namespace, labels)
        return {raw["metadata"]["annotations"][names.ANNOTATION_PLAN]: raw for raw in raws}

    async def _survivors(self, found: Observed) -> Signed[Survivors] | None:
        spec = self.participation.spec
        if spec.stage != "Unmasking":
            return None
        paths = RoundPaths.of(spec.round.namespace, spec.model, spec.round.number, spec.round.attempt)
        store = self.context.store(spec.plan.bucket)
        return await read_signed(Survivors, store, paths.survivors, found.hub_keys, self.now)

    def _is_consented(self, found: Observed, plan: Plan, policies: list[SharingPolicy]) -> bool:
        """Whether Vault is asked: only about the model of an invitation that the own policies allow."""
        unanswered = self.participation.status.decision is None
        return unanswered and sharing.decide(policies, found.request(plan), self.now).allowed

    def _hub_keys(self) -> Any:  # noqa: ANN401
        return identity_keys({name: base64.b64decode(key) for name, key in self.context.hub_public_keys.items()})

    async def _plan(self, found: Observed) -> tuple[Plan | None, tuple[str, str] | None]:
        """The hub's signed plan; the mailbox is believed only as far as it agrees with it."""
        spec = self.participation.spec
        if spec.organization != self.context.organization:
            return None, ("NotAddressed", f"this Participation is for {spec.organization!r}, not for this organization")
        name = names.participation_name(spec.round.namespace, spec.round.name, spec.round.attempt)
        if self.participation.metadata.name != name:
            return None, (
                "NameMismatch",
                f"expected this Participation to be named {name!r}; the hub must make it anew",
            )
        expected = RoundPaths.of(spec.round.namespace, spec.model, spec.round.number, spec.round.attempt)
        if spec.plan.path != expected.plan:
            return None, ("PlanMismatch", f"expected the plan at {expected.plan}, the hub names {spec.plan.path}")
        try:
            signed = await read_signed(
                Plan, self.context.store(spec.plan.bucket), spec.plan.path, found.hub_keys, self.now
            )
        except Refused as error:
            return None, (error.reason, error.message)
        if signed is None:
            raise Waiting("PlanNotFound", f"no plan at {spec.plan.path} yet")
        problem = _contradiction(self.participation, signed.value, signed.digest)
        return (None, ("PlanMismatch", problem)) if problem else (signed.value, None)

    async def _policies(self) -> list[SharingPolicy]:
        raws = await self.context.cluster.list(POLICY, self.context.namespace)
        return [SharingPolicy.model_validate(raw) for raw in raws]

    async def _templates(self) -> dict[str, dict[str, Any]]:
        raws = await self.context.cluster.list(POD_TEMPLATE, self.context.namespace)
        return {raw["metadata"]["name"]: raw.get("template") or {} for raw in raws}

    async def _allocatable(self) -> tuple[dict[str, str], ...] | None:
        try:
            nodes = await self.context.cluster.list(NODE)
        except PermissionDenied:
            return None
        return tuple((node.get("status") or {}).get("allocatable") or {} for node in nodes)

    async def _key(self, plan: Plan) -> KeyState | None:
        vault = required(self.context.hub_vault, "the hub's Vault")
        mount, name = plan.base.vault_mount, plan.base.vault_key
        try:
            info = await asyncio.to_thread(vault.key_info, mount, name)
        except (NotFound, PermissionDenied):
            return None
        return KeyState(
            name=f"{mount}/{name}",
            latest_version=info.latest_version,
            oldest_usable_version=info.min_decryption_version,
        )


def _is_busy(jobs: tuple[SeenJob, ...]) -> bool:
    return any(job.active or job.result.succeeded for job in jobs)


def _base_key(plan: Plan) -> BaseKey:
    base = plan.base
    return BaseKey(vault_mount=base.vault_mount, vault_key=base.vault_key, key_version=base.key_version)


def _contradiction(one: Participation, plan: Plan, digest: str) -> str:
    """The first thing that the mailbox says otherwise than the signed plan; empty where they agree."""
    spec = one.spec
    pairs = {
        "plan digest": (digest, spec.plan.digest),
        "model": (plan.model, spec.model),
        "namespace": (plan.namespace, spec.round.namespace),
        "round": (plan.round, spec.round.number),
        "attempt": (plan.attempt, spec.round.attempt),
        "image": (plan.image, spec.image),
        "quorum": (plan.quorum, spec.quorum),
        "secure aggregation": (plan.secure_aggregation, spec.secure_aggregation),
        "invited": (len(plan.organizations), spec.invited),
        "bucket": (plan.bucket, spec.plan.bucket),
        "round name": (names.round_name(plan.model, plan.round), spec.round.name),
        "accept by": (plan.accept_by, spec.accept_by),
        "train by": (plan.train_by, spec.train_by),
        "retries": (plan.retries, spec.retries),
        "hyperparameters": (plan.hyperparameters, spec.hyperparameters),
        "base key": (_base_key(plan), spec.base),
    }
    for name, (signed, said) in pairs.items():
        if signed != said:
            return f"the signed plan says {name} {signed!r}, the Participation says {said!r}"
    if spec.organization not in plan.organizations:
        return f"the signed plan does not invite {spec.organization!r}"
    return ""
