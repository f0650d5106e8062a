"""What each platform team applies: its PodTemplate and SharingPolicy, and in the hub the model itself."""

from __future__ import annotations

from datetime import UTC, datetime

from fedsnap.api.schema import API_VERSION
from fedsnap.api.sharingpolicy import Requirements, Rule, SharingPolicy, SharingPolicySpec
from fedsnap.builders.jobs import TRAIN_CONTAINER
from fedsnap.local.federation.layout import PART_OF, Federation, Manifest, Member

TRAINER = "heart-trainer"
INITIALIZER = "heart-init"
DATA_MOUNT = "/data"
_COMMAND = ["python", "-m", "heart.train"]
# What torch needs to import and to train a few hundred examples.
_TRAINER_NEEDS = {"cpu": "200m", "memory": "512Mi"}
_GPU = {"nvidia.com/gpu": "1"}
_CONSENT_ENDS = datetime(2030, 1, 1, tzinfo=UTC)


def trainer_template(federation: Federation, member: Member, data: Manifest) -> Manifest:
    """The organization's own trainer. `data`: a volume source, such as `{"hostPath": {"path": …}}`."""
    container = {
        "name": TRAIN_CONTAINER,
        "image": federation.trainer_image,
        "command": _COMMAND,
        "env": [{"name": "FEDSNAP_DATA_DIR", "value": DATA_MOUNT}],
        "resources": {"requests": {**_TRAINER_NEEDS, **_GPU}, "limits": _GPU},
        "volumeMounts": [{"name": "data", "mountPath": DATA_MOUNT, "readOnly": True}],
    }
    return _pod_template(member.namespace, TRAINER, {"containers": [container], "volumes": [{"name": "data", **data}]})


def initializer_template(federation: Federation) -> Manifest:
    """In the hub: makes the first weights from a seed; it sees no data and needs no GPU."""
    container = {
        "name": TRAIN_CONTAINER,
        "image": federation.trainer_image,
        "command": _COMMAND,
        "resources": {"requests": _TRAINER_NEEDS},
    }
    return _pod_template(federation.model_namespace, INITIALIZER, {"containers": [container]})


def sharing_policy(federation: Federation, member: Member) -> Manifest:
    """Consent to this model, by this trainer, with at least three members."""
    rule = Rule(
        name=f"{federation.model}-registry",
        models=[federation.model],
        images=[federation.trainer_image],
        expires=_CONSENT_ENDS,
        requires=Requirements(secure_aggregation="Masked", min_participants=3, assumed_colluders=1, min_honest=2),
        template=TRAINER,
    )
    return {
        "apiVersion": API_VERSION,
        "kind": SharingPolicy.RESOURCE.kind,
        "metadata": {"namespace": member.namespace, "name": "default", "labels": PART_OF},
        "spec": SharingPolicySpec(rules=[rule], suspend=False).to_wire(),
    }


def _pod_template(namespace: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"namespace": namespace, "name": name, "labels": PART_OF},
        "template": {"metadata": {"labels": PART_OF}, "spec": spec},
    }
