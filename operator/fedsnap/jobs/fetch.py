"""Init container `fetch`: bring the base snapshot into the pod of a training Job."""

from __future__ import annotations

import sys
from pathlib import Path

from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.entry import Environment, run
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.results import FetchResult
from fedsnap.jobs.snapshots import open_snapshot
from fedsnap.jobs.tasks import FetchTask
from fedsnap.jobs.trusted import expect_member, read_plan


def base_file(work: Path) -> Path:
    """Where the base weights lie for the trainer and for `seal`."""
    return work / "base" / "model.safetensors"


def output_directory(work: Path) -> Path:
    """Where the trainer writes."""
    return work / "output"


def fetch(task: FetchTask, environment: Environment) -> FetchResult:
    """Verify the plan, decrypt its base snapshot, and make the trainer's directories."""
    store, work = environment.store(task.store), environment.work
    plan = read_plan(task, store)
    expect_member(plan, task.organization)
    target = base_file(work)
    open_snapshot(plan.base, environment.vault(task.vault), store, target)
    with TensorFile.open(target) as base:
        if base.layout.digest != plan.layout_digest:
            raise Refused(
                "LayoutMismatch", f"the plan trains layout {plan.layout_digest}, its base has {base.layout.digest}"
            )
    output_directory(work).mkdir(exist_ok=True)
    return FetchResult(content_root=plan.base.content_root, bytes=target.stat().st_size)


if __name__ == "__main__":
    sys.exit(run(FetchTask, fetch))
