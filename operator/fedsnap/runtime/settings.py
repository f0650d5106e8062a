"""Settings: flags, each with an environment variable of the same name. Secrets are files, never flags."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedsnap.api.schema import parse_duration
from fedsnap.clients.cluster.connection import service_account_dir

Role = Literal["coordinator", "participant"]
MAX_KEYS_FILE = 64 * 1024


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names its flag and variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one operator process was told.

    Attributes:
        namespaces: where own kinds are watched; empty: everywhere.
        resync_s: seconds between two looks at every object.
    """

    role: Role
    kubeconfig: Path | None
    hub_kubeconfig: Path | None
    namespace: str
    namespaces: tuple[str, ...]
    hub_namespace: str
    organization: str
    hub_public_keys: Mapping[str, str]
    image: str
    vault_address: str
    vault_role: str
    vault_job_role: str
    vault_auth_mount: str
    vault_namespace: str
    vault_transit_mount: str
    identity_key: str
    data_key: str
    hub_vault_address: str
    hub_vault_role: str
    hub_vault_job_role: str
    hub_vault_auth_mount: str
    vault_ca_file: Path | None
    vault_token_file: Path | None
    store_endpoint: str
    store_region: str
    store_credentials: Path | None
    store_allow_http: bool
    lease: bool
    identity: str
    host: str
    metrics_port: int
    workers: int
    resync_s: float
    log_level: str


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    help: str
    default: str = ""
    role: Role | None = None
    choices: tuple[str, ...] | None = None

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return f"FEDSNAP_{self.field.upper()}"


_LEVELS = ("debug", "info", "warning", "error")
_FLAGS = (
    _Flag("kubeconfig", "kubeconfig of the own cluster; unset: the pod's service account"),
    _Flag("namespace", "namespace of this operator and of its Lease; unset: the pod's"),
    _Flag("namespaces", "comma-separated namespaces to watch; unset: all (coordinator), its own (participant)"),
    _Flag("hub-kubeconfig", "kubeconfig of the hub; unset: the hub is the own cluster", role="participant"),
    _Flag("hub-namespace", "the organization's mailbox namespace in the hub", role="participant"),
    _Flag("organization", "name of the organization in the hub", role="participant"),
    _Flag("hub-public-keys", "JSON file: key id to base64 Ed25519 public key of the hub", role="participant"),
    _Flag("image", "fedsnap's own image for the containers of Jobs"),
    _Flag("vault-address", "https://... of Vault or OpenBao"),
    _Flag("vault-role", "role of this operator for Vault's JWT login"),
    _Flag("vault-job-role", "role of Jobs for Vault's JWT login"),
    _Flag("vault-auth-mount", "mount of Vault's JWT login", "jwt"),
    _Flag("vault-namespace", "Vault namespace"),
    _Flag("vault-transit-mount", "mount of the own transit engine", "transit"),
    _Flag("identity-key", "Ed25519 transit key that signs the own control files", "fedsnap-identity"),
    _Flag("data-key", "derived transit key that wraps the own data keys", "fedsnap-data"),
    _Flag("hub-vault-address", "https://... of the hub's Vault; unset: the own one", role="participant"),
    _Flag("hub-vault-role", "role of this operator in the hub's Vault", role="participant"),
    _Flag("hub-vault-job-role", "role of Jobs in the hub's Vault", role="participant"),
    _Flag("hub-vault-auth-mount", "mount of JWT login in the hub's Vault", "jwt", role="participant"),
    _Flag("vault-ca-file", "CA certificates for Vault"),
    _Flag("vault-token-file", "projected service-account token for Vault's JWT login"),
    _Flag("store-endpoint", "https://... of the S3 store"),
    _Flag("store-region", "region of the S3 store", "us-east-1"),
    _Flag("store-credentials", "directory with access-key-id and secret-access-key"),
    _Flag("store-allow-http", "accept a store without TLS, for tests", "false", choices=("true", "false")),
    _Flag("lease", "hold a Lease, so that one replica is active", "true", choices=("true", "false")),
    _Flag("identity", "this replica's name in the Lease; unset: host name and process id"),
    _Flag("host", "address that metrics and probes listen on", "0.0.0.0"),  # noqa: S104 - probes come from the node
    _Flag("metrics-port", "port of /metrics, /healthz and /readyz; 0: a free one", "8080"),
    _Flag("workers", "objects that are reconciled at the same time", "8"),
    _Flag("resync", "how often every object is looked at without an event", "5m"),
    _Flag("log-level", "verbosity", "info", choices=_LEVELS),
)


def parser() -> argparse.ArgumentParser:
    """The command line: a role and its flags."""
    top = argparse.ArgumentParser(
        prog="fedsnap-operator",
        description="Kubernetes operator for federated snapshot pipelines.",
        epilog="Each flag can be given as an environment variable, for example --vault-role as FEDSNAP_VAULT_ROLE. "
        "Secrets are given as files. Exit codes: 0 stopped, 1 failed, 2 wrong settings, 3 Lease lost.",
    )
    roles = top.add_subparsers(dest="role", required=True, metavar="coordinator|participant")
    for role, purpose in (
        ("coordinator", "in the hub: rounds, rosters, aggregation, publication"),
        ("participant", "in an organization: its policy and its training Jobs"),
    ):
        chosen = roles.add_parser(role, help=purpose, description=f"Runs {purpose}.")
        for flag in _FLAGS:
            if flag.role in (None, role):
                shown = f"{flag.help} [{flag.variable}]" + (f" (default: {flag.default})" if flag.default else "")
                chosen.add_argument(f"--{flag.name}", dest=flag.field, help=shown, choices=flag.choices)
    return top


def load(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line, then from `FEDSNAP_*` variables, then from defaults.

    Raises:
        SettingsError: where one is missing or wrong.
        SystemExit: where the command line itself is wrong, or help was asked for.
    """
    given = vars(parser().parse_args(arguments))
    values = {flag.field: _value(flag, given.get(flag.field), environment) for flag in _FLAGS}
    settings = _settings(given["role"], values)
    _check(settings)
    return settings


def _value(flag: _Flag, given: str | None, environment: Mapping[str, str]) -> str:
    value = given if given is not None else environment.get(flag.variable) or flag.default
    if flag.choices and value not in flag.choices:
        raise SettingsError(f"{_named(flag)}: expected one of {', '.join(flag.choices)}, got {value!r}")
    return value


def _named(flag: _Flag) -> str:
    return f"--{flag.name} ({flag.variable})"


def _settings(role: Role, values: dict[str, str]) -> Settings:
    converted: dict[str, Any] = dict(values)
    for name in ("kubeconfig", "hub_kubeconfig", "vault_ca_file", "vault_token_file", "store_credentials"):
        converted[name] = Path(values[name]) if values[name] else None
    for name in ("store_allow_http", "lease"):
        converted[name] = values[name] == "true"
    for name, least, most in (("metrics_port", 0, 65_535), ("workers", 1, 256)):
        converted[name] = _integer(name, values[name], least, most)
    namespace = values["namespace"] or _pod_namespace()
    named = tuple(part.strip() for part in values["namespaces"].split(",") if part.strip())
    converted |= {
        "namespace": namespace,
        "namespaces": named or ((namespace,) if role == "participant" else ()),
        "hub_public_keys": _public_keys(values["hub_public_keys"]),
        "identity": values["identity"] or f"{socket.gethostname()}-{os.getpid()}",
        "resync_s": _seconds(converted.pop("resync")),
    }
    return Settings(role=role, **converted)


def _integer(name: str, text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        where = f"--{name.replace('_', '-')} (FEDSNAP_{name.upper()})"
        raise SettingsError(f"{where}: expected a number from {least} to {most}, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return max(1.0, parse_duration(text).total_seconds())
    except ValueError as error:
        raise SettingsError(f"--resync (FEDSNAP_RESYNC): {error}") from error


def _pod_namespace() -> str:
    try:
        return (service_account_dir() / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _public_keys(file: str) -> Mapping[str, str]:
    if not file:
        return {}
    try:
        content = Path(file).read_bytes()
        keys = json.loads(content) if len(content) <= MAX_KEYS_FILE else None
    except (OSError, ValueError) as error:
        raise SettingsError(f"--hub-public-keys (FEDSNAP_HUB_PUBLIC_KEYS): cannot read {file}: {error}") from error
    if not isinstance(keys, dict) or not all(isinstance(one, str) for one in keys.values()):
        raise SettingsError(
            f"--hub-public-keys (FEDSNAP_HUB_PUBLIC_KEYS): expected a JSON object of key id to base64 key in {file}"
        )
    return keys


def _check(settings: Settings) -> None:
    """A participant that does not know who it is must not start; nor one that trusts nobody."""
    wanted = {"namespace": settings.namespace}
    if settings.role == "participant":
        wanted |= {"hub-namespace": settings.hub_namespace, "organization": settings.organization}
        wanted["hub-public-keys"] = "given" if settings.hub_public_keys else ""
    missing = [_named(flag) for flag in _FLAGS if flag.name in wanted and not wanted[flag.name]]
    if missing:
        raise SettingsError(f"a {settings.role} needs {', '.join(missing)}")
