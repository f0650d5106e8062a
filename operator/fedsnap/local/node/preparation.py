"""Everything a container's process needs before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedsnap.clients.errors import Misconfigured
from fedsnap.local.node.environment import Context, Program, Surroundings, declared, program
from fedsnap.local.node.errors import CannotStart
from fedsnap.local.node.images import image_named, read_images
from fedsnap.local.node.podspec import Container, Pod
from fedsnap.local.node.sources import Reader, Sources
from fedsnap.local.node.volumes import mounts_of, remove

MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program and the directory that it starts in."""

    program: Program
    directory: Path


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of one container: `kept` holds record and logs, `scratch` what goes with the pod."""

    kept: Path
    scratch: Path

    @property
    def record(self) -> Path:
        """What the node remembers."""
        return self.kept / "record.json"

    @property
    def termination_log(self) -> Path:
        """Where the program writes its termination message."""
        return self.scratch / "termination-log"

    @property
    def work(self) -> Path:
        """The process's own directory, fresh for each run."""
        return self.scratch / "work"

    def log(self, restarts: int) -> Path:
        """The output of one run."""
        return self.kept / f"{restarts}.log"


@dataclass(frozen=True, slots=True)
class PodPlaces:
    """Directories of one pod."""

    root: Path

    @property
    def scratch(self) -> Path:
        """What goes with the pod: volumes and the processes' own directories."""
        return self.root / ".scratch"

    @property
    def volumes(self) -> Path:
        """The volumes, by name."""
        return self.scratch / "volumes"

    def container(self, name: str) -> Places:
        """Directories of one of its containers."""
        return Places(self.root / name, self.scratch / "containers" / name)


def pod_places(state: Path, pod: Pod) -> PodPlaces:
    """Where a pod's files lie: `pods/<namespace>_<name>_<uid>`, long names cut to what file systems take."""
    metadata = pod.metadata
    return PodPlaces(state / "pods" / f"{metadata.namespace}_{metadata.name[:MAX_NAME]}_{metadata.uid}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Prepares the containers of one pod whose volumes are laid out."""

    pod: Pod
    reader: Reader
    images_file: Path
    around: Surroundings
    pod_places: PodPlaces
    directories: Mapping[str, Path]

    def places(self, container: Container) -> Places:
        """Directories of a container."""
        return self.pod_places.container(container.name)

    async def prepare(self, container: Container) -> Prepared:
        """Image, environment, mounts and a fresh working directory.

        Raises:
            CannotStart: where something that the container refers to is not there.
            ClientError: where the API server does not answer.
        """
        try:
            # Read anew each time: a container that waits for its image starts once the map has it.
            image = image_named(read_images(self.images_file), container.image)
        except Misconfigured as error:
            raise CannotStart("ErrImageNeverPull", error.message) from error
        context = Context(self.pod, Sources(self.reader, self.pod.metadata.namespace), self.around)
        variables = await declared(container, context)
        places = self.places(container)
        _make_fresh(places)
        mounts = mounts_of(container, self.directories, variables, places.termination_log)
        directory = Path(mounts.rewrite(container.working_dir)) if container.working_dir else places.work
        return Prepared(program(container, image, variables, mounts, context), directory)


def _make_fresh(places: Places) -> None:
    remove(places.scratch)
    places.work.mkdir(parents=True, mode=0o700)
    places.termination_log.touch(mode=0o600)
    places.kept.mkdir(parents=True, exist_ok=True)
