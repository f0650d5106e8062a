"""A whole local cluster in one directory: control plane, OpenBao, S3 and process node; up, down, and what is up."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedsnap.local import agent, control_plane, openbao, resources, seaweedfs
from fedsnap.local.binaries import Kubernetes, kubernetes
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.openbao import VaultServer
from fedsnap.local.ports import free_ports
from fedsnap.local.processes import Processes
from fedsnap.local.seaweedfs import Identity, S3Server

DEFAULT_NAME = "fedsnap"
DEFAULT_BUCKETS = ("fedsnap",)
_MARKER = "cluster.json"
_PORTS = (*control_plane.PORTS, *openbao.PORTS, *seaweedfs.PORTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running local cluster, and how to reach each part.

    `kubeconfig` is the administrator's. `token_key` is the public key (PEM) of service accounts' tokens, `issuer` their
    `iss`. `vault` and `s3` are None where the cluster was started without services.
    """

    directory: Path
    kubeconfig: Path
    server: str
    authority: Path
    kubectl: Path
    token_key: str
    issuer: str
    vault: VaultServer | None
    s3: S3Server | None

    def environment(self) -> dict[str, str]:
        """What a shell needs to use the cluster."""
        found = {"KUBECONFIG": str(self.kubeconfig)}
        if self.vault:
            found["BAO_ADDR"] = found["VAULT_ADDR"] = self.vault.address
        if self.s3:
            found["AWS_ENDPOINT_URL"] = self.s3.endpoint
        return found


def state_directory(name: str = DEFAULT_NAME) -> Path:
    """`$FEDSNAP_STATE/<name>`, `$XDG_STATE_HOME/fedsnap/<name>` or `~/.local/state/fedsnap/<name>`."""
    if chosen := os.environ.get("FEDSNAP_STATE"):
        return Path(chosen) / name
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fedsnap" / name


def start(
    directory: Path,
    *,
    identities: Sequence[Identity] | None = None,
    buckets: Sequence[str] = DEFAULT_BUCKETS,
    services: bool = True,
    node: bool = False,
    images: Mapping[str, Any] | None = None,
    die_with_us: bool = False,
) -> Cluster:
    """Bring the cluster of a directory up; what runs already is left alone, what ended is started anew.

    Args:
        directory: Where all state, credentials and logs go; made where it is missing.
        identities: Whom the S3 server knows besides `admin`; other ones than before restart it, None changes nothing.
        buckets: S3 buckets that shall exist.
        services: Whether OpenBao and S3 run.
        node: Whether the process node runs.
        images: Image references that the process node can run; see `fedsnap.local.node`.
        die_with_us: The kernel kills all processes when this one ends (Linux).

    Raises:
        LocalClusterError: telling which program, process or object failed.
    """
    directory = directory.absolute()
    programs = kubernetes()
    with _locked(directory):
        record = _record(directory, programs, services=services)
        ports = record.ports
        processes = Processes(directory, die_with_us=die_with_us)
        plane = control_plane.prepare(directory, ports)
        if services:
            openbao.start(directory / "openbao", ports, plane.token_key, processes)
            seaweedfs.start(directory / "s3", ports, identities, processes)
        control_plane.start(plane, ports, programs, processes)
        resources.define_kinds(plane.api)
        if services:
            openbao.wait(directory / "openbao", ports, processes)
            seaweedfs.wait(directory / "s3", ports, buckets, processes)
        if node:
            agent.start(plane, images or agent.default_images(), processes)
        return _described(directory, record)


def known(directory: Path) -> Cluster:
    """The cluster of a directory as it was started last, whether or not it runs.

    Raises:
        LocalClusterError: where there is none.
    """
    directory = directory.absolute()
    found = _read_record(directory)
    if found is None:
        raise LocalClusterError(f"no local cluster in {directory}; start one with `python -m fedsnap.local up`")
    return _described(directory, found)


def stop(directory: Path) -> None:
    """End all processes of the cluster and remove its directory; that there is none is fine.

    Raises:
        LocalClusterError: where the directory is not a cluster's.
    """
    directory = directory.absolute()
    if not directory.exists():
        return
    record = _read_record(directory)
    if record is None:
        raise LocalClusterError(f"expected {_MARKER} in {directory}; this is no local cluster, nothing was removed")
    with _locked(directory):
        processes = Processes(directory)
        # The node first and gently: its pods end as pods, while there is an API server to tell. All else is removed
        # with its data, so nothing is gained by waiting for it.
        processes.stop(agent.PROCESS)
        seaweedfs.stop(record.ports, processes)
        processes.stop(*(process.name for process in processes.all()), how=signal.SIGKILL)
        shutil.rmtree(directory)
    _lock_file(directory).unlink(missing_ok=True)


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[Cluster]:  # noqa: ANN401 - those of start()
    """A cluster for the time of a block; its processes also end when this interpreter does."""
    try:
        yield start(directory, **{"die_with_us": True, **options})
    finally:
        stop(directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What a cluster's directory remembers of its start."""

    ports: dict[str, int]
    programs: str
    services: bool


def _record(directory: Path, programs: Kubernetes, *, services: bool) -> _Record:
    """The record of a first or a later start; ports stay, and services that were once there too."""
    before = _read_record(directory)
    if before is None and directory.exists() and any(directory.iterdir()):
        raise LocalClusterError(f"expected {directory} to be empty or a local cluster's; choose another directory")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = _Record(
        ports=before.ports if before else free_ports(_PORTS),
        programs=str(programs.directory),
        services=services or bool(before and before.services),
    )
    (directory / _MARKER).write_text(json.dumps(asdict(made), indent=2), encoding="utf-8")
    return made


def _read_record(directory: Path) -> _Record | None:
    try:
        return _Record(**json.loads((directory / _MARKER).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _described(directory: Path, record: _Record) -> Cluster:
    plane = control_plane.prepare(directory, record.ports)
    return Cluster(
        directory=directory,
        kubeconfig=plane.kubeconfig,
        server=plane.server,
        authority=plane.authority.certificate,
        kubectl=Kubernetes(Path(record.programs)).program("kubectl"),
        token_key=plane.token_key,
        issuer=control_plane.ISSUER,
        vault=openbao.server(directory / "openbao", record.ports) if record.services else None,
        s3=seaweedfs.server(directory / "s3", record.ports) if record.services else None,
    )


def _lock_file(directory: Path) -> Path:
    return directory.parent / f".{directory.name}.lock"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One at a time may start or stop the cluster of a directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(directory).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
