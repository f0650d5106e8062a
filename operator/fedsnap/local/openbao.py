"""OpenBao as it runs in production: raft storage, sealed by a key, initialized unattended by its own configuration."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fedsnap.local.binaries import program
from fedsnap.local.certificates import write_private
from fedsnap.local.ports import LOOPBACK
from fedsnap.local.processes import Processes

PROCESS = "openbao"
PORTS = ("openbao", "openbao-cluster")
JWT_MOUNT = "jwt"
TRANSIT_MOUNT = "transit"
_SEAL_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultServer:
    """A running OpenBao; the token in `root_token_file` (mode 0600) may do everything."""

    address: str
    root_token_file: Path

    @property
    def root_token(self) -> str:
        """The administrator's token, read from its file."""
        return self.root_token_file.read_text(encoding="ascii").strip()


def start(directory: Path, ports: dict[str, int], token_key: str, processes: Processes) -> None:
    """Start OpenBao where it does not run. The first start also initializes it.

    Transit is mounted, and service accounts' tokens that `token_key` (PEM) verifies can log in at `auth/jwt`
    as soon as somebody writes a role.
    """
    configuration = _configure(directory, ports, token_key)
    processes.start(PROCESS, [program("bao"), "server", f"-config={configuration}"], cwd=directory)


def wait(directory: Path, ports: dict[str, int], processes: Processes) -> VaultServer:
    """The server, as soon as it is initialized, unsealed and answers.

    Raises:
        NotStarted: with the log's tail.
    """
    found = server(directory, ports)
    processes.wait_until(PROCESS, lambda: _ready(found))
    return found


def server(directory: Path, ports: dict[str, int]) -> VaultServer:
    """Where the server of a directory is."""
    return VaultServer(address=f"http://{LOOPBACK}:{ports['openbao']}", root_token_file=directory / "root-token")


def _configure(directory: Path, ports: dict[str, int], token_key: str) -> Path:
    path = directory / "openbao.json"
    if not path.exists():
        root_token = secrets.token_urlsafe(24)
        (directory / "raft").mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(directory / "seal.key", secrets.token_bytes(_SEAL_KEY_BYTES))
        write_private(server(directory, ports).root_token_file, root_token)
        write_private(path, json.dumps(_configuration(directory, ports, token_key, root_token), indent=2))
    return path


def _configuration(directory: Path, ports: dict[str, int], token_key: str, root_token: str) -> dict[str, Any]:
    """The configuration; see https://openbao.org/docs/configuration/self-init for `initialize`."""
    return {
        "api_addr": f"http://{LOOPBACK}:{ports['openbao']}",
        "cluster_addr": f"http://{LOOPBACK}:{ports['openbao-cluster']}",
        # A multiplier of 1, as recommended for production: the only node waits 1 to 2 s until it elects itself, not 5.
        "storage": {"raft": {"path": str(directory / "raft"), "node_id": "local", "performance_multiplier": "1"}},
        "listener": [
            {
                "tcp": {
                    "address": f"{LOOPBACK}:{ports['openbao']}",
                    "cluster_address": f"{LOOPBACK}:{ports['openbao-cluster']}",
                    "tls_disable": True,
                }
            }
        ],
        "seal": {"static": {"current_key_id": "local", "current_key": f"file://{directory / 'seal.key'}"}},
        "initialize": [{"local": {"request": _requests(token_key, root_token)}}],
    }


def _requests(token_key: str, root_token: str) -> list[dict[str, Any]]:
    # OpenBao revokes its own initial root token after these requests; the administrator's is an orphan of it.
    token = {"id": root_token, "policies": ["root"], "no_parent": True, "display_name": "administrator"}
    return [
        _request("administrator", "auth/token/create", token),
        _request("transit", f"sys/mounts/{TRANSIT_MOUNT}", {"type": "transit"}),
        _request("jwt", f"sys/auth/{JWT_MOUNT}", {"type": "jwt"}),
        _request("keys", f"auth/{JWT_MOUNT}/config", {"jwt_validation_pubkeys": [token_key]}),
    ]


def _request(name: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
    return {name: {"operation": "update", "path": path, "data": data}}


def _ready(found: VaultServer) -> bool:
    """Whether the last of the initializing requests was done."""
    # `health` answers 200 before they are.
    headers = {"X-Vault-Token": found.root_token}
    request = urllib.request.Request(f"{found.address}/v1/auth/{JWT_MOUNT}/config", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - loopback
            return bool(answer.status == HTTPStatus.OK and json.load(answer)["data"]["jwt_validation_pubkeys"])
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False
