"""A train container from its start to its exit code."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

import torch
from torch import nn

from fedsnap.sdk.context import Context
from fedsnap.sdk.environment import (
    DEFAULT_TERMINATION_LOG,
    MODEL_FILE,
    REPORT_FILE,
    Initialization,
    Training,
    read_task,
)
from fedsnap.sdk.errors import TrainingError
from fedsnap.sdk.reproducibility import pick_device, seed_everything
from fedsnap.sdk.result import Result, report
from fedsnap.sdk.termination import log, trainer_failed, write_failure
from fedsnap.sdk.weights import atomically, layout, load_base, save

BuildModel = Callable[[], nn.Module]
Train = Callable[[Context], Result]
T = TypeVar("T")


def run(build_model: BuildModel, train: Train, *, deterministic: bool = True) -> NoReturn:
    """Do what the container was started for, and end the process with the exit code of the contract.

    Args:
        build_model: makes the model; its first weights come from the round's seed.
        train: trains `context.model` in place and says on how many examples.
        deterministic: whether torch refuses operations that differ from run to run.
    """
    sys.exit(execute(build_model, train, os.environ, deterministic=deterministic))


def execute(
    build_model: BuildModel, train: Train, environment: Mapping[str, str], *, deterministic: bool = True
) -> int:
    """As `run`, but on an environment of the caller's, and the exit code is returned."""
    try:
        task = read_task(environment)
        seed_everything(task.seed, deterministic=deterministic)
        if isinstance(task, Initialization):
            _initialize(task, build_model)
        else:
            _train(task, build_model, train)
    except TrainingError as error:
        return _fail(environment, error)
    except Exception as error:  # noqa: BLE001  (the border of the process: whatever it is, it is reported)
        traceback.print_exc()
        return _fail(environment, TrainingError("Unexpected", f"the training SDK raised {type(error).__name__}"))
    return 0


def _initialize(task: Initialization, build_model: BuildModel) -> None:
    model = _theirs(build_model)
    tensors = layout(model)
    save(model, task.output / MODEL_FILE, tensors)
    log("initialized", seed=task.seed, tensors=len(tensors))


def _train(task: Training, build_model: BuildModel, train: Train) -> None:
    device, started = pick_device(), time.monotonic()
    log("training", round=task.round, device=str(device), torch=str(torch.__version__))
    model = _theirs(build_model)
    expected = layout(model)
    load_base(model, task.base / MODEL_FILE)
    context = Context.start(model, task.hyperparameters, device=device, round=task.round, seed=task.seed)
    result = _theirs(lambda: train(context))
    text = report(result, device)
    save(model, task.output / MODEL_FILE, expected)
    atomically(task.output / REPORT_FILE, lambda partial: _write(partial, text))
    log("trained", examples=result.examples, seconds=round(time.monotonic() - started, 3))


def _theirs(call: Callable[[], T]) -> T:
    """Call training code; whatever it raises becomes TrainerFailed, unless it is a refusal of its own."""
    try:
        return call()
    except TrainingError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  (training code may raise anything)
        traceback.print_exc()
        raise trainer_failed(error) from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _fail(environment: Mapping[str, str], error: TrainingError) -> int:
    log("failed", reason=error.reason, message=error.message, exitCode=error.exit_code)
    path = Path(environment.get("FEDSNAP_TERMINATION_LOG") or DEFAULT_TERMINATION_LOG)
    write_failure(path, error.reason, error.message)
    return error.exit_code
