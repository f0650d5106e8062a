"""All kinds of the group, in the order in which people meet them."""

from __future__ import annotations

from fedsnap.api.federatedround import FederatedRound
from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.organization import Organization
from fedsnap.api.participation import Participation
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.api.sharingpolicy import SharingPolicy

KINDS = (SharedModel, FederatedRound, Participation, Organization, SharingPolicy, ModelSnapshot)
