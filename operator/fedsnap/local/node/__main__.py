"""`python -m fedsnap.local.node`: a node of a demo or test cluster that runs pods as processes of this machine."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fedsnap.api.quantity import parse_quantity
from fedsnap.clients.cluster.connection import credentials
from fedsnap.clients.errors import ClientError
from fedsnap.local.node.agent import NodeAgent
from fedsnap.local.node.api import NodeApi
from fedsnap.local.node.environment import Surroundings
from fedsnap.local.node.heartbeat import Heartbeat
from fedsnap.local.node.images import read_images
from fedsnap.local.node.logserver import Caller, LogServer
from fedsnap.local.node.pods import Workplace
from fedsnap.local.node.registration import Capacity, storage_of
from fedsnap.runtime.logs import configure

_FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    """Run the agent until SIGTERM or SIGINT; 1 where it cannot start."""
    options = _parser().parse_args(arguments)
    configure("INFO")
    options.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (options.state_dir / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stderr.write(f"expected no other agent in {options.state_dir}; stop it or choose another directory\n")
            return _FAILED
        try:
            asyncio.run(_run(options))
        except ClientError as error:
            sys.stderr.write(f"{error}\n")
            return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fedsnap.local.node", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="credentials with the rights of a kubelet")
    parser.add_argument("--name", required=True, help="name of the Node")
    parser.add_argument("--state-dir", type=Path, required=True, help="volumes, records and logs; one agent each")
    parser.add_argument("--images", type=Path, required=True, help="JSON map: image name to path, python, env")
    parser.add_argument("--cpu", type=_quantity, default="8", help="processors that the Node says it has")
    parser.add_argument("--memory", type=_quantity, default="16Gi", help="memory that the Node says it has")
    parser.add_argument("--gpus", type=int, default=4, help="nvidia.com/gpu that the Node says it has")
    parser.add_argument("--client-ca", type=Path, help="authority of those who may ask for logs; else the cluster's")
    return parser


def _quantity(text: str) -> str:
    try:
        parse_quantity(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


async def _run(options: argparse.Namespace) -> None:
    read_images(options.images)
    state = options.state_dir.absolute()
    capacity = Capacity(cpu=options.cpu, memory=options.memory, gpus=options.gpus, storage_bytes=storage_of(state))
    stop = _stop_on_signals()
    async with await NodeApi.connect(options.kubeconfig) as api, _log_port(options, state, api) as port:
        around = Surroundings(api.host, api.port, capacity.resources())
        workplace = Workplace(api=api, state=state, images_file=options.images.absolute(), around=around)
        heartbeat = Heartbeat(api, options.name, capacity, port)
        await NodeAgent(options.name, workplace, heartbeat).run(stop)


@asynccontextmanager
async def _log_port(options: argparse.Namespace, state: Path, api: NodeApi) -> AsyncIterator[int | None]:
    """Port of the log server; None where the cluster's authority is not known, so that nobody could be trusted."""
    authority = options.client_ca or (await credentials(options.kubeconfig)).ca_file
    if authority is None:
        yield None
        return

    async def authorize(caller: Caller) -> bool:
        return await api.may_read_node(options.name, caller.user, caller.groups)

    async with LogServer(state, authorize).serve(Path(authority)) as port:
        yield port


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


if __name__ == "__main__":
    sys.exit(main())
