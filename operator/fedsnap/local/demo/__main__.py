"""`python -m fedsnap.local.demo`: four hospitals train a model together on this machine, in about two minutes."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from fedsnap.api.modelsnapshot import ModelSnapshot
from fedsnap.clients.errors import ClientError
from fedsnap.local import cluster
from fedsnap.local.demo import result, training, view
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.federation import setup
from fedsnap.local.federation.layout import Federation

NAME = "demo"
MANIFEST = setup.EXAMPLE / "manifests" / "shared-model.yaml"
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 where the model was trained and pulled, 1 with the reasons where not, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    directory = options.state or cluster.state_directory(NAME)
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.down:
            return _down(directory, console)
        return _run(directory, console, keep=options.keep, rounds=options.rounds)
    except KeyboardInterrupt:
        console.print("\ninterrupted: stopping the cluster")
        cluster.stop(directory)
        return _INTERRUPTED
    except (LocalClusterError, ClientError) as error:
        Console(stderr=True, highlight=False).print(str(error), markup=False, soft_wrap=True)
        _after_failure(directory, console, keep=options.keep)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fedsnap.local.demo", description=__doc__)
    parser.add_argument("--down", action="store_true", help="stop the demo and remove all that it made")
    keep = "leave the cluster running, to look around (default), or stop it at the end"
    parser.add_argument("--keep", action=argparse.BooleanOptionalAction, default=True, help=keep)
    parser.add_argument("--rounds", type=int, help="train this many rounds instead of the manifest's three")
    parser.add_argument("--state", type=Path, help="directory of the cluster's state")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _down(directory: Path, console: Console) -> int:
    existed = directory.exists()
    cluster.stop(directory)
    console.print("stopped; nothing of the demo is left" if existed else "no demo is running")
    return 0


def _after_failure(directory: Path, console: Console, *, keep: bool) -> None:
    if not keep:
        cluster.stop(directory)
    elif directory.exists():
        console.print(f"The cluster is left running; logs are in {directory / 'logs'}. `make demo-down` removes it.")


def _run(directory: Path, console: Console, *, keep: bool, rounds: int | None) -> int:
    console.print("[bold]fedsnap[/]: four hospitals train one model; no row leaves its hospital\n")
    if directory.exists():
        console.print("removing what an earlier demo left")
        cluster.stop(directory)
    running = _set_up(directory, console)
    snapshot = asyncio.run(_train(running, console, rounds))
    began = time.monotonic()
    pulled = result.pull(running, snapshot)
    _done(console, f"pulled {snapshot.metadata.name} as a person with a Vault token of their own", began)
    console.print(f"  {pulled.said}\n", markup=False, soft_wrap=True)
    found, rows = result.accuracies(pulled.weights, running.data)
    console.print(view.accuracies(found, rows))
    if keep:
        _tell_where(running, pulled, console)
    else:
        cluster.stop(directory)
    return 0


def _set_up(directory: Path, console: Console) -> setup.Running:
    federation = Federation()
    began = time.monotonic()
    running = setup.Running(cluster=setup.start_cluster(directory, federation), federation=federation)
    _done(console, "cluster: Kubernetes, OpenBao, an S3 store and a node, all as processes on 127.0.0.1", began)
    began = time.monotonic()
    asyncio.run(setup.set_up(running))
    number = len(federation.members)
    _done(
        console, f"federation: a hub and {number} hospitals, each with its own operator, keys, data and policy", began
    )
    return running


async def _train(running: setup.Running, console: Console, rounds: int | None) -> ModelSnapshot:
    began = time.monotonic()
    manifest = await asyncio.to_thread(MANIFEST.read_text, encoding="utf-8")
    await training.apply_model(running.cluster.kubeconfig, manifest, rounds)
    console.print(f"  kubectl apply --server-side -f {_short(MANIFEST)}\n", markup=False, soft_wrap=True)
    shown = view.View(console, [member.name for member in running.federation.members])
    with shown.shown():
        snapshot = await training.follow(running.cluster.kubeconfig, running.federation, shown.update)
    _done(console, "trained", began)
    return snapshot


def _tell_where(running: setup.Running, pulled: result.Pulled, console: Console) -> None:
    found, namespace = running.cluster, running.federation.model_namespace
    lines = [
        "",
        f"The decrypted snapshot: {pulled.weights}",
        "The cluster keeps running. To look around:",
        f"  export KUBECONFIG={found.kubeconfig} PATH={found.kubectl.parent}:{Path(sys.executable).parent}:$PATH",
        f"  kubectl get sharedmodels,federatedrounds,modelsnapshots -n {namespace}",
        "  kubectl get participations -A        # what the hub asked, and what each hospital answered",
        "  kubectl get sharingpolicies,jobs -A  # what each hospital consented to, and what ran there",
        f"  kubectl describe federatedrounds -n {namespace}",
        f"Logs of the pods are below {found.directory / 'node' / 'pods'}.",
        "To pull it again (the token is good for a day):",
        f"  {pulled.command}",
        "To stop it and remove everything:",
        "  make demo-down",
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _done(console: Console, what: str, began: float) -> None:
    console.print(f"[green]✓[/] {what} [dim]({time.monotonic() - began:.1f} s)[/]", soft_wrap=True)


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())
