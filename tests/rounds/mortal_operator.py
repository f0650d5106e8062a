"""The operator, but killed by SIGKILL right after each action that it applied; DEATHS is where it notes which.

Where DIES_BEFORE names a stage of a masked round, it dies before it starts that stage's Job, and only then.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from fedsnap.reconcilers.participation.actions import StartMasking
from fedsnap.runtime import main as program


def die(action) -> None:
    with Path(os.environ["DEATHS"]).open("a", encoding="utf-8") as deaths:
        deaths.write(f"{action.describe()}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(stage: str) -> None:
    start = StartMasking.apply

    async def apply(self, context) -> None:
        if self.stage == stage:
            die(self)
        await start(self, context)

    StartMasking.apply = apply


if __name__ == "__main__":
    if os.environ.get("DIES_BEFORE"):
        die_before(os.environ["DIES_BEFORE"])
    else:
        program.Operator = partial(program.Operator, after_action=die)
    sys.exit(program.main())
