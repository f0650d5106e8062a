"""Publish weights: wrapped key first, then bytes, then the record, so that every retry makes the same snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedsnap.clients.errors import Conflict, NotFound
from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient, wrapped_version
from fedsnap.formats.cobblestone import Encrypted, derive_salt, encrypt_file
from fedsnap.formats.content_root import content_root
from fedsnap.formats.contexts import snapshot_context, snapshot_key_context
from fedsnap.formats.control import KeyRecord, SnapshotRecord
from fedsnap.formats.digests import hash_file
from fedsnap.formats.paths import SnapshotPaths
from fedsnap.formats.signed import parse_payload, payload_of
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.results import PublishResult
from fedsnap.jobs.tasks import TransitKey

_MAX_RECORD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A canonical safetensors file and its identity."""

    file: Path
    content_root: str
    layout_digest: str
    coordinates: int

    @classmethod
    def of(cls, file: Path) -> Weights:
        """Read the identity of `file`."""
        with TensorFile.open(file) as tensors:
            layout = tensors.layout
            return cls(
                file=file,
                content_root=content_root(tensors),
                layout_digest=layout.digest,
                coordinates=layout.coordinates,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the record says of where a snapshot comes from."""

    base_content_root: str | None = None
    plan_digest: str | None = None
    transcript_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One snapshot's way into the store."""

    vault: VaultClient
    store: Store
    paths: SnapshotPaths
    model_key: TransitKey

    def publish(self, weights: Weights, origin: Origin) -> PublishResult:
        """Encrypt and store; a retry finds the stored key and makes equal bytes.

        Raises:
            Refused: SnapshotConflict, where another model was begun at this path.
        """
        record, key = self._data_key(weights.content_root)
        made = self._store_weights(weights, key)
        result = _result(weights, record, made, self.paths.weights)
        description = SnapshotRecord(**result.model_dump(), **_given(origin))
        self.store.put_once(self.paths.record, payload_of(description))
        return result

    def _data_key(self, root: str) -> tuple[KeyRecord, bytes]:
        stored = self._stored_key()
        if stored is None:
            stored = self._new_key(root)
        if stored.content_root != root:
            raise Refused(
                "SnapshotConflict",
                f"{self.paths.key} was written for content root {stored.content_root}, this Job has {root}; "
                "use a new attempt",
            )
        context = snapshot_key_context(root)
        return stored, self.vault.decrypt(stored.vault_mount, stored.vault_key, stored.wrapped_key, context)

    def _stored_key(self) -> KeyRecord | None:
        try:
            data = self.store.get(self.paths.key, _MAX_RECORD_BYTES)
        except NotFound:
            return None
        record = parse_payload(KeyRecord, data, self.paths.key)
        if (record.vault_mount, record.vault_key) != (self.model_key.mount, self.model_key.key):
            raise Refused("SnapshotConflict", f"{self.paths.key} is wrapped by another key than the model's")
        return record

    def _new_key(self, root: str) -> KeyRecord:
        mount, name = self.model_key.mount, self.model_key.key
        wrapped = self.vault.create_data_key(mount, name, snapshot_key_context(root)).wrapped
        record = KeyRecord(
            content_root=root,
            wrapped_key=wrapped,
            vault_mount=mount,
            vault_key=name,
            key_version=wrapped_version(wrapped),
        )
        try:
            self.store.put_once(self.paths.key, payload_of(record))
        except Conflict:
            return self._stored_key() or record  # another pod of this Job was first: its key counts
        return record

    def _store_weights(self, weights: Weights, key: bytes) -> Encrypted:
        sealed = weights.file.with_name(weights.file.name + ".c2sp")
        plain = hash_file(weights.file)
        salt = derive_salt(key, self.paths.weights, plain.digest)
        context = snapshot_context(weights.content_root)
        try:
            made = encrypt_file(weights.file, sealed, key=key, context=context, salt=salt)
            if made.plaintext != plain:
                # The salt belongs to the first plaintext: a second one under it would use nonces twice.
                raise Refused("WeightsChanged", "the weights changed while they were encrypted; start anew")
            self.store.put_once(self.paths.weights, sealed)
        finally:
            sealed.unlink(missing_ok=True)
        return made


def _given(origin: Origin) -> dict[str, str]:
    named = {
        "base_content_root": origin.base_content_root,
        "plan_digest": origin.plan_digest,
        "transcript_digest": origin.transcript_digest,
    }
    return {name: digest for name, digest in named.items() if digest is not None}


def _result(weights: Weights, record: KeyRecord, made: Encrypted, path: str) -> PublishResult:
    return PublishResult(
        content_root=weights.content_root,
        layout_digest=weights.layout_digest,
        coordinates=weights.coordinates,
        plaintext_digest=made.plaintext.digest,
        plaintext_size=made.plaintext.size,
        ciphertext_digest=made.ciphertext.digest,
        ciphertext_size=made.ciphertext.size,
        wrapped_key=record.wrapped_key,
        vault_mount=record.vault_mount,
        vault_key=record.vault_key,
        key_version=record.key_version,
        path=path,
    )
