"""What an organization does: start one training Job from its own template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fedsnap.builders import jobs as build
from fedsnap.builders import names
from fedsnap.clients.errors import Misconfigured
from fedsnap.formats.control import Plan
from fedsnap.formats.paths import RoundPaths
from fedsnap.jobs.tasks import FetchTask, SealTask
from fedsnap.reconcilers.actions import CreateObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.participation.observed import Observed


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
        one = self.observed.participation
        return names.member_job_name(
            one.spec.plan.digest, one.spec.round.name, one.spec.organization, "train", self.attempt
        )

    def describe(self) -> str:
        """The Job that is created."""
        return f"create Job {self.name}"

    async def apply(self, context: Context) -> None:
        """Create both objects, unless they are there."""
        identity = self._identity(context)
        tasks = {"fetch.json": self._fetch(context).to_json(), "seal.json": self._seal(context).to_json()}
        job = build.train_job(
            identity,
            template=self.observed.templates[self.template],
            image=context.image,
            trainer={
                "seed": self.plan.seed,
                "round_number": self.plan.round,
                "hyperparameters": self.plan.hyperparameters.to_wire(),
            },
        )
        for obj in (build.tasks_config_map(identity, tasks), job):
            await CreateObject(obj).apply(context)

    def _identity(self, context: Context) -> build.JobIdentity:
        one = self.observed.participation
        labels = {
            names.LABEL_MANAGED_BY: names.MANAGER,
            names.LABEL_MODEL: one.spec.model,
            names.LABEL_PARTICIPATION: one.metadata.name,
            names.LABEL_STAGE: "train",
        }
        return build.JobIdentity(
            name=self.name,
            namespace=context.namespace,
            labels=labels,
            attempt=self.attempt,
            deadline_s=int((self.plan.train_by - self.now).total_seconds()),
            plan_digest=one.spec.plan.digest,
        )

    def _round(self, context: Context) -> dict[str, Any]:
        reference = self.observed.participation.spec.round
        paths = RoundPaths.of(reference.namespace, self.plan.model, reference.number, reference.attempt)
        return {
            "store": context.store_settings(self.observed.participation.spec.plan.bucket),
            "round_prefix": paths.prefix,
            "plan_digest": self.observed.participation.spec.plan.digest,
            "hub_keys": self.observed.hub_keys,
            "organization": context.organization,
        }

    def _fetch(self, context: Context) -> FetchTask:
        if context.hub_vault_settings is None:
            raise Misconfigured("VaultNotConfigured", "no Vault that holds the model's key; give --hub-vault-address")
        return FetchTask(vault=context.hub_vault_settings, **self._round(context))

    def _seal(self, context: Context) -> SealTask:
        if context.vault_settings is None:
            raise Misconfigured("VaultNotConfigured", "no own Vault; give --vault-address")
        return SealTask(
            vault=context.vault_settings,
            train_attempt=self.attempt,
            data_key=context.data_key,
            identity_key=context.identity_key,
            **self._round(context),
        )
