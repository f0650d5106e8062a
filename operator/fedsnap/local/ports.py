"""Free loopback ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the local ports of outgoing connections (32768 and up), also with the
# companion added, so that no connection takes a port between its choice and its use.
_LOWEST, _HIGHEST = 10_000, 22_000
# SeaweedFS serves gRPC this far above each HTTP port.
COMPANION = 10_000
_TRIES = 1000


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """One port for each name; each is free, and so is the one `COMPANION` above it.

    Raises:
        OSError: where no free port was found.
    """
    found: dict[str, int] = {}
    for name in names:
        found[name] = _free_port(set(found.values()))
    return found


def _free_port(taken: set[int]) -> int:
    for _ in range(_TRIES):
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - spreads choices, guards nothing
        if port not in taken and is_free(port) and is_free(port + COMPANION):
            return port
    raise OSError(f"found no free port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
