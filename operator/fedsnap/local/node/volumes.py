"""The volumes of a pod as directories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedsnap.local.node.environment import expand
from fedsnap.local.node.errors import CannotStart, unmountable
from fedsnap.local.node.fields import field_of
from fedsnap.local.node.mounts import Backing, Mounts
from fedsnap.local.node.podspec import Container, Mount, Pod
from fedsnap.local.node.sources import Content, Sources
from fedsnap.local.node.volumespec import DownwardVolume, HostPath, KeyToPath, ProjectedSource, TokenSource, Volume

FILE_MODE = 0o644
SECRET_MODE = 0o400


@dataclass(frozen=True, slots=True)
class File:
    """One file to write, below its volume's directory."""

    path: PurePosixPath
    content: bytes
    mode: int = FILE_MODE


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One token to ask for, write and keep fresh."""

    path: Path
    audience: str
    seconds: int


@dataclass(frozen=True, slots=True)
class LaidOut:
    """The volumes of a pod: their directories by name, and the tokens that belong in them."""

    directories: Mapping[str, Path]
    tokens: tuple[TokenFile, ...]


def below(path: str) -> PurePosixPath:
    """A path inside a volume.

    Raises:
        CannotStart: where it would lead out of it.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise unmountable(f"expected a relative path without .. inside a volume, got {path}")
    return relative


async def lay_out(pod: Pod, root: Path, claims: Path, sources: Sources) -> LaidOut:
    """Make all volumes of a pod under `root`; claims outlive it under `claims`.

    Raises:
        CannotStart: where something that is referred to is missing, or the kind of volume is not known here.
    """
    directories: dict[str, Path] = {}
    tokens: list[TokenFile] = []
    for volume in pod.spec.volumes:
        directory = _directory(volume, pod, root, claims)
        for file in await _files(volume, pod, sources):
            write(directory / file.path, file.content, file.mode)
        tokens += _tokens(volume, directory)
        directories[volume.name] = directory
    return LaidOut(directories, tuple(tokens))


def _directory(volume: Volume, pod: Pod, root: Path, claims: Path) -> Path:
    if volume.host_path:
        return _host_directory(volume.name, volume.host_path)
    if volume.persistent_volume_claim:
        directory = claims / f"{pod.metadata.namespace}_{volume.persistent_volume_claim.claim_name}"
    elif volume.empty_dir or volume.config_map or volume.secret or volume.projected or volume.downward_api:
        directory = root / below(volume.name)
    else:
        raise unmountable(
            f"volume {volume.name}: expected an emptyDir, configMap, secret, projected, downwardAPI, hostPath or "
            "persistentVolumeClaim; process nodes know no other volumes"
        )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def _host_directory(name: str, host: HostPath) -> Path:
    path = Path(host.path)
    if host.type == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    if host.type == "FileOrCreate":
        path.touch()
    if host.type and not path.exists():
        raise unmountable(f"volume {name}: expected {host.type} at {path} of this machine, found nothing")
    return path


async def _files(volume: Volume, pod: Pod, sources: Sources) -> list[File]:
    """What belongs in a volume, tokens aside; of two files at one path the later wins."""
    files: list[File] = []
    for one in _projections(volume):
        if one.config_map:
            content = await sources.config_map(one.config_map.name, optional=one.config_map.optional)
            files += _keyed(content, one.config_map.items, FILE_MODE, optional=one.config_map.optional)
        if one.secret:
            name = one.secret.name or one.secret.secret_name
            content = await sources.secret(name, optional=one.secret.optional)
            files += _keyed(content, one.secret.items, SECRET_MODE, optional=one.secret.optional)
        if one.downward_api:
            files += _downward(one.downward_api, pod)
    return list({file.path: file for file in files}.values())


def _projections(volume: Volume) -> Iterable[ProjectedSource]:
    if volume.projected:
        return volume.projected.sources
    return (ProjectedSource(config_map=volume.config_map, secret=volume.secret, downwardAPI=volume.downward_api),)


def _keyed(content: Content, items: tuple[KeyToPath, ...], mode: int, *, optional: bool) -> Iterator[File]:
    if not items:
        yield from (File(below(key), value, mode) for key, value in content.items())
    for item in items:
        if item.key in content:
            yield File(below(item.path), content[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise unmountable(f"expected key {item.key}, got {sorted(content)}")


def _downward(volume: DownwardVolume, pod: Pod) -> Iterator[File]:
    for item in volume.items:
        if item.field_ref is None:
            raise unmountable(f"downward file {item.path}: expected a fieldRef; process nodes know no other source")
        text = field_of(pod, item.field_ref.field_path)
        yield File(below(item.path), text.encode(), FILE_MODE if item.mode is None else item.mode)


def _tokens(volume: Volume, directory: Path) -> Iterator[TokenFile]:
    for source in volume.projected.sources if volume.projected else ():
        token: TokenSource | None = source.service_account_token
        if token:
            yield TokenFile(directory / below(token.path), token.audience, token.expiration_seconds)


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file at once, so that a reader sees the old or the new content and never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    partial.replace(path)


def mounts_of(
    container: Container, directories: Mapping[str, Path], variables: Mapping[str, str], termination_log: Path
) -> Mounts:
    """What stands for each mount path of a container, the termination message's file included.

    Raises:
        CannotStart: where a mount names no volume or leads out of one.
    """
    backings = [Backing(one.mount_path, _backing(one, directories, variables)) for one in container.volume_mounts]
    return Mounts([*backings, Backing(container.termination_message_path, termination_log)])


def _backing(mount: Mount, directories: Mapping[str, Path], variables: Mapping[str, str]) -> Path:
    directory = directories.get(mount.name)
    if directory is None:
        raise unmountable(f"mount {mount.mount_path}: expected a volume of {sorted(directories)}, got {mount.name}")
    sub_path = mount.sub_path or expand(mount.sub_path_expr, variables)
    if not sub_path:
        return directory
    path = directory / below(sub_path)
    if not path.resolve().is_relative_to(directory.resolve()):
        raise CannotStart("CreateContainerConfigError", f"subPath {sub_path} leads out of volume {mount.name}")
    if not path.exists():
        path.mkdir(parents=True)
    return path


def remove(directory: Path) -> None:
    """Remove a directory that a pod used; what a process left unreadable is made readable first."""

    def make_way(_function: object, path: str, _error: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    if directory.exists():
        shutil.rmtree(directory, onerror=make_way)
