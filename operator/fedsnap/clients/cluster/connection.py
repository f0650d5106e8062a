"""How to reach an API server: address, trust and credentials from a kubeconfig or a mounted service account."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import load_kube_config

from fedsnap.clients.errors import Misconfigured

SERVICE_ACCOUNT_DIR_VARIABLE = "FEDSNAP_SERVICE_ACCOUNT_DIR"
DEFAULT_SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How another library reaches the same cluster; `authorization` is a scheme and a token, or empty."""

    server: str
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    verify: bool
    authorization: str = field(repr=False)


async def open_connection(kubeconfig: Path | None) -> ApiClient:
    """A connection by kubeconfig, or with the pod's service account where `kubeconfig` is None.

    Raises:
        Misconfigured: where the kubeconfig or the service account cannot be used.
    """
    return ApiClient(configuration=await _configuration(kubeconfig))


async def credentials(kubeconfig: Path | None) -> Credentials:
    """The credentials as they are now; rotated tokens are read anew by each call.

    Raises:
        Misconfigured: where the kubeconfig or the service account cannot be used.
    """
    found = await _configuration(kubeconfig)
    return Credentials(
        server=found.host,
        ca_file=found.ssl_ca_cert,
        certificate_file=found.cert_file,
        key_file=found.key_file,
        verify=bool(found.verify_ssl),
        authorization=found.api_key.get("BearerToken", ""),
    )


async def _configuration(kubeconfig: Path | None) -> Configuration:
    configuration = Configuration()
    # Retries are ours: the library's would hide an outage from conditions and would retry writes it should not.
    configuration.retries = False
    try:
        if kubeconfig is None:
            _load_service_account(configuration)
        else:
            await _load_kubeconfig(kubeconfig, configuration)
    except (ConfigException, OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = str(kubeconfig) if kubeconfig else "the mounted service account"
        raise Misconfigured("ClusterCredentials", f"cannot reach a cluster by {where}: {error}") from error
    return configuration


async def _load_kubeconfig(path: Path, configuration: Configuration) -> None:
    # Reading it first also tells a missing file by its name, which the loader does not.
    token_file = _token_file(path)
    await load_kube_config(config_file=str(path), client_configuration=configuration)
    if token_file is None:
        return

    def reload(current: Configuration) -> None:
        # Bound service-account tokens are rotated by rewriting the file; the loader reads it only once.
        current.api_key["BearerToken"] = f"Bearer {token_file.read_text(encoding='utf-8').strip()}"

    reload(configuration)
    configuration.refresh_api_key_hook = reload


def _token_file(path: Path) -> Path | None:
    """The `tokenFile` of the current context's user, resolved against the kubeconfig's directory."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = content.get("current-context")
    user = next((one["context"].get("user") for one in content.get("contexts", []) if one["name"] == wanted), None)
    found = next((one["user"] for one in content.get("users", []) if one["name"] == user), None) or {}
    return path.parent / found["tokenFile"] if found.get("tokenFile") else None


def service_account_dir() -> Path:
    """Where the pod's token, CA and namespace are mounted."""
    return Path(os.environ.get(SERVICE_ACCOUNT_DIR_VARIABLE) or DEFAULT_SERVICE_ACCOUNT_DIR)


def _load_service_account(configuration: Configuration) -> None:
    directory = service_account_dir()
    loader = InClusterConfigLoader(
        token_filename=str(directory / "token"), cert_filename=str(directory / "ca.crt"), try_refresh_token=True
    )
    loader.load_and_set(configuration)
