"""What a round does in the store, in Vault and with Jobs. Each action, applied twice, has been applied once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedsnap.api.schema import parse_duration
from fedsnap.builders import jobs as build
from fedsnap.builders import names
from fedsnap.clients.errors import Conflict
from fedsnap.formats.contexts import round_key_context
from fedsnap.formats.control import Aggregator, Control
from fedsnap.formats.paths import SnapshotPaths
from fedsnap.formats.signed import sign_control
from fedsnap.jobs.tasks import AggregateTask, PublishTask, TransitKey
from fedsnap.reconcilers.actions import CreateObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.controlfiles import required
from fedsnap.reconcilers.federatedround.observed import AGGREGATE, Observed, StoredPlan
from fedsnap.reconcilers.federatedround.plan import make_plan


@dataclass(frozen=True, slots=True)
class WritePlan:
    """Make the round's HPKE key pair, wrap its private half, and store the signed plan; the first one counts."""

    observed: Observed
    now: datetime

    def describe(self) -> str:
        """Where the plan goes."""
        return f"write {self.observed.paths.plan}"

    async def apply(self, context: Context) -> None:
        """Write the plan, unless one is there."""
        vault, key = required(context.vault), context.data_key
        private = X25519PrivateKey.generate()
        wrapped = await asyncio.to_thread(
            vault.encrypt,
            key.mount,
            key.key,
            private.private_bytes_raw(),
            round_key_context(self.observed.paths.prefix),
        )
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode("ascii")
        aggregator = Aggregator(public_key=public, wrapped_private_key=wrapped)
        plan = make_plan(self.observed, aggregator, self.now)
        await _write_once(context, self.observed, self.observed.paths.plan, plan)


@dataclass(frozen=True, slots=True)
class WriteControl:
    """Store a signed control file; the first one counts."""

    observed: Observed
    path: str
    control: Control

    def describe(self) -> str:
        """Where the file goes."""
        return f"write {self.path}"

    async def apply(self, context: Context) -> None:
        """Write the file, unless one is there."""
        await _write_once(context, self.observed, self.path, self.control)


async def _write_once(context: Context, observed: Observed, path: str, control: Control) -> None:
    """Sign and store; where another pass was first, its file is the one that all will read."""
    vault, key = required(context.vault), context.identity_key
    envelope = await asyncio.to_thread(sign_control, control, lambda message: vault.sign(key.mount, key.key, message))
    store = context.store(bucket_of(observed))
    try:
        await asyncio.to_thread(store.put_once, path, envelope)
    except Conflict:
        return


def bucket_of(observed: Observed) -> str:
    """The bucket of the round's model."""
    if observed.model is None:
        raise AssertionError("the step `references` lets no round pass without its model")
    return observed.model.spec.publication.store.bucket


@dataclass(frozen=True, slots=True)
class StartHubJob:
    """Create the Job of a stage and the ConfigMap that holds its task."""

    observed: Observed
    plan: StoredPlan
    stage: str
    attempt: int

    @property
    def name(self) -> str:
        """The Job's name."""
        _, name = self.observed.round.key
        return names.stage_job_name(name, self.observed.attempt, self.stage, self.attempt)

    def describe(self) -> str:
        """The Job that is created."""
        return f"create Job {self.name}"

    async def apply(self, context: Context) -> None:
        """Create both objects, unless they are there."""
        identity = self._identity()
        aggregate = self._aggregate_task(context)
        if self.stage == AGGREGATE:
            tasks = {"aggregate.json": aggregate.to_json()}
            job = build.aggregate_job(identity, image=context.image, shards=self.plan.plan.shards)
        else:
            tasks = {"publish.json": self._publish_task(context, aggregate).to_json()}
            job = build.stage_job(identity, image=context.image, module="publish")
        for obj in (build.tasks_config_map(identity, tasks), job):
            await CreateObject(obj).apply(context)

    def _identity(self) -> build.JobIdentity:
        namespace, name = self.observed.round.key
        spec = self.observed.round.spec
        return build.JobIdentity(
            name=self.name,
            namespace=namespace,
            labels=names.stage_labels(spec.model_ref.name, namespace, name, self.observed.attempt, self.stage),
            attempt=self.attempt,
            deadline_s=int(parse_duration(spec.deadlines.aggregate).total_seconds()),
            plan_digest=self.plan.digest,
            owner=self.observed.owner,
        )

    def _aggregate_task(self, context: Context) -> AggregateTask:
        return AggregateTask(
            **cohort_fields(context, self.observed, self.plan),
            shards=self.plan.plan.shards,
            round_key=context.data_key,
        )

    def _publish_task(self, context: Context, aggregate: AggregateTask) -> PublishTask:
        model, base = self.observed.model, self.plan.plan.base
        prefix = model.spec.publication.store.prefix if model else ""
        return PublishTask(
            **_places(context, bucket_of(self.observed)),
            mode="Round",
            snapshot_prefix=SnapshotPaths.of(prefix, self.plan.plan.round, self.plan.plan.attempt).prefix,
            model_key=TransitKey(mount=base.vault_mount, key=base.vault_key),
            round=aggregate,
        )


def cohort_fields(context: Context, observed: Observed, plan: StoredPlan) -> dict[str, Any]:
    """What a task of the hub says of a round and its members."""
    return {
        **_places(context, bucket_of(observed)),
        "round_prefix": observed.paths.prefix,
        "plan_digest": plan.digest,
        "hub_keys": observed.hub_keys,
        "organizations": {
            name: tuple(organization.spec.identity_keys) for name, organization in observed.organizations.items()
        },
    }


def _places(context: Context, bucket: str) -> Mapping[str, Any]:
    required(context.vault)
    return {"vault": context.vault_settings, "store": context.store_settings(bucket)}
