"""The byte strings that bind a key or a ciphertext to its place; see docs/spec/sealed-update.md.

Every part but one is of fixed length or ends in 0x00, and names hold no 0x00, so that no two meanings share bytes.
"""

from __future__ import annotations

import hashlib

from fedsnap.formats.digests import Digest, digest_bytes


def sealed_context(plan_digest: Digest, organization: str, train_attempt: int) -> bytes:
    """Cobblestone context of a sealed update."""
    name = organization.encode()
    return b"fedsnap/sealed/v1\0" + digest_bytes(plan_digest) + name + b"\0" + train_attempt.to_bytes(4, "big")


def masking_secret_context(plan_digest: Digest, organization: str) -> bytes:
    """Vault derivation context of the secret that a member's keys in a masked attempt follow from, 32 bytes."""
    return hashlib.sha256(b"fedsnap/masking-secret/v1\0" + digest_bytes(plan_digest) + organization.encode()).digest()


def aggregator_info(plan_digest: Digest, organization: str) -> bytes:
    """HPKE info under which a sealing key is encrypted to the aggregation Job."""
    return b"fedsnap/aggregator/v1\0" + digest_bytes(plan_digest) + organization.encode()


def snapshot_context(content_root: Digest) -> bytes:
    """Cobblestone context of a published snapshot."""
    return b"fedsnap/snapshot/v1\0" + digest_bytes(content_root)


def snapshot_key_context(content_root: Digest) -> bytes:
    """Vault derivation context of a snapshot's data key: the 32 bytes of the content root."""
    return digest_bytes(content_root)


def round_key_context(round_prefix: str) -> bytes:
    """Vault derivation context of a round's wrapped HPKE private key, 32 bytes."""
    return hashlib.sha256(b"fedsnap/hpke/v1\0" + round_prefix.encode()).digest()
