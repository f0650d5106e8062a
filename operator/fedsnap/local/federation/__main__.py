"""`python -m fedsnap.local.federation up`: a hub and four hospitals on a cluster of this machine."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from fedsnap.clients.errors import ClientError
from fedsnap.local import cluster
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.federation import setup
from fedsnap.local.federation.layout import Federation


def main(arguments: list[str] | None = None) -> int:
    """Set the federation up; 0 where its operators are ready, 1 with a message on standard error where not."""
    parser = argparse.ArgumentParser(prog="python -m fedsnap.local.federation", description=__doc__)
    parser.add_argument("command", choices=["up"], help="start the cluster where it does not run, and set it all up")
    parser.add_argument("--name", default=cluster.DEFAULT_NAME, help="the cluster's name")
    parser.add_argument("--state", type=Path, help="directory of its state, instead of the one by name")
    options = parser.parse_args(arguments)
    try:
        _up(options.state or cluster.state_directory(options.name))
    except (LocalClusterError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _up(directory: Path) -> None:
    began = time.monotonic()
    federation = Federation()
    found = setup.start_cluster(directory, federation)
    asyncio.run(setup.set_up(setup.Running(cluster=found, federation=federation)))
    print(f"ready after {time.monotonic() - began:.1f} s: a hub and {len(federation.members)} organizations")
    print(f"export KUBECONFIG={found.kubeconfig}")
    print(f"kubectl apply --server-side -f {setup.EXAMPLE / 'manifests' / 'shared-model.yaml'}")


if __name__ == "__main__":
    sys.exit(main())
