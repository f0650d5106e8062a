"""OpenBao and an S3 server as processes on loopback, for the tests of whoever talks to them."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from fedsnap.clients.store import StoreSettings
from fedsnap.local import seaweedfs
from fedsnap.local.binaries import program
from fedsnap.local.ports import free_ports
from fedsnap.local.processes import Processes

ROOT_TOKEN = "root"
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


@contextlib.contextmanager
def run_s3(directory: Path) -> Iterator[S3]:
    ports, processes = free_ports(seaweedfs.PORTS), Processes(directory, die_with_us=True)
    seaweedfs.start(directory, ports, (), processes)
    try:
        server = seaweedfs.wait(directory, ports, ("snapshots",), processes)
        yield S3(server.endpoint, server.credentials_of())
    finally:
        seaweedfs.stop(ports, processes)


@contextlib.contextmanager
def run_vault(directory: Path) -> Iterator[Vault]:
    """OpenBao in memory, with a key of ours in the place of a cluster's."""
    directory.mkdir(parents=True, exist_ok=True)
    port, processes = free_ports(["openbao"])["openbao"], Processes(directory, die_with_us=True)
    command = [program("bao"), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT_TOKEN}"]
    processes.start("openbao", [*command, f"-dev-listen-address=127.0.0.1:{port}"])
    vault = Vault(f"http://127.0.0.1:{port}")
    try:
        processes.wait_until("openbao", lambda: _healthy(vault))
        _accept_tokens(vault)
        yield vault
    finally:
        processes.stop("openbao")


def _accept_tokens(vault: Vault) -> None:
    root = vault.root()
    root.sys.enable_secrets_engine("transit")
    root.sys.enable_auth_method("jwt")
    public = SIGNING_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    root.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": [public.decode()]})


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
