"""The trainer's report, and the checks of what the trainer left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from fedsnap.formats.content_root import content_root
from fedsnap.formats.control import Plan
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.results import MAX_METRICS

_MAX_REPORT_BYTES = 64 * 1024
ShortName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_./-]+$")]
ShortText = Annotated[str, Field(max_length=128)]


class Report(BaseModel):
    """`output/report.json`: how many examples were used, and what the trainer measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    examples: int = Field(ge=1, le=2**31)
    metrics: dict[ShortName, FiniteFloat] = Field(default_factory=dict, max_length=MAX_METRICS)
    framework: dict[ShortName, ShortText] = Field(default_factory=dict, max_length=MAX_METRICS)


def read_report(path: Path) -> Report:
    """The trainer's report.

    Raises:
        Refused: ReportMissing or ReportInvalid, with the first thing that is wrong.
    """
    try:
        with _open_own(path) as file:
            data = file.read(_MAX_REPORT_BYTES + 1)
    except OSError:
        raise Refused("ReportMissing", "the trainer wrote no report.json into FEDSNAP_OUTPUT_DIR") from None
    if len(data) > _MAX_REPORT_BYTES:
        raise Refused("ReportInvalid", f"report.json has more than {_MAX_REPORT_BYTES} bytes; report less")
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # A name that the trainer chose is not repeated: it may say anything.
        where = str(first["loc"][0]) if first["loc"] and first["loc"][0] in Report.model_fields else "the document"
        raise Refused("ReportInvalid", f"report.json is wrong at {where!r}: {first['msg']}") from None


def _open_own(path: Path) -> BinaryIO:
    """A regular file that the trainer wrote; never what a link or a pipe of its making leads to.

    Raises:
        OSError: where it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return os.fdopen(descriptor, "rb")


def open_update(path: Path) -> TensorFile:
    """The weights that the trainer wrote.

    Raises:
        Refused: UpdateMissing or UpdateInvalid (not safetensors, truncated, trailing bytes).
    """
    if path.is_symlink() or not path.is_file():
        raise Refused("UpdateMissing", "the trainer wrote no model.safetensors into FEDSNAP_OUTPUT_DIR")
    try:
        return TensorFile.open(path)
    except InvalidFormat as error:
        raise Refused("UpdateInvalid", f"the trainer's model.safetensors cannot be read: {error}") from None


def expect_same_model(plan: Plan, base: TensorFile, trained: TensorFile) -> None:
    """The trainer left the base alone, and wrote the same tensors.

    Raises:
        Refused: PlanMismatch, BaseChanged or LayoutMismatch, naming the first tensor that differs.
    """
    if base.layout.coordinates != plan.coordinates:
        raise Refused(
            "PlanMismatch", f"the plan says {plan.coordinates} coordinates, the base has {base.layout.coordinates}"
        )
    if content_root(base) != plan.base.content_root:
        raise Refused("BaseChanged", "the trainer changed base/model.safetensors; it must write to FEDSNAP_OUTPUT_DIR")
    difference = base.layout.first_difference(trained.layout)
    if difference:
        raise Refused("LayoutMismatch", f"the trained model is not laid out as its base: {difference}")
