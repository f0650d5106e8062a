"""What the demo ends with: the decrypted snapshot, how good it is, and where to look next."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.api.schema import API_VERSION
from fedsnap.local.certificates import write_private
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.federation import setup, store, vault
from fedsnap.local.federation.setup import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A snapshot that a person pulled, and the command that did it."""

    weights: Path
    command: str
    said: str


def pull(running: Running, snapshot: ModelSnapshot) -> Pulled:
    """Fetch and decrypt as a person who was given a Vault token for this model and may read its snapshots.

    Raises:
        LocalClusterError: with what `fedsnap pull` said.
    """
    directory = running.cluster.directory / "pulled"
    weights = directory / f"{snapshot.metadata.name}.safetensors"
    document, token = directory / f"{snapshot.metadata.name}.yaml", directory / "vault-token"
    write_private(token, vault.reader_token(setup.administrator(running), running.federation))
    kind = ModelSnapshot.RESOURCE.kind
    content = {"apiVersion": API_VERSION, "kind": kind, "spec": snapshot.spec.to_wire()}
    document.write_text(yaml.safe_dump(content), encoding="utf-8")
    options = _options(running, weights, token)
    done = subprocess.run(
        [sys.executable, "-m", "fedsnap.cli.main", "pull", str(document), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalClusterError(f"`fedsnap pull` failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    return Pulled(weights=weights, command=_command(running, snapshot, options), said=done.stdout.strip())


def _options(running: Running, weights: Path, token: Path) -> list[str]:
    services = setup.services(running)
    credentials = running.cluster.directory / "s3" / "credentials" / store.reader(running.federation)
    return [
        *("--output", str(weights)),
        *("--vault", services.vault, "--vault-token-file", str(token)),
        *("--store", services.store, "--store-credentials", str(credentials), "--allow-http"),
    ]


def _command(running: Running, snapshot: ModelSnapshot, options: list[str]) -> str:
    read = f"kubectl get modelsnapshot {snapshot.metadata.name} -n {running.federation.model_namespace} -o yaml"
    return f"{read} | fedsnap pull - {shlex.join(options)}"


def accuracies(weights: Path, data: Path) -> tuple[dict[str, float], int]:
    """Accuracy by model on the test rows of all hospitals, and how many rows that are.

    Raises:
        LocalClusterError: with what the example said.
    """
    answer = json.loads(setup.run_example("heart.compare", str(weights), str(data)))
    return dict(answer["accuracy"]), int(answer["rows"])
