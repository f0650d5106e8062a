"""OpenBao and an S3 server as processes on loopback, for the tests of whoever talks to them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from fedsnap.clients.errors import ClientError
from fedsnap.clients.store import Store, StoreSettings

ROOT_TOKEN = "root"
STARTUP_SECONDS = 60
_HEADER = b'{"alg":"ES256","typ":"JWT"}'
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class S3:
    endpoint: str
    credentials: Path

    def settings(self, bucket: str = "snapshots") -> StoreSettings:
        return StoreSettings(
            endpoint=self.endpoint, bucket=bucket, credentials_directory=str(self.credentials), allow_http=True
        )


@dataclass(frozen=True)
class Vault:
    address: str

    def root(self) -> hvac.Client:
        return hvac.Client(url=self.address, token=ROOT_TOKEN)

    def allow(self, role: str, *paths: str) -> None:
        """A JWT role that may do `paths` and nothing else."""
        policy = "\n".join(f'path "{path}" {{ capabilities = ["read", "update"] }}' for path in paths)
        root = self.root()
        root.sys.create_or_update_policy(role, policy)
        root.write_data(
            f"auth/jwt/role/{role}",
            data={
                "role_type": "jwt",
                "bound_audiences": ["vault"],
                "user_claim": "sub",
                "bound_subject": role,
                "token_policies": [role],
                "token_ttl": "10m",
            },
        )

    def key(self, name: str, kind: str = "aes256-gcm96") -> None:
        self.root().write_data(f"transit/keys/{name}", data={"type": kind, "derived": kind == "aes256-gcm96"})


def program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed; pip install fedsnap[local]"
    return found


def free_port(companion: int = 0) -> int:
    """A port that is free, and so is the one `companion` above it."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if not companion:
                return port
            if port + companion < 65536:
                with contextlib.suppress(OSError):
                    other.bind(("127.0.0.1", port + companion))
                    return port


def wait_for(condition: Callable[[], bool], what: str, seconds: float = STARTUP_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


@contextlib.contextmanager
def process(log: Path, *command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=cwd) as child:
        try:
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def run_s3(directory: Path) -> Iterator[S3]:
    credentials = directory / "credentials"
    credentials.mkdir(parents=True)
    (credentials / "access-key-id").write_text("test")
    (credentials / "secret-access-key").write_text("test-secret")
    identity = {"name": "test", "credentials": [{"accessKey": "test", "secretKey": "test-secret"}]}
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": [identity | {"actions": ["Admin", "Read", "Write", "List"]}]}))
    ports = {name: free_port(10000) for name in ("master", "volume", "filer", "s3")}
    options = [f"-{name}.port={port}" for name, port in ports.items()]
    command = [program("weed"), "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={config}",
        *options,
    ]
    with process(directory / "weed.log", *command, cwd=directory):
        s3 = S3(f"http://127.0.0.1:{ports['s3']}", credentials)
        store = Store(s3.settings())
        wait_for(lambda: _writable(store), "the S3 server accepting a write")
        yield s3


def _writable(store: Store) -> bool:
    try:
        store.put_once("ready", b"yes")
    except ClientError:
        return False
    return True


@contextlib.contextmanager
def run_vault(directory: Path) -> Iterator[Vault]:
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port(1)
    command = [program("bao"), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}"]
    with process(directory / "bao.log", *command, f"-dev-listen-address=127.0.0.1:{port}", cwd=directory):
        vault = Vault(f"http://127.0.0.1:{port}")
        wait_for(lambda: _healthy(vault), "OpenBao answering")
        root = vault.root()
        root.sys.enable_secrets_engine("transit")
        root.sys.enable_auth_method("jwt")
        public = SIGNING_KEY.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        root.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": [public.decode()]})
        yield vault


def _healthy(vault: Vault) -> bool:
    try:
        with urllib.request.urlopen(f"{vault.address}/v1/sys/health", timeout=1) as answer:  # noqa: S310  # loopback
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def projected_token(subject: str, audience: str = "vault") -> str:
    """A JWT as a cluster would project it."""
    now = int(time.time())
    claims = {"sub": subject, "aud": audience, "iat": now, "exp": now + 600}
    signed = f"{_part(_HEADER)}.{_part(json.dumps(claims).encode())}"
    r, s = decode_dss_signature(SIGNING_KEY.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
