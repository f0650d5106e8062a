"""`fedsnap-operator coordinator|participant`: one program, two roles."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from fedsnap.clients.errors import ClientError
from fedsnap.runtime import logs
from fedsnap.runtime.assembly import connected, reconcilers_of
from fedsnap.runtime.operator import LEASE_LOST, Operator
from fedsnap.runtime.settings import Settings, SettingsError, load

log = logging.getLogger(__name__)
STOPPED, FAILED, WRONG_SETTINGS = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until stopped; returns the exit code."""
    try:
        settings = load(arguments)
    except SettingsError as error:
        sys.stderr.write(f"fedsnap-operator: {error}\n")
        return WRONG_SETTINGS
    logs.configure(settings.log_level)
    try:
        return asyncio.run(_run(settings))
    except ClientError as error:
        log.error("cannot start", extra={"reason": error.reason, "error": error.message})  # noqa: TRY400 - no defect
        return WRONG_SETTINGS
    except Exception:
        log.exception("operator failed")
        return FAILED


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with connected(settings) as context:
        reconcilers, children = reconcilers_of(settings, context)
        operator = Operator(settings=settings, context=context, reconcilers=reconcilers, children=children)
        kept = await operator.run(stop)
    return STOPPED if kept else LEASE_LOST


if __name__ == "__main__":
    sys.exit(main())
