"""What is wrong with bytes that were read: each message names the file or object, what was expected and what came."""

from __future__ import annotations


class InvalidFormat(ValueError):  # noqa: N818  # reads as an answer, like the errors of `clients`
    """Bytes are not what their format says. Reading them again gives the same answer."""


class SignatureInvalid(InvalidFormat):
    """No pinned key signed these bytes."""


class CiphertextInvalid(InvalidFormat):
    """Wrong key, wrong context, or altered, truncated or reordered ciphertext."""
