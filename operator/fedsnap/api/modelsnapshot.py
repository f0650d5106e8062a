"""ModelSnapshot: the record of one published snapshot."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fedsnap.api.schema import (
    Column,
    Conditions,
    Digest,
    Key,
    Model,
    NameReference,
    Object,
    Resource,
    named_after,
    rule,
    validations,
)

ObjectPath = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^/\s][^\s]*$")]
WrappedKey = Annotated[str, Field(min_length=8, max_length=1024, pattern=r"^vault:v[0-9]+:[A-Za-z0-9+/=_-]+$")]


class Encryption(Model):
    """How the snapshot is encrypted. The wrapped key is ciphertext and opens nothing without Vault."""

    scheme: Literal["Cobblestone256"] = Field(
        "Cobblestone256", description="C2SP chunked encryption with AES-256-GCM, as docs/spec/sealed-update.md has it."
    )
    vault_mount: Key = Field(description="Mount of the transit engine.")
    vault_key: Key = Field(description="Name of the transit key that wraps the data key.")
    key_version: int = Field(description="Version of that key.", ge=1)
    wrapped_key: WrappedKey = Field(description="Data key, wrapped by Vault with the content root as context.")


class Location(Model):
    """Where the ciphertext lies."""

    bucket: Key = Field(description="S3 bucket.")
    path: ObjectPath = Field(description="Object key in the bucket.")


_FROZEN = (
    "modelRef",
    "round",
    "contentRoot",
    "layoutDigest",
    "coordinates",
    "plaintextDigest",
    "plaintextSize",
    "ciphertextDigest",
    "ciphertextSize",
    "encryption",
    "location",
)


class ModelSnapshotSpec(Model):
    """Digests, encryption and location of one snapshot; nothing but state may change."""

    model_config = Model.model_config | {
        "json_schema_extra": validations(
            *(
                rule(f"self.{part} == oldSelf.{part}", f"spec.{part} is immutable", field_path=f".{part}")
                for part in _FROZEN
            ),
            rule(
                "{'Active': 0, 'Retired': 1, 'Shredded': 2}[self.state] >= "
                "{'Active': 0, 'Retired': 1, 'Shredded': 2}[oldSelf.state]",
                "spec.state moves only forward: Active, Retired, Shredded",
                field_path=".state",
            ),
        )
    }
    model_ref: NameReference = Field(description="The SharedModel it belongs to.")
    round: int = Field(description="Number of the round that made it; 0 is the initial snapshot.", ge=0)
    content_root: Digest = Field(description="Identity of the weights, independent of file format and encryption.")
    layout_digest: Digest = Field(description="Digest of tensor names, dtypes and shapes.")
    coordinates: int = Field(description="Elements of all floating tensors: what training changes.", ge=1)
    plaintext_digest: Digest = Field(description="SHA-256 of the safetensors file.")
    plaintext_size: int = Field(description="Size of the safetensors file in bytes.", ge=8)
    ciphertext_digest: Digest = Field(description="SHA-256 of the published bytes.")
    ciphertext_size: int = Field(description="Size of the published bytes.", ge=56)
    encryption: Encryption
    location: Location
    state: Literal["Active", "Retired", "Shredded"] = Field("Active", description="Moves only forward.")


class ModelSnapshotStatus(Model):
    """What was seen of it since."""

    conditions: Conditions = Field(default_factory=list)


class ModelSnapshot(Object):
    """One published snapshot: what it is, where it lies, and under which key."""

    RESOURCE: ClassVar[Resource] = Resource(
        kind="ModelSnapshot",
        plural="modelsnapshots",
        short_names=("snap",),
        columns=(
            Column("Model", ".spec.modelRef.name"),
            Column("Round", ".spec.round", "integer"),
            Column("State", ".spec.state"),
            Column("KeyVersion", ".spec.encryption.keyVersion", "integer"),
            Column("ContentRoot", ".spec.contentRoot"),
            Column("Size", ".spec.ciphertextSize", "integer", priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        rules=(named_after("self.spec.modelRef.name", "self.spec.round"),),
    )
    spec: ModelSnapshotSpec
    status: ModelSnapshotStatus = Field(default_factory=ModelSnapshotStatus)
