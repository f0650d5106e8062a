"""From a process to a Job and back: environment, task, exit code, termination message, one-line JSON logs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from fedsnap.clients.errors import ClientError, Misconfigured
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.jobs.errors import BAD_BYTES, exit_code, refusal
from fedsnap.jobs.results import EXIT_RETRY, MAX_MESSAGE_BYTES, Failure, FailureMessage, Result

_MAX_TASK_BYTES = 1024 * 1024
_MAX_SHOWN = 1024
TaskT = TypeVar("TaskT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the pod gives a Job: directories and files, by name."""

    values: Mapping[str, str]

    def required(self, name: str) -> str:
        """The value of `name`.

        Raises:
            Misconfigured: where it is not set.
        """
        if not self.values.get(name):
            raise Misconfigured("EnvironmentMissing", f"the environment variable {name} is not set; set it in the pod")
        return self.values[name]

    @property
    def work(self) -> Path:
        """The directory that the pod's containers share."""
        return Path(self.required("FEDSNAP_WORK"))

    def index(self, shards: int) -> int:
        """The completion index of this pod of an Indexed Job, below `shards`."""
        text = self.required("JOB_COMPLETION_INDEX")
        if not text.isdecimal() or int(text) >= shards:
            raise Misconfigured("IndexInvalid", f"expected JOB_COMPLETION_INDEX in 0..{shards - 1}, got {text[:32]!r}")
        return int(text)

    def vault(self, settings: VaultSettings) -> VaultClient:
        """A client that logs in with the pod's projected token."""
        token_file = settings.token_file or self.required("FEDSNAP_VAULT_TOKEN_FILE")
        return VaultClient(settings.model_copy(update={"token_file": token_file}))

    def store(self, settings: StoreSettings) -> Store:
        """A client with the pod's mounted credentials."""
        directory = settings.credentials_directory or self.required("FEDSNAP_STORE_CREDENTIALS")
        return Store(settings.model_copy(update={"credentials_directory": directory}))

    def task(self, kind: type[TaskT]) -> TaskT:
        """The task that the pod was given.

        Raises:
            Misconfigured: where it is missing or is not such a task.
        """
        path = Path(self.required("FEDSNAP_TASK"))
        try:
            with path.open("rb") as file:
                return kind.model_validate_json(file.read(_MAX_TASK_BYTES))
        except OSError as error:
            raise Misconfigured("TaskNotFound", f"cannot read the task at {path} ({type(error).__name__})") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Misconfigured("TaskInvalid", f"the task at {path} is wrong at {where!r}: {first['msg']}") from None


def run(kind: type[TaskT], job: Callable[[TaskT, Environment], Result]) -> int:
    """Run a Job's body on its task; the exit code says whether to try again."""
    environment, started = Environment(os.environ), time.monotonic()
    try:
        result = job(environment.task(kind), environment)
    except BAD_BYTES as error:
        refused = refusal(error)
        return _fail(environment, refused.reason, refused.message, exit_code(refused))
    except ClientError as error:
        return _fail(environment, error.reason, error.message, exit_code(error))
    except Exception as error:  # noqa: BLE001  # the border of the process: whatever it is, it is reported and retried
        return _fail(environment, "Unexpected", f"{type(error).__name__}: {error}", EXIT_RETRY)
    _report(environment, result.to_json())
    log("done", job=job.__module__, seconds=round(time.monotonic() - started, 3))
    return 0


def log(event: str, **fields: str | int | float) -> None:
    """One line of JSON on standard error; never a secret, never an example."""
    print(json.dumps({"event": event, **fields}), file=sys.stderr, flush=True)  # noqa: T201


def _fail(environment: Environment, reason: str, message: str, code: int) -> int:
    log("failed", reason=reason, message=message[:_MAX_SHOWN], exitCode=code)
    _report(environment, FailureMessage(error=Failure(reason=reason, message=message[:_MAX_SHOWN])).to_json())
    return code


def _report(environment: Environment, text: str) -> None:
    path = Path(environment.values.get("FEDSNAP_TERMINATION_LOG") or "/dev/termination-log")
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        # The work is done and stored: failing now would only hide it.
        log("termination message too long", expected=MAX_MESSAGE_BYTES, bytes=len(text.encode()))
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        log("termination message not written", path=str(path), error=type(error).__name__)
