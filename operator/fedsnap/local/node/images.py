"""Which image name stands for which programs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fedsnap.clients.errors import Misconfigured
from fedsnap.local.node.errors import CannotStart

PYTHON_NAMES = ("python", "python3")


class Image(BaseModel):
    """How processes of an image run.

    Attributes:
        path: directories before the machine's own in PATH, joined by `:`.
        python: interpreter that stands for `python` and `python3`.
        env: variables that the pod's own override.
        entrypoint: command of containers that give none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = ""
    python: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()

    def argv(self, command: tuple[str, ...], args: tuple[str, ...]) -> tuple[str, ...]:
        """Program and arguments.

        Raises:
            CannotStart: where neither the container nor the image names a program.
        """
        argv = (*(command or self.entrypoint), *args)
        if not argv:
            raise CannotStart("CreateContainerError", "expected a command in the container or in the image map")
        if self.python and argv[0] in PYTHON_NAMES:
            return (self.python, *argv[1:])
        return argv


_IMAGES = TypeAdapter(dict[str, Image])


def read_images(path: Path) -> dict[str, Image]:
    """The image map of a JSON file: `{"fedsnap:dev": {"path": "/opt/venv/bin"}}`.

    Raises:
        Misconfigured: where the file cannot be read or is not an image map.
    """
    try:
        return _IMAGES.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Misconfigured("ImageMap", f"expected a JSON map of images in {path}: {error}") from error


def image_named(images: Mapping[str, Image], name: str) -> Image:
    """The image of a container.

    Raises:
        CannotStart: with ErrImageNeverPull where the map lacks it; nothing is ever pulled.
    """
    if name in images:
        return images[name]
    known = ", ".join(sorted(images)) or "none"
    raise CannotStart("ErrImageNeverPull", f"expected an image of this node's image map ({known}), got {name}")
