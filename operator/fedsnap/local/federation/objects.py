"""Namespaces, accounts, Secrets, ConfigMaps and Organizations, as plain objects."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from fedsnap.api.organization import IdentityKey, Organization, OrganizationSpec
from fedsnap.api.schema import API_VERSION
from fedsnap.local.federation.layout import HUB_KEYS_CONFIG_MAP, PART_OF, Manifest, Member

HUB_KEYS_FILE = "hub-keys.json"


def namespace(name: str) -> Manifest:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": PART_OF}}


def service_account(namespace: str, name: str) -> Manifest:
    """A ServiceAccount whose token is mounted only where a pod asks for it."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": name, "labels": PART_OF},
        "automountServiceAccountToken": False,
    }


def secret(namespace: str, name: str, content: Mapping[str, str]) -> Manifest:
    """An opaque Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": PART_OF},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


def hub_keys(namespace: str, keys: Mapping[str, bytes]) -> Manifest:
    """The hub's public keys that an organization pins; key id → raw Ed25519 public key."""
    content = {key_id: base64.b64encode(raw).decode() for key_id, raw in keys.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": HUB_KEYS_CONFIG_MAP, "labels": PART_OF},
        "data": {HUB_KEYS_FILE: json.dumps(content, sort_keys=True)},
    }


def organization(member: Member, keys: Mapping[str, bytes]) -> Manifest:
    """The member as the hub knows it, with its pinned identity keys; key id → raw Ed25519 public key."""
    pinned = [
        IdentityKey(id=key_id, public_key=base64.b64encode(raw).decode(), not_before=None, not_after=None)
        for key_id, raw in sorted(keys.items())
    ]
    spec = OrganizationSpec(
        namespace=member.mailbox, display_name=member.display_name, contact=member.contact, identity_keys=pinned
    )
    return {
        "apiVersion": API_VERSION,
        "kind": Organization.RESOURCE.kind,
        "metadata": {"name": member.name, "labels": PART_OF},
        "spec": spec.to_wire(),
    }
