"""Why a container cannot start now."""

from __future__ import annotations


class CannotStart(Exception):  # noqa: N818 - read as a word of the field
    """A container waits; the agent tries again.

    Attributes:
        reason: the waiting reason that the pod's status shows, as kubelet would name it.
        message: what was expected, what came and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def misconfigured(message: str) -> CannotStart:
    """What the pod refers to is not there, or cannot be had on a process node."""
    return CannotStart("CreateContainerConfigError", message)


def unmountable(message: str) -> CannotStart:
    """A volume cannot be laid out."""
    return CannotStart("FailedMount", message)
