"""Which kinds a role reconciles, and which objects wake them."""

from __future__ import annotations

from typing import Any

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import Organization
from fedsnap.api.participation import Participation
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.builders import names
from fedsnap.clients.cluster import JOB, of_kind
from fedsnap.reconcilers.context import Context
from fedsnap.reconcilers.federatedround import RoundReconciler
from fedsnap.reconcilers.loop import Child, Reconciler
from fedsnap.reconcilers.organization import OrganizationReconciler
from fedsnap.reconcilers.participation import ParticipationReconciler
from fedsnap.reconcilers.sharedmodel import ModelReconciler
from fedsnap.reconcilers.sharedmodel.actions import INITIALIZE
from fedsnap.reconcilers.sharingpolicy import PolicyReconciler

_COORDINATOR, _PARTICIPANT = frozenset({"coordinator"}), frozenset({"participant"})
_ROUND, _MODEL, _ORGANIZATION = (kind.RESOURCE.kind for kind in (FederatedRound, SharedModel, Organization))

CHILDREN = (
    Child(JOB, _ROUND, names.LABEL_ROUND, names.LABEL_ROUND_NAMESPACE, _COORDINATOR),
    Child(of_kind(Participation), _ROUND, names.LABEL_ROUND, names.LABEL_ROUND_NAMESPACE, _COORDINATOR),
    Child(of_kind(Participation), _ORGANIZATION, names.LABEL_ORGANIZATION, None, _COORDINATOR, cluster_scoped=True),
    Child(of_kind(FederatedRound), _MODEL, names.LABEL_MODEL, None, _COORDINATOR),
    Child(of_kind(ModelSnapshot), _MODEL, names.LABEL_MODEL, None, _COORDINATOR),
    Child(JOB, _MODEL, names.LABEL_MODEL, None, _COORDINATOR, stage=INITIALIZE),
    Child(JOB, Participation.RESOURCE.kind, names.LABEL_PARTICIPATION, None, _PARTICIPANT),
)


def coordinator(context: Context) -> tuple[Reconciler[Any], ...]:
    """In the hub."""
    return ModelReconciler(context), RoundReconciler(context), OrganizationReconciler(context)


def participant(context: Context) -> tuple[Reconciler[Any], ...]:
    """In an organization."""
    return ParticipationReconciler(context), PolicyReconciler(context)
