"""What an organization does: train by its own template, mask by our Jobs, and write down what it reveals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedsnap.api.sharingpolicy import Requirements
from fedsnap.builders import jobs as build
from fedsnap.builders import names
from fedsnap.clients.errors import Misconfigured
from fedsnap.formats.control import Plan
from fedsnap.formats.paths import RoundPaths
from fedsnap.formats.signed import Signed
from fedsnap.jobs.masking import federation_of
from fedsnap.jobs.tasks import (
    CohortLimits,
    FetchTask,
    MaskingTask,
    MaskTask,
    ResealTask,
    RevealedCohort,
    SealTask,
    ShareTask,
    UnmaskTask,
)
from fedsnap.reconcilers.actions import CreateObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.participation.observed import Observed
from fedsnap.secagg.masking.cohort import HARD_LEAST_HONEST, HARD_LEAST_MEMBERS
from fedsnap.secagg.masking.files import Survivors

REVEALED_FILE = "revealed.json"
# No stage takes longer than this by itself; what a hub allows may be more.
_LONGEST = timedelta(hours=1)
# What answering takes after the wait for others.
_ANSWER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StartTraining:
    """Create one attempt's Job and the ConfigMap that holds its tasks."""

    observed: Observed
    plan: Plan
    template: str
    attempt: int
    now: datetime

    @property
    def name(self) -> str:
        """The Job's name."""
        return _job_name(self.observed, "reseal" if self.observed.can_reseal else "train", self.attempt)

    def describe(self) -> str:
        """The Job that is created."""
        return f"create Job {self.name}"

    async def apply(self, context: Context) -> None:
        """Create both objects, unless they are there."""
        deadline = self.plan.train_by - self.now
        identity = _identity(self.observed, context, self.name, "train", self.attempt, deadline)
        if self.observed.can_reseal:
            tasks = {"reseal.json": ResealTask(**self._sealing(context)).to_json()}
            job = build.stage_job(identity, image=context.image, module="reseal")
        else:
            tasks = {
                "fetch.json": self._fetch(context).to_json(),
                "seal.json": SealTask(**self._sealing(context)).to_json(),
            }
            job = self._train_job(context, identity)
        for obj in (build.tasks_config_map(identity, tasks), job):
            await CreateObject(obj).apply(context)

    def _train_job(self, context: Context, identity: build.JobIdentity) -> build.Object:
        return build.train_job(
            identity,
            template=self.observed.templates[self.template],
            image=context.image,
            trainer={
                "seed": self.plan.seed,
                "round_number": self.plan.round,
                "hyperparameters": self.plan.hyperparameters.to_wire(),
            },
        )

    def _fetch(self, context: Context) -> FetchTask:
        if context.hub_vault_settings is None:
            raise Misconfigured("VaultNotConfigured", "no Vault that holds the model's key; give --hub-vault-address")
        return FetchTask(vault=context.hub_vault_settings, **_round(self.observed, context))

    def _sealing(self, context: Context) -> dict[str, Any]:
        return {"train_attempt": self.attempt, **_own_keys(context), **_round(self.observed, context)}


@dataclass(frozen=True, slots=True)
class StartMasking:
    """Create one attempt's Job of a stage after training, and the ConfigMap that holds its task."""

    observed: Observed
    plan: Plan
    stage: str
    requires: Requirements
    attempt: int
    now: datetime

    @property
    def name(self) -> str:
        """The Job's name."""
        return _job_name(self.observed, self.stage, self.attempt)

    def describe(self) -> str:
        """The Job that is created."""
        return f"create Job {self.name}"

    async def apply(self, context: Context) -> None:
        """Create both objects, unless they are there."""
        identity = _identity(self.observed, context, self.name, self.stage, self.attempt, self._remaining)
        task = self._task(context)
        job = build.stage_job(identity, image=context.image, module=self.stage)
        for obj in (build.tasks_config_map(identity, {f"{self.stage}.json": task.to_json()}), job):
            await CreateObject(obj).apply(context)

    @property
    def _remaining(self) -> timedelta:
        due = self.observed.participation.spec.stage_by
        return min(due - self.now, _LONGEST) if due else _LONGEST

    def _task(self, context: Context) -> MaskingTask:
        requires = self.requires
        common = {
            "organizations": self.observed.peers,
            "limits": CohortLimits(
                least_members=max(HARD_LEAST_MEMBERS, requires.min_participants),
                assumed_colluders=requires.assumed_colluders,
                least_honest=requires.min_honest,
                least_difference=max(HARD_LEAST_HONEST, requires.min_participants),
            ),
            "revealed": self.observed.revealed,
            **_own_keys(context),
            **_round(self.observed, context),
        }
        if self.stage == "share":
            return ShareTask(**common)
        if self.stage == "mask":
            return MaskTask(**common)
        if self.observed.survivors is None:
            raise AssertionError("nothing is revealed before the survivors were read and recorded")
        wait = max(1, int(self._remaining.total_seconds()) - _ANSWER_SECONDS)
        return UnmaskTask(survivors_digest=self.observed.survivors.digest, wait_s=wait, **common)


@dataclass(frozen=True, slots=True)
class RecordRevealed:
    """Write down, for good, for which survivors this organization answers in this attempt."""

    observed: Observed
    plan: Plan
    survivors: Signed[Survivors]

    @property
    def name(self) -> str:
        """The record's name."""
        spec = self.observed.participation.spec
        return names.revealed_name(spec.plan.digest, spec.round.name)

    def describe(self) -> str:
        """The record that is created."""
        return f"create ConfigMap {self.name}"

    async def apply(self, context: Context) -> None:
        """Create the record; one of other survivors is a conflict."""
        base = self.plan.base.content_root
        record = RevealedCohort(
            base_content_root=base,
            federation=federation_of(self.plan),
            round=self.plan.round,
            survivors=tuple(one.organization for one in self.survivors.value.members),
        )
        metadata = {
            "name": self.name,
            "namespace": context.namespace,
            "labels": {
                names.LABEL_MANAGED_BY: names.MANAGER,
                names.LABEL_MODEL: self.plan.model,
                names.LABEL_STAGE: names.STAGE_REVEALED,
                names.LABEL_BASE: names.base_label(base),
            },
            "annotations": {
                names.ANNOTATION_PLAN: self.observed.participation.spec.plan.digest,
                names.ANNOTATION_SURVIVORS: self.survivors.digest,
            },
        }
        await CreateObject(build.record_config_map(metadata, {REVEALED_FILE: record.to_json()})).apply(context)


def _job_name(observed: Observed, stage: str, attempt: int) -> str:
    spec = observed.participation.spec
    return names.member_job_name(spec.plan.digest, spec.round.name, spec.organization, stage, attempt)


def _identity(  # noqa: PLR0917  # all that makes a Job's identity
    observed: Observed, context: Context, name: str, stage: str, attempt: int, remaining: timedelta
) -> build.JobIdentity:
    one = observed.participation
    labels = {
        names.LABEL_MANAGED_BY: names.MANAGER,
        names.LABEL_MODEL: one.spec.model,
        names.LABEL_PARTICIPATION: one.metadata.name,
        names.LABEL_STAGE: stage,
    }
    return build.JobIdentity(
        name=name,
        namespace=context.namespace,
        labels=labels,
        attempt=attempt,
        deadline_s=int(remaining.total_seconds()),
        plan_digest=one.spec.plan.digest,
    )


def _round(observed: Observed, context: Context) -> dict[str, Any]:
    spec = observed.participation.spec
    paths = RoundPaths.of(spec.round.namespace, spec.model, spec.round.number, spec.round.attempt)
    return {
        "store": context.store_settings(spec.plan.bucket),
        "round_prefix": paths.prefix,
        "plan_digest": spec.plan.digest,
        "hub_keys": observed.hub_keys,
        "organization": context.organization,
    }


def _own_keys(context: Context) -> dict[str, Any]:
    if context.vault_settings is None:
        raise Misconfigured("VaultNotConfigured", "no own Vault; give --vault-address")
    return {"vault": context.vault_settings, "data_key": context.data_key, "identity_key": context.identity_key}
