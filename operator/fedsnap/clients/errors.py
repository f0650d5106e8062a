"""What can go wrong outside: one small hierarchy for Vault and store, used by the operator and by Jobs alike."""

from __future__ import annotations


class ClientError(Exception):
    """Something outside did not do what was asked.

    Attributes:
        reason: PascalCase word for conditions and termination messages.
        message: what was expected, what came, where, and what to do; never a secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Unavailable(ClientError):  # noqa: N818  # these are answers, read as words of the field
    """Down, sealed or slow: look again later; nothing is lost."""


class Terminal(ClientError):  # noqa: N818
    """Asking again gives the same answer until a person or another object changes something."""


class PermissionDenied(Terminal):
    """The caller is known and may not do this."""


class NotFound(Terminal):
    """The key or object is not there, or may not be seen."""


class Conflict(Terminal):
    """A write-once object exists with other bytes."""


class InvalidData(Terminal):
    """What came back is not what such an answer looks like, or is larger than allowed."""


class Misconfigured(Terminal):
    """Settings, credential files or certificates are missing or unusable."""
