"""SHA-256 digests, written as `sha256:<64 hex digits>`, and their streaming calculation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedsnap.api.schema import Digest
from fedsnap.formats.errors import InvalidFormat

__all__ = [
    "BLOCK_BYTES",
    "Digest",
    "FileDigest",
    "digest_bytes",
    "digest_of",
    "format_digest",
    "hash_blocks",
    "hash_file",
]

# Large enough that Python's cost per block vanishes, small enough that a few fit in any Job.
BLOCK_BYTES = 4 * 1024 * 1024
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Digest and size in bytes of a file or object."""

    digest: Digest
    size: int


def format_digest(raw: bytes) -> Digest:
    """The text form of 32 raw digest bytes."""
    return f"sha256:{raw.hex()}"


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """Digest of bytes in memory."""
    return format_digest(hashlib.sha256(data).digest())


def digest_bytes(digest: Digest) -> bytes:
    """The 32 raw bytes of a digest.

    Raises:
        InvalidFormat: where `digest` is not `sha256:` and 64 lower-case hex digits.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise InvalidFormat(f"expected a digest of the form sha256:<64 hex digits>, got {digest[:80]!r}")
    return bytes.fromhex(match[1])


def hash_blocks(blocks: Iterable[bytes | bytearray | memoryview]) -> FileDigest:
    """Digest and total size of blocks that are read once, in order."""
    sha256, size = hashlib.sha256(), 0
    for block in blocks:
        sha256.update(block)
        size += len(block)
    return FileDigest(format_digest(sha256.digest()), size)


def hash_file(path: Path) -> FileDigest:
    """Digest and size of a file, read in constant memory."""
    with path.open("rb") as file:
        return hash_blocks(iter(lambda: file.read(BLOCK_BYTES), b""))
