"""One small hierarchy of errors, and the one place that maps an error to a condition and to when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import ValidationError

from fedsnap.api.schema import RECONCILING, STALLED
from fedsnap.clients.cluster import LostRace
from fedsnap.clients.errors import ClientError, Misconfigured, NotFound, PermissionDenied, Terminal

Kind = Literal["waiting", "transient", "terminal"]
LOOK_AGAIN = timedelta(minutes=1)


class Waiting(Exception):  # noqa: N818 - it is a state, not an error
    """Something that others do has to happen first."""

    def __init__(self, reason: str, message: str, after: timedelta = LOOK_AGAIN) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.after = after


FAILURES = (Waiting, ClientError, ValidationError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What an error means for the object.

    Attributes:
        kind: transient failures are retried with backoff, waiting ones after `requeue_after`, terminal ones not.
        reported: whether it is worth a condition; lost races are not.
    """

    kind: Kind
    reason: str
    message: str
    requeue_after: timedelta | None = None
    reported: bool = True

    @property
    def condition(self) -> str:
        """Abnormal-true condition types as kstatus knows them, so that tools understand them."""
        return STALLED if self.kind == "terminal" else RECONCILING


def failure_of(error: Exception) -> Failure:
    """What an error of `FAILURES` means."""
    match error:
        case Waiting():
            return Failure(kind="waiting", reason=error.reason, message=error.message, requeue_after=error.after)
        case PermissionDenied() | NotFound() | Misconfigured():
            # Somebody grants, creates or mounts it, and no event tells us.
            return Failure(kind="waiting", reason=error.reason, message=error.message, requeue_after=LOOK_AGAIN)
        case ValidationError():
            return Failure(kind="terminal", reason="InvalidObject", message=_fields(error))
        case LostRace():
            return Failure(kind="transient", reason=error.reason, message=error.message, reported=False)
        case Terminal():
            return Failure(kind="terminal", reason=error.reason, message=error.message)
        case ClientError():
            return Failure(kind="transient", reason=error.reason, message=error.message)
    raise AssertionError(f"expected one of FAILURES, got {type(error).__name__}")


def _fields(error: ValidationError) -> str:
    """The paths that are wrong; never the values, which may be anything."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return f"{error.title}: " + "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:8])
