"""Open a published snapshot: download, unwrap the key, decrypt, and check every digest before a byte is used."""

from __future__ import annotations

from pathlib import Path

from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.cobblestone import decrypt_file
from fedsnap.formats.content_root import content_root
from fedsnap.formats.contexts import snapshot_context, snapshot_key_context
from fedsnap.formats.control import BaseSnapshot
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.errors import Refused


def open_snapshot(snapshot: BaseSnapshot, vault: VaultClient, store: Store, target: Path) -> None:
    """Decrypt `snapshot` to the safetensors file `target`, which appears only when everything was checked.

    The key is asked for first: who may not have it does not download gigabytes.

    Raises:
        ClientError: where key or bytes cannot be had; `Refused` where a digest differs.
        InvalidFormat: where ciphertext or weights are malformed.
    """
    key = vault.decrypt(
        snapshot.vault_mount, snapshot.vault_key, snapshot.wrapped_key, snapshot_key_context(snapshot.content_root)
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    sealed, unchecked = target.with_name(target.name + ".c2sp"), target.with_name(target.name + ".unchecked")
    # Before a byte is fetched: the pod's disk is small, and what lies there may be anything.
    _expect(snapshot.path, "size", snapshot.ciphertext_size, store.head(snapshot.path))
    try:
        got = store.download(snapshot.path, sealed)
        _expect(snapshot.path, "ciphertext digest", snapshot.ciphertext_digest, got.digest)
        decrypted = decrypt_file(sealed, unchecked, key=key, context=snapshot_context(snapshot.content_root))
        _expect(snapshot.path, "plaintext digest", snapshot.plaintext_digest, decrypted.plaintext.digest)
        with TensorFile.open(unchecked) as weights:
            _expect(snapshot.path, "content root", snapshot.content_root, content_root(weights))
        unchecked.replace(target)
    finally:
        sealed.unlink(missing_ok=True)
        unchecked.unlink(missing_ok=True)


def _expect(path: str, what: str, expected: str | int, found: str | int) -> None:
    if expected != found:
        raise Refused("SnapshotMismatch", f"{path}: expected {what} {expected}, found {found}; do not use it")
