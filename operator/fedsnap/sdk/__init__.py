"""What training code imports: `run`, the `Context` that a training function is given, the `Result` it returns."""

from fedsnap.sdk.context import Context
from fedsnap.sdk.errors import TrainingRefused
from fedsnap.sdk.result import Result
from fedsnap.sdk.runner import execute, run

__all__ = ["Context", "Result", "TrainingRefused", "execute", "run"]
