"""`fedsnap pull`: fetch, unwrap, decrypt and check a published snapshot, into one safetensors file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml
from pydantic import ValidationError

from fedsnap.api.modelsnapshot import ModelSnapshotSpec
from fedsnap.clients.errors import ClientError, Misconfigured
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.formats.control import BaseSnapshot
from fedsnap.formats.errors import InvalidFormat
from fedsnap.jobs.errors import Refused
from fedsnap.jobs.snapshots import open_snapshot

_MAX_DOCUMENT_BYTES = 1024 * 1024
_MAX_TOKEN_BYTES = 4096


def pull(spec: ModelSnapshotSpec, vault: VaultClient, store: Store, destination: Path) -> None:
    """Decrypt the snapshot to `destination`, which appears only when all digests and the content root hold.

    Raises:
        ClientError: PermissionDenied, NotFound, Unavailable; `Refused` where the snapshot is not what its record says.
    """
    if spec.state == "Shredded":
        raise Refused("SnapshotShredded", "the snapshot's key was destroyed; nobody can open it any more")
    with tempfile.TemporaryDirectory(dir=destination.parent) as directory:
        opened = Path(directory) / "model.safetensors"
        try:
            open_snapshot(BaseSnapshot.of(spec), vault, store, opened)
        except InvalidFormat as error:
            raise Refused(type(error).__name__, str(error)) from None
        opened.replace(destination)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fedsnap pull`."""
    parser.add_argument(
        "snapshot",
        help="ModelSnapshot as YAML or JSON, as `kubectl get modelsnapshot NAME -o yaml` prints; - for stdin",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--store", required=True, metavar="URL", help="endpoint of the object store")
    parser.add_argument("--store-credentials", required=True, metavar="DIR", help="access-key-id, secret-access-key")
    parser.add_argument("--region", default="us-east-1", help="region of the store (default: %(default)s)")
    parser.add_argument("--allow-http", action="store_true", help="permit a store without TLS, for tests")
    parser.add_argument("--vault", metavar="URL", default=os.environ.get("VAULT_ADDR"), help="default: VAULT_ADDR")
    parser.add_argument(
        "--vault-namespace", default=os.environ.get("VAULT_NAMESPACE"), help="namespace in Vault (VAULT_NAMESPACE)"
    )
    parser.add_argument(
        "--vault-ca",
        metavar="FILE",
        default=os.environ.get("VAULT_CACERT"),
        help="certificate authority of Vault (VAULT_CACERT)",
    )
    parser.add_argument("--vault-token-file", type=Path, metavar="FILE", help="default: VAULT_TOKEN, ~/.vault-token")


def run(args: argparse.Namespace) -> int:
    """Pull as the options say; 0 where the file was written, 1 with one line on standard error where not."""
    try:
        spec = read_spec(args.snapshot)
        store = StoreSettings(
            endpoint=args.store,
            bucket=spec.location.bucket,
            region=args.region,
            credentials_directory=args.store_credentials,
            allow_http=args.allow_http,
        )
        pull(spec, _vault(args), Store(store), args.output)
    except ClientError as error:
        print(f"fedsnap pull: {error.reason}: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fedsnap pull: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    print(f"{args.output}: {spec.content_root}, all digests verified")
    return 0


def read_spec(source: str) -> ModelSnapshotSpec:
    """The spec of a ModelSnapshot that was printed to a file or pipe.

    Raises:
        Misconfigured: where it is no ModelSnapshot.
    """
    data = sys.stdin.buffer.read(_MAX_DOCUMENT_BYTES) if source == "-" else _head(Path(source), _MAX_DOCUMENT_BYTES)
    try:
        document = yaml.safe_load(data)
        return ModelSnapshotSpec.model_validate(document["spec"])
    except (yaml.YAMLError, KeyError, TypeError, ValidationError) as error:
        raise Misconfigured(
            "SnapshotInvalid", f"{source} is not a ModelSnapshot ({type(error).__name__}); use kubectl get … -o yaml"
        ) from None


def _head(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _vault(args: argparse.Namespace) -> VaultClient:
    if not args.vault:
        raise Misconfigured("VaultUnknown", "no address of Vault; give --vault or set VAULT_ADDR")
    settings = VaultSettings(
        address=args.vault, role="person", namespace=args.vault_namespace or None, ca_file=args.vault_ca or None
    )
    return VaultClient(settings, token=_token(args.vault_token_file))


def _token(file: Path | None) -> str:
    given = os.environ.get("VAULT_TOKEN")
    if file is None and given:
        return given
    path = file or Path.home() / ".vault-token"
    try:
        return _head(path, _MAX_TOKEN_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(
            "TokenMissing", f"no Vault token: set VAULT_TOKEN, give --vault-token-file, or log in (looked at {path})"
        ) from None
