"""HKDF-SHA-256 (RFC 5869) and X25519 (RFC 7748), as this protocol uses them."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedsnap.secagg.masking.errors import MaskingRefused, Reason

SECRET_BYTES = 32


def derive(key: bytes, info: bytes, length: int = SECRET_BYTES) -> bytes:
    """HKDF without salt."""
    return HKDF(SHA256(), length, None, info).derive(key)


def exchange(private: X25519PrivateKey, public: str, peer: str) -> bytes:
    """The shared secret of two key pairs.

    Args:
        private: one's own key; made once for many exchanges, because it is as costly as one.
        public: the peer's raw public key, base64.
        peer: its name, for messages.

    Raises:
        MaskingRefused: where the peer's key is one of the few that give everybody the same secret.
    """
    key = X25519PublicKey.from_public_bytes(base64.b64decode(public))
    try:
        return private.exchange(key)
    except ValueError:
        raise MaskingRefused(
            Reason.KEY_INVALID, f"expected a usable X25519 key of {peer!r}, got one of small order", offender=peer
        ) from None


def private_key(raw: bytes) -> X25519PrivateKey:
    """The key of 32 raw bytes."""
    return X25519PrivateKey.from_private_bytes(raw)


def public_key(private: X25519PrivateKey) -> str:
    """The raw public key of a private one, base64."""
    raw = private.public_key().public_bytes_raw()
    return base64.b64encode(raw).decode("ascii")
