"""What one organization sees of its part in a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fedsnap.api.organization import IdentityKey
from fedsnap.api.participation import Participation
from fedsnap.api.sharingpolicy import SharingPolicy
from fedsnap.builders.jobs import TRAIN_CONTAINER
from fedsnap.formats.control import Plan
from fedsnap.formats.digests import Digest
from fedsnap.formats.signed import Signed
from fedsnap.jobs.tasks import RevealedCohort
from fedsnap.policies.preflight import KeyState, Site, Template
from fedsnap.policies.sharing import Request
from fedsnap.reconcilers.jobstate import SeenJob
from fedsnap.secagg.masking.files import Survivors

PodTemplates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The mailbox, the hub's plan, the own policies and the own Jobs.

    Attributes:
        plan: verified by the pinned keys of the hub; None where it was not read or is refused.
        plan_refusal: reason and message, where the plan is not what the mailbox says or not signed by the hub.
        templates: the organization's PodTemplates by name.
        peers: identity keys of other members, as this organization's own cluster has them.
        revealed: what this organization revealed in other attempts on the same base.
        answers_for: digest of the survivors for which it wrote down that it answers in this attempt.
        can_reseal: it committed in the earlier attempt that the plan uses again.
        survivors: of this attempt, verified by the pinned keys of the hub; read when it is time to answer.
    """

    participation: Participation
    hub_keys: tuple[IdentityKey, ...] = ()
    plan: Plan | None = None
    plan_refusal: tuple[str, str] | None = None
    policies: list[SharingPolicy] = field(default_factory=list)
    templates: PodTemplates = field(default_factory=dict)
    allocatable: tuple[dict[str, str], ...] | None = None
    key: KeyState | None = None
    jobs: tuple[SeenJob, ...] = ()
    peers: Mapping[str, tuple[IdentityKey, ...]] = field(default_factory=dict)
    revealed: tuple[RevealedCohort, ...] = ()
    survivors: Signed[Survivors] | None = None
    answers_for: Digest | None = None
    can_reseal: bool = False

    def jobs_of(self, stage: str) -> tuple[SeenJob, ...]:
        """The Jobs of one stage, in order of their attempts."""
        return tuple(job for job in self.jobs if job.stage == stage)

    def request(self, plan: Plan) -> Request:
        """What the own policies decide about: the signed plan, never the mailbox."""
        return Request(
            model=plan.model, image=plan.image, secure_aggregation=plan.secure_aggregation, quorum=plan.quorum
        )

    def site(self, plan: Plan, template: str) -> Site:
        """What pre-flight looks at."""
        return Site(
            wanted_template=template,
            template=_template(template, self.templates.get(template)),
            image=plan.image,
            allocatable=self.allocatable,
            key=self.key,
            key_name=f"{plan.base.vault_mount}/{plan.base.vault_key}",
            key_version=plan.base.key_version,
        )


def _template(name: str, pod_template: Mapping[str, Any] | None) -> Template | None:
    if pod_template is None:
        return None
    containers = (pod_template.get("spec") or {}).get("containers") or ()
    train = [one for one in containers if one["name"] == TRAIN_CONTAINER]
    resources = (train[0].get("resources") or {}) if train else {}
    return Template(
        name=name,
        containers={one["name"]: one.get("image", "") for one in containers},
        # As Kubernetes reads it: a limit without a request is a request.
        requests={**(resources.get("limits") or {}), **(resources.get("requests") or {})},
    )
