"""Cobblestone-256 of C2SP chunked-encryption (c2sp.org/chunked-encryption): streaming files and verified ranges.

Like `cryptography.cobblestone`, but with a salt of the caller's, so that a retried Job makes equal bytes, and with
random access. Layout: salt 24 ‖ commitment 32 ‖ chunks of 16 KiB + 16-byte tag, the last one always shorter.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from fedsnap.formats.digests import Digest, FileDigest, digest_bytes, format_digest
from fedsnap.formats.errors import CiphertextInvalid

KEY_BYTES, SALT_BYTES, COMMITMENT_BYTES = 32, 24, 32
HEADER_BYTES = SALT_BYTES + COMMITMENT_BYTES
CHUNK_BYTES, TAG_BYTES = 16 * 1024, 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_NONCE_BYTES = 12
_CHUNKS_AT_ONCE = 256
_INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_SALT_INFO = b"fedsnap/salt/v1"


@dataclass(frozen=True, slots=True)
class Encrypted:
    """Both sides of an encrypted file."""

    plaintext: FileDigest
    ciphertext: FileDigest


def ciphertext_size(plain_size: int) -> int:
    """Bytes of ciphertext for `plain_size` bytes of plaintext."""
    return HEADER_BYTES + plain_size + TAG_BYTES * (plain_size // CHUNK_BYTES + 1)


def plaintext_size(sealed_size: int) -> int:
    """Bytes of plaintext in a ciphertext of `sealed_size` bytes.

    Raises:
        CiphertextInvalid: where no ciphertext has this size.
    """
    chunks, last = divmod(sealed_size - HEADER_BYTES, SEALED_CHUNK_BYTES)
    if sealed_size < HEADER_BYTES + TAG_BYTES or last < TAG_BYTES:
        raise CiphertextInvalid(f"expected the size of a whole ciphertext, got {sealed_size} bytes; it is truncated")
    return chunks * CHUNK_BYTES + last - TAG_BYTES


def derive_salt(key: bytes, path: str, plaintext_digest: Digest) -> bytes:
    """A salt that differs for every path and plaintext: equal input gives equal ciphertext, and no nonce twice."""
    subkey = HKDF(SHA256(), 32, salt=None, info=_SALT_INFO).derive(key)
    return hmac.digest(subkey, path.encode() + b"\0" + digest_bytes(plaintext_digest), "sha256")[:SALT_BYTES]


class _Chunks:
    """The keys of one message."""

    def __init__(self, key: bytes, context: bytes, salt: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise CiphertextInvalid(f"expected a key of {KEY_BYTES} bytes, got {len(key)}")
        length = KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
        derived = HKDFExpand(SHA512(), length, _INFO + salt + context).derive(key)
        self._aead = AESGCM(derived[:KEY_BYTES])
        self._nonce = int.from_bytes(derived[KEY_BYTES : KEY_BYTES + _NONCE_BYTES], "big")
        self.commitment = derived[-COMMITMENT_BYTES:]

    def _nonce_of(self, index: int) -> bytes:
        return (self._nonce ^ index).to_bytes(_NONCE_BYTES, "big")

    def seal(self, index: int, plain: memoryview, out: memoryview) -> None:
        self._aead.encrypt_into(self._nonce_of(index), plain, None, out)

    def open(self, index: int, sealed: memoryview, out: memoryview) -> None:
        try:
            self._aead.decrypt_into(self._nonce_of(index), sealed, None, out)
        except (InvalidTag, ValueError):
            raise CiphertextInvalid(
                f"chunk {index} of the ciphertext does not verify: it was altered, moved or cut"
            ) from None

    def seal_block(self, first: int, plain: memoryview, *, last: bool) -> bytearray:
        """Whole chunks and, with `last`, the shorter one (or empty one) that ends the message."""
        count = len(plain) // CHUNK_BYTES + last
        out = bytearray(len(plain) + TAG_BYTES * count)
        view = memoryview(out)
        for n in range(count):
            piece = plain[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES]
            start = n * SEALED_CHUNK_BYTES
            self.seal(first + n, piece, view[start : start + len(piece) + TAG_BYTES])
        return out

    def open_block(self, first: int, sealed: memoryview) -> bytearray:
        """What whole chunks hold; a shorter one may come last."""
        count = -(-len(sealed) // SEALED_CHUNK_BYTES)
        out = bytearray(max(len(sealed) - TAG_BYTES * count, 0))
        view = memoryview(out)
        for n in range(count):
            piece = sealed[n * SEALED_CHUNK_BYTES : (n + 1) * SEALED_CHUNK_BYTES]
            start = n * CHUNK_BYTES
            self.open(first + n, piece, view[start : start + max(len(piece) - TAG_BYTES, 0)])
        return out


def _opened(header: bytes, key: bytes, context: bytes) -> _Chunks:
    """The keys of a message, after its commitment was checked."""
    if len(header) != HEADER_BYTES:
        raise CiphertextInvalid(f"expected a header of {HEADER_BYTES} bytes, got {len(header)}; it is truncated")
    chunks = _Chunks(key, context, header[:SALT_BYTES])
    if not hmac.compare_digest(chunks.commitment, header[SALT_BYTES:]):
        raise CiphertextInvalid(
            "the ciphertext was made with another key or for another place, or its header was altered"
        )
    return chunks


def encrypt_file(plain: Path, sealed: Path, *, key: bytes, context: bytes, salt: bytes) -> Encrypted:
    """Encrypt `plain` to `sealed` in constant memory.

    Args:
        plain: what to encrypt.
        sealed: file to write.
        key: 32 secret bytes.
        context: what the ciphertext is bound to; needed to decrypt.
        salt: 24 bytes, never used for another plaintext with this key and context; see `derive_salt`.
    """
    if len(salt) != SALT_BYTES:
        raise CiphertextInvalid(f"expected a salt of {SALT_BYTES} bytes, got {len(salt)}")
    chunks = _Chunks(key, context, salt)
    hashed, written = _Tee(), _Tee()
    with plain.open("rb") as source, sealed.open("wb") as out:
        written.write(out, salt + chunks.commitment)
        for first, block, last in _blocks(source, CHUNK_BYTES * _CHUNKS_AT_ONCE):
            hashed.add(block)
            written.write(out, chunks.seal_block(first * _CHUNKS_AT_ONCE, memoryview(block), last=last))
    return Encrypted(hashed.digest, written.digest)


def decrypt_file(sealed: Path, target: Path, *, key: bytes, context: bytes) -> Encrypted:
    """Decrypt `sealed` to `target` in constant memory; `target` is removed where the ciphertext does not verify.

    Raises:
        CiphertextInvalid: wrong key, wrong context, or altered, truncated or longer ciphertext.
    """
    read, written = _Tee(), _Tee()
    try:
        with sealed.open("rb") as source, target.open("wb") as out:
            header = source.read(HEADER_BYTES)
            chunks = _opened(header, key, context)
            plaintext_size(sealed.stat().st_size)
            read.add(header)
            for first, block, _last in _blocks(source, SEALED_CHUNK_BYTES * _CHUNKS_AT_ONCE):
                read.add(block)
                written.write(out, chunks.open_block(first * _CHUNKS_AT_ONCE, memoryview(block)))
    except CiphertextInvalid:
        target.unlink(missing_ok=True)
        raise
    return Encrypted(written.digest, read.digest)


def _blocks(source: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Number, bytes and whether it is the last, which is shorter than `size` and perhaps empty."""
    number = 0
    while True:
        block = source.read(size)
        last = len(block) < size
        yield number, block, last
        if last:
            return
        number += 1


class _Tee:
    """Counts and hashes what passes."""

    def __init__(self) -> None:
        self._sha256, self._size = hashlib.sha256(), 0

    def add(self, block: bytes | bytearray) -> None:
        self._sha256.update(block)
        self._size += len(block)

    def write(self, out: BinaryIO, block: bytes | bytearray) -> None:
        self.add(block)
        out.write(block)

    @property
    def digest(self) -> FileDigest:
        return FileDigest(format_digest(self._sha256.digest()), self._size)


class CobblestoneReader:
    """Ranges of the plaintext of an object that lies elsewhere; only verified bytes come out.

    The last chunk is verified first: with it, the length is authentic.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, *, key: bytes, context: bytes) -> None:
        """Check header, length and last chunk.

        Args:
            fetch: gives `length` bytes of ciphertext from `start`.
            size: bytes of ciphertext.
            key: 32 secret bytes.
            context: what the ciphertext is bound to.

        Raises:
            CiphertextInvalid: wrong key, wrong context, or an altered or truncated ciphertext.
        """
        self._fetch, self._sealed_size = fetch, size
        self.size = plaintext_size(size)
        self._chunks = _opened(fetch(0, HEADER_BYTES), key, context)
        self._open(self.size // CHUNK_BYTES, self.size // CHUNK_BYTES + 1)

    def read(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes of plaintext from `start`.

        Raises:
            CiphertextInvalid: where a chunk of the range does not verify.
            ValueError: where the range goes beyond the plaintext.
        """
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError(f"expected a range within {self.size} bytes, got {length} bytes at {start}")
        if length == 0:
            return b""
        first = start // CHUNK_BYTES
        opened = self._open(first, (start + length - 1) // CHUNK_BYTES + 1)
        offset = start - first * CHUNK_BYTES
        return bytes(memoryview(opened)[offset : offset + length])

    def _open(self, first: int, stop: int) -> bytearray:
        begin = HEADER_BYTES + first * SEALED_CHUNK_BYTES
        end = min(HEADER_BYTES + stop * SEALED_CHUNK_BYTES, self._sealed_size)
        sealed = self._fetch(begin, end - begin)
        if len(sealed) != end - begin:
            raise CiphertextInvalid(f"expected {end - begin} bytes of ciphertext at {begin}, got {len(sealed)}")
        return self._chunks.open_block(first, memoryview(sealed))
