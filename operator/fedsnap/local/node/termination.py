"""Termination messages: what a container says about its end."""

from __future__ import annotations

from pathlib import Path

from fedsnap.local.node.podspec import Container

# As kubelet: bytes of the message, and bytes and lines of the log where it stands in for one.
MAX_MESSAGE = 4096
MAX_LOG_MESSAGE = 2048
MAX_LOG_LINES = 80


def termination_message(container: Container, file: Path, output: Path, code: int) -> str:
    """What the program wrote for its end; with FallbackToLogsOnError, else the end of its output."""
    message = _read(file)[:MAX_MESSAGE]
    if not message and code and container.termination_message_policy == "FallbackToLogsOnError":
        lines = _tail(output, MAX_LOG_MESSAGE).splitlines(keepends=True)
        message = b"".join(lines[-MAX_LOG_LINES:])
    return message.decode("utf-8", "replace")


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_MESSAGE)
    except OSError:
        return b""


def _tail(file: Path, size: int) -> bytes:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - size))
            return opened.read(size)
    except OSError:
        return b""
