"""The termination message of a run that failed, and lines of JSON for the container's log."""

from __future__ import annotations

import json
import sys
import sysconfig
import traceback
from pathlib import Path

from fedsnap.sdk.errors import TrainerFailed

# The kubelet cuts a message at 4096 bytes; a character of JSON text has up to 6.
_MAX_REASON = 64
_MAX_MESSAGE = 600
_SDK = str(Path(__file__).parent)
_INSTALLED = ("<frozen ", *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))


def trainer_failed(error: BaseException) -> TrainerFailed:
    """The failure that says what training code raised and where, and leaves out its text: that may quote data."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_SDK)]
    where = ""
    if frames:
        own = _line_to_look_at(frames)
        where = f" at {Path(own.filename).name}:{own.lineno} ({own.name})"
    return TrainerFailed(f"training raised {type(error).__name__}{where}; its text is in the train container's log")


def write_failure(path: Path, reason: str, message: str) -> None:
    """Write `{"error": {"reason", "message"}}` where the kubelet looks for it."""
    text = json.dumps({"error": {"reason": reason[:_MAX_REASON], "message": message[:_MAX_MESSAGE]}})
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        log("termination message not written", path=str(path), error=type(error).__name__)


def log(event: str, **fields: str | int | float) -> None:
    """One line of JSON on standard error."""
    print(json.dumps({"event": event, **fields}), file=sys.stderr, flush=True)  # noqa: T201


def _line_to_look_at(frames: list[traceback.FrameSummary]) -> traceback.FrameSummary:
    """The deepest frame outside installed packages, or, where the trainer is one itself, its outermost."""
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)]
    return own[-1] if own else frames[0]
