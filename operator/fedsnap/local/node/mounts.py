"""Mount paths of a container, and the directories that stand for them.

Processes share the machine's file system, so paths in their environment and arguments are rewritten instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Backing:
    """What stands for one mount path."""

    mount_path: str
    path: Path


class Mounts:
    """The mounts of one container; the longest mount path wins."""

    def __init__(self, backings: Iterable[Backing]) -> None:
        self._backings = sorted(backings, key=lambda one: len(one.mount_path.rstrip("/")), reverse=True)

    def backing(self, mount_path: str) -> Path | None:
        """What stands for exactly this mount path."""
        wanted = mount_path.rstrip("/")
        return next((one.path for one in self._backings if one.mount_path.rstrip("/") == wanted), None)

    def rewrite(self, value: str) -> str:
        """`/data/x` as `<backing of /data>/x`; other values as they are."""
        for one in self._backings:
            prefix = one.mount_path.rstrip("/")
            if prefix and (value == prefix or value.startswith(f"{prefix}/")):
                return f"{one.path}{value[len(prefix) :]}"
        return value

    def rewrite_argument(self, argument: str) -> str:
        """As `rewrite`, also after each `=`: `--data=/data/x`."""
        return "=".join(self.rewrite(part) for part in argument.split("="))
