"""Refusals that a Job makes itself, and the exit code of every error."""

from __future__ import annotations

from fedsnap.clients.errors import ClientError, Misconfigured, NotFound, PermissionDenied, Terminal, Unavailable
from fedsnap.formats.errors import InvalidFormat
from fedsnap.jobs.results import EXIT_CONFIGURATION, EXIT_PERMISSION_DENIED, EXIT_REFUSED_INPUT, EXIT_RETRY
from fedsnap.secagg.errors import NonFiniteUpdate, UpdateRefused
from fedsnap.secagg.masking.errors import MaskingRefused

BAD_BYTES = (InvalidFormat, UpdateRefused, MaskingRefused)


class Refused(Terminal):
    """The input is bad and stays bad: a malformed update, a wrong digest, a signature that does not hold."""


def refusal(error: InvalidFormat | UpdateRefused | MaskingRefused) -> Refused:
    """The refusal that says what `formats` and `secagg` found wrong."""
    if isinstance(error, MaskingRefused):
        return Refused(error.reason.value, str(error))
    reason = "UpdateNotFinite" if isinstance(error, NonFiniteUpdate) else type(error).__name__
    return Refused(reason, str(error))


def exit_code(error: ClientError) -> int:
    """42 to 44 mean that trying again is useless."""
    if isinstance(error, Unavailable):
        return EXIT_RETRY
    if isinstance(error, PermissionDenied):
        return EXIT_PERMISSION_DENIED
    if isinstance(error, Misconfigured):
        return EXIT_CONFIGURATION
    if isinstance(error, NotFound) and error.reason == "KeyNotFound":
        return EXIT_CONFIGURATION
    return EXIT_REFUSED_INPUT
