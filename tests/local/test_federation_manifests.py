from __future__ import annotations

from pathlib import Path

import yaml

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.local.federation import training
from fedsnap.local.federation.layout import HOSPITALS, Federation

MANIFESTS = Path(__file__).parents[2] / "examples" / "heart" / "manifests"
FEDERATION = Federation()
CLAIM = {"persistentVolumeClaim": {"claimName": "heart-registry", "readOnly": True}}


def _documents(name):
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def test_the_organization_of_the_example_applies_what_the_local_federation_does():
    template, policy = _documents("organization.yaml")
    assert template == training.trainer_template(FEDERATION, HOSPITALS[0], CLAIM)
    assert policy == training.sharing_policy(FEDERATION, HOSPITALS[0])


def test_the_model_of_the_example_fits_the_local_federation():
    template, model = _documents("shared-model.yaml")
    parsed = SharedModel.model_validate(model)
    assert template == training.initializer_template(FEDERATION)
    assert parsed.key == (FEDERATION.model_namespace, FEDERATION.model)
    assert parsed.spec.architecture.image == FEDERATION.trainer_image
    assert parsed.spec.publication.store.bucket == FEDERATION.bucket
    assert parsed.spec.publication.store.prefix == FEDERATION.snapshot_prefix
    assert set(parsed.spec.training.round_template.participants.organizations) == {one.name for one in HOSPITALS}


def test_the_round_written_by_hand_goes_on_from_the_model():
    (document,) = _documents("federated-round.yaml")
    model = SharedModel.model_validate(_documents("shared-model.yaml")[1])
    parsed = FederatedRound.model_validate(document)
    assert parsed.spec.model_ref.name == model.metadata.name
    assert parsed.spec.number == model.spec.training.rounds + 1
