"""`python -m fedsnap.local up|down|status`: a cluster on this machine, without root and without containers."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from fedsnap.local import cluster
from fedsnap.local.errors import LocalClusterError
from fedsnap.local.processes import Processes

_MIB = 1024 * 1024
_INCOMPLETE = 3


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 where it did what it says, 1 on failure, 3 where `status` finds less than a whole cluster."""
    options = _parser().parse_args(arguments)
    directory = options.state or cluster.state_directory(options.name)
    try:
        return int(options.run(directory, options))
    except LocalClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fedsnap.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="up|down|status")
    for name, run, text in (
        ("up", _up, "start what does not run, and wait until it is ready"),
        ("down", _down, "stop everything and remove all state"),
        ("status", _status, "show processes, memory and addresses"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--name", default=cluster.DEFAULT_NAME, help="several clusters have several names")
        command.add_argument("--state", type=Path, help="directory of the state, instead of the one by name")
        command.set_defaults(run=run)
        if name == "up":
            command.add_argument("--no-services", action="store_true", help="only the control plane")
            command.add_argument("--no-node", action="store_true", help="without the process node")
        if name == "status":
            command.add_argument("--shell", action="store_true", help="only the lines for `eval`")
    return parser


def _up(directory: Path, options: argparse.Namespace) -> int:
    began = time.monotonic()
    found = cluster.start(directory, services=not options.no_services, node=not options.no_node)
    print(f"ready after {time.monotonic() - began:.1f} s; state, logs and credentials are in {directory}")
    _print_environment(found)
    return 0


def _down(directory: Path, _: argparse.Namespace) -> int:
    existed = directory.exists()
    cluster.stop(directory)
    print(f"stopped, {directory} is removed" if existed else f"nothing to stop in {directory}")
    return 0


def _status(directory: Path, options: argparse.Namespace) -> int:
    found = Processes(directory).all()
    if not found:
        sys.stderr.write(f"no cluster in {directory}; start one with `python -m fedsnap.local up`\n")
        return _INCOMPLETE
    if not options.shell:
        for process in found:
            state = f"{process.memory_bytes() // _MIB:5d} MiB" if process.alive() else "ended    "
            print(f"{process.name:24} {state}  pid {process.pid}")
    _print_environment(cluster.known(directory))
    return 0 if all(process.alive() for process in found) else _INCOMPLETE


def _print_environment(found: cluster.Cluster) -> None:
    for name, value in found.environment().items():
        print(f"export {name}={shlex.quote(value)}")
    if found.vault:
        print(f'export BAO_TOKEN="$(cat {shlex.quote(str(found.vault.root_token_file))})"')
    print(f"export PATH={shlex.quote(str(found.kubectl.parent))}:$PATH")


if __name__ == "__main__":
    sys.exit(main())
