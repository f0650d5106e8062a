"""Organization: a member of the federation, as the hub knows it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fedsnap.api.schema import (
    Column,
    Conditions,
    Model,
    Name,
    Object,
    Resource,
    Text,
    Timestamp,
    list_map,
    rule,
    validations,
)


class IdentityKey(Model):
    """One Ed25519 key that signs the organization's control files; several overlap while a key is rotated."""

    id: Annotated[str, Field(min_length=1, max_length=128, description="Key id: name and version of the signing key.")]
    public_key: Annotated[
        str,
        Field(
            min_length=44,
            max_length=44,
            pattern=r"^[A-Za-z0-9+/]{43}=$",
            description="Raw Ed25519 public key, 32 bytes, base64.",
        ),
    ]
    not_before: Timestamp | None = Field(None, description="Signatures before this time are refused.")
    not_after: Timestamp | None = Field(None, description="Signatures after this time are refused.")


class OrganizationSpec(Model):
    """Who the member is and where its mailbox lies."""

    namespace: Name = Field(
        description="Namespace in the hub where the member's Participations are put.",
        json_schema_extra=validations(rule("self == oldSelf", "namespace is immutable; make a new Organization")),
    )
    display_name: Text = Field("", description="Name for people.")
    contact: Text = Field("", description="Whom to write to when something is wrong.")
    identity_keys: list[IdentityKey] = Field(
        description="Pinned public keys of the member's identity.",
        min_length=1,
        max_length=8,
        json_schema_extra=list_map("id"),
    )


class OrganizationStatus(Model):
    """What the hub has seen of the member."""

    last_heartbeat_time: Timestamp | None = Field(None, description="Latest heartbeat in any Participation.")
    conditions: Conditions = Field(default_factory=list)


class Organization(Object):
    """A member of the federation: its mailbox namespace in the hub and its pinned identity keys."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="Organization",
        plural="organizations",
        short_names=("org",),
        namespaced=False,
        columns=(
            Column("Namespace", ".spec.namespace"),
            Column("Connected", '.status.conditions[?(@.type=="Connected")].status'),
            Column("Heartbeat", ".status.lastHeartbeatTime", "date"),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    spec: OrganizationSpec
    status: OrganizationStatus = Field(default_factory=OrganizationStatus)
