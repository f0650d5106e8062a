"""Why a training run ends without a result, and the exit code that says whether trying again is useful."""

from __future__ import annotations

# As in the Jobs' contract: 42 and 44 are final, 1 may be tried again.
EXIT_RETRY = 1
EXIT_REFUSED = 42
EXIT_CONFIGURATION = 44


class TrainingError(Exception):
    """A reason for tools and a message for people. Both may leave the organization: never data in them."""

    exit_code = EXIT_RETRY

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Misconfigured(TrainingError):  # noqa: N818
    """The pod's environment is not what the contract says."""

    exit_code = EXIT_CONFIGURATION


class Refused(TrainingError):  # noqa: N818
    """Input or result is bad and stays bad: a base of another model, weights that are not finite."""

    exit_code = EXIT_REFUSED


class TrainingRefused(Refused):
    """Raised by training code that cannot go on, whatever is retried; its message is reported as it is written."""

    def __init__(self, message: str) -> None:
        super().__init__("TrainingRefused", message)


class TrainerFailed(TrainingError):  # noqa: N818
    """Training code raised an exception of its own; its text stays in the container's log, as it may quote data."""

    def __init__(self, message: str) -> None:
        super().__init__("TrainerFailed", message)
