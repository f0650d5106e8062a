"""SeaweedFS as an S3 server, with identities that may do what they are given and nothing else."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedsnap.clients.errors import ClientError
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.local.binaries import program
from fedsnap.local.certificates import write_private
from fedsnap.local.ports import COMPANION, LOOPBACK
from fedsnap.local.processes import Processes

PROCESS = "seaweedfs"
PORTS = ("s3", "s3-master", "s3-volume", "s3-filer")
ADMIN = "admin"
_READY = ".ready"
# Volumes are files that grow; each bucket has some of its own, and those of the default (8) serve one bucket.
_VOLUMES = 1000
_GROWTH = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
# Compiled into SeaweedFS.
_SOCKETS = Path("/tmp")  # noqa: S108


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom the S3 server knows, and what they may do.

    `actions` are SeaweedFS' own: `Read`, `Write`, `List`, `Tagging`, `Admin`, alone or for a bucket and prefix, as in
    `Write:fedsnap/rounds/*/sealed/north/*`: `*` stands for any characters, also slashes, `?` for one; without either
    nothing below a bucket matches. `Write` includes deletion, and does not include `Read`.
    """

    name: str
    access_key: str
    secret_key: str
    actions: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, actions={self.actions!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running S3 server; each directory of `credentials` holds access-key-id and secret-access-key (mode 0600)."""

    endpoint: str
    credentials: Path

    def credentials_of(self, identity: str = ADMIN) -> Path:
        """The directory with the credentials of one identity, as a Secret would be mounted."""
        return self.credentials / identity

    def settings(self, bucket: str, identity: str = ADMIN) -> StoreSettings:
        """How the store's client reaches a bucket."""
        return StoreSettings(
            endpoint=self.endpoint,
            bucket=bucket,
            credentials_directory=str(self.credentials_of(identity)),
            allow_http=True,
        )


def generated(name: str, *actions: str) -> Identity:
    """An identity with new random keys."""
    return Identity(
        name=name, access_key=secrets.token_hex(10), secret_key=secrets.token_urlsafe(30), actions=tuple(actions)
    )


def start(directory: Path, ports: dict[str, int], identities: Sequence[Identity] | None, processes: Processes) -> None:
    """Start the server; a running one learns `identities` where they differ from those it knows, None keeps those."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _configure(directory, identities):
        processes.signal(PROCESS, signal.SIGHUP)
    processes.start(PROCESS, [program("weed"), *_options(directory, ports)], cwd=directory, environment=_GROWTH)


def wait(directory: Path, ports: dict[str, int], buckets: Sequence[str], processes: Processes) -> S3Server:
    """The server, as soon as all buckets exist and take a write.

    Raises:
        NotStarted: with the log's tail.
    """
    found = server(directory, ports)
    for bucket in buckets:
        store = Store(found.settings(bucket))
        processes.wait_until(PROCESS, partial(_writable, store))
    return found


def stop(ports: dict[str, int], processes: Processes) -> None:
    """End the server. It does not wait for clients, and removes the sockets that SeaweedFS leaves behind."""
    processes.stop(PROCESS, how=signal.SIGKILL)
    for port in (ports[name] + above for name in PORTS for above in (0, COMPANION)):
        for socket in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            socket.unlink(missing_ok=True)


def server(directory: Path, ports: dict[str, int]) -> S3Server:
    """Where the server of a directory is."""
    return S3Server(endpoint=f"http://{LOOPBACK}:{ports['s3']}", credentials=directory / "credentials")


def _options(directory: Path, ports: dict[str, int]) -> list[str]:
    return [
        "server",
        f"-dir={directory}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-master.port={ports['s3-master']}",
        f"-volume.port={ports['s3-volume']}",
        f"-filer.port={ports['s3-filer']}",
        f"-s3.port={ports['s3']}",
        f"-s3.config={directory / 's3.json'}",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=1024",
        f"-volume.max={_VOLUMES}",
        "-master.telemetry=false",
        # The only master waits this long until it elects itself after a restart; the default is 10 s.
        "-master.electionTimeout=1s",
    ]


def _configure(directory: Path, identities: Sequence[Identity] | None) -> bool:
    """Write identities and credentials; true where this changes what a running server knows."""
    path = directory / "s3.json"
    if path.exists() and identities is None:
        return False
    known = [_admin(directory), *(identities or ())]
    config = json.dumps({"identities": [_configured(identity) for identity in known]}, indent=2)
    if path.exists() and path.read_text(encoding="utf-8") == config:
        return False
    for identity in known:
        write_private(directory / "credentials" / identity.name / "access-key-id", identity.access_key)
        write_private(directory / "credentials" / identity.name / "secret-access-key", identity.secret_key)
    write_private(path, config)
    return True


def _configured(identity: Identity) -> dict[str, object]:
    credentials = [{"accessKey": identity.access_key, "secretKey": identity.secret_key}]
    return {"name": identity.name, "credentials": credentials, "actions": list(identity.actions)}


def _admin(directory: Path) -> Identity:
    actions = ("Admin", "Read", "Write", "List", "Tagging")
    kept = directory / "credentials" / ADMIN
    if not kept.exists():
        return generated(ADMIN, *actions)
    read = {name: (kept / name).read_text(encoding="ascii") for name in ("access-key-id", "secret-access-key")}
    return Identity(name=ADMIN, access_key=read["access-key-id"], secret_key=read["secret-access-key"], actions=actions)


def _writable(store: Store) -> bool:
    """Whether an object can be written, or one that exists can be read; the first write also makes the bucket."""
    try:
        store.put_once(_READY, b"ready")
    except ClientError:
        return False
    return True
