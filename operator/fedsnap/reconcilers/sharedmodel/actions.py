"""What a model does itself: make the first weights."""

from __future__ import annotations

from dataclasses import dataclass

from fedsnap.builders import jobs as build
from fedsnap.builders import names
from fedsnap.clients.errors import Misconfigured
from fedsnap.formats.paths import SnapshotPaths
from fedsnap.jobs.tasks import PublishTask, TransitKey
from fedsnap.reconcilers.actions import CreateObject
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.sharedmodel.observed import Observed

INITIALIZE = "initialize"
_ALLOWED_S = 1800


@dataclass(frozen=True, slots=True)
class StartInitialization:
    """Create the Job that makes the first weights from the recorded seed and publishes them as round 0."""

    observed: Observed
    attempt: int

    @property
    def name(self) -> str:
        """The Job's name."""
        return names.stage_job_name(self.observed.model.metadata.name, 0, INITIALIZE, self.attempt)

    def describe(self) -> str:
        """The Job that is created."""
        return f"create Job {self.name}"

    async def apply(self, context: Context) -> None:
        """Create Job and ConfigMap, unless they are there."""
        initialization = self.observed.model.spec.initialization
        if initialization is None or self.observed.template is None:
            raise AssertionError("decided for a model that has a template to initialize from")
        identity = self._identity()
        job = build.initialize_job(
            identity,
            template=self.observed.template,
            image=context.image,
            trainer={"seed": initialization.seed, "round_number": 0, "hyperparameters": self._hyperparameters()},
        )
        tasks = {"publish.json": self._task(context).to_json()}
        for obj in (build.tasks_config_map(identity, tasks), job):
            await CreateObject(obj).apply(context)

    def _hyperparameters(self) -> dict[str, object]:
        return self.observed.model.spec.training.round_template.hyperparameters.to_wire()

    def _identity(self) -> build.JobIdentity:
        namespace, model = self.observed.model.key
        labels = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_MODEL: model, names.LABEL_STAGE: INITIALIZE}
        return build.JobIdentity(
            name=self.name,
            namespace=namespace,
            labels=labels,
            attempt=self.attempt,
            deadline_s=_ALLOWED_S,
            owner=self.observed.owner,
        )

    def _task(self, context: Context) -> PublishTask:
        spec = self.observed.model.spec
        if context.vault_settings is None:
            raise Misconfigured("VaultNotConfigured", "no address of Vault is set; give --vault-address")
        return PublishTask(
            mode="Initialize",
            vault=context.vault_settings,
            store=context.store_settings(spec.publication.store.bucket),
            # Each attempt has a place of its own: weights of a trainer that is not deterministic may differ.
            snapshot_prefix=SnapshotPaths.of(spec.publication.store.prefix, 0, self.attempt).prefix,
            model_key=TransitKey(mount=spec.keys.vault.mount, key=spec.keys.vault.key),
            layout_digest=spec.architecture.digest,
        )
