"""The process node: an agent that runs pods as processes, started beside the control plane."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsnap.local import control_plane
from fedsnap.local.control_plane import ControlPlane
from fedsnap.local.processes import Processes
from fedsnap.local.resources import allow_node

PROCESS = "node"
NODE = "local"
_MODULE = "fedsnap.local.node"
_HERE = Path(sys.executable).parent


def default_images() -> dict[str, Any]:
    """Image references that this virtual environment stands for."""
    return {"fedsnap:dev": {"path": str(_HERE), "python": sys.executable}}


def start(plane: ControlPlane, images: Mapping[str, Any], processes: Processes) -> None:
    """Start the agent where it does not run, and wait until its Node is ready.

    Raises:
        NotStarted: with the log's tail.
    """
    directory = plane.directory / "node"
    directory.mkdir(exist_ok=True)
    images_file = directory / "images.json"
    content = json.dumps(dict(images), indent=2)
    if images_file.exists() and images_file.read_text(encoding="utf-8") != content:
        processes.stop(PROCESS)
    images_file.write_text(content, encoding="utf-8")
    user = f"system:node:{NODE}"
    allow_node(plane.api, user, control_plane.NODE_CLIENT)
    kubeconfig = control_plane.user(plane, user, "system:nodes")
    processes.start(PROCESS, _command(kubeconfig, directory, images_file))
    processes.wait_until(PROCESS, lambda: _ready(plane))


def _command(kubeconfig: Path, directory: Path, images: Path) -> list[str]:
    options = [f"--kubeconfig={kubeconfig}", f"--name={NODE}", f"--state-dir={directory}", f"--images={images}"]
    return [sys.executable, "-m", _MODULE, *options]


def _ready(plane: ControlPlane) -> bool:
    found = plane.api.get("/api/v1/nodes").get("items", ())
    conditions = [one for node in found for one in node.get("status", {}).get("conditions") or ()]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
