"""What people see: a table that changes in place on a terminal, and lines where something changed elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fedsnap.api.federatedround import SUCCESSES
from fedsnap.local.demo.progress import NOT_ASKED, Row

_COLOURS = {
    "Published": "green",
    "Committed": "cyan",
    "Aggregated": "green",
    "Training": "yellow",
    **dict.fromkeys(SUCCESSES, "green"),
}
_BAD = ("Refused", "Failed", "Late", "Missing")


@dataclass(slots=True)
class View:
    """Shows rows as they change."""

    console: Console
    members: Sequence[str]
    began: float = field(default_factory=time.monotonic)
    _live: Live | None = None
    _shown: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show until the end of the block."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4, transient=False) as self._live:
            yield
        self._live = None

    def update(self, rows: Sequence[Row]) -> None:
        """Show these rows now."""
        if self._live is not None:
            self._live.update(table(rows, self.members))
            return
        for row in rows:
            line = plain(row)
            if self._shown.get(row.name) != line:
                self._shown[row.name] = line
                self.console.print(f"{time.monotonic() - self.began:5.0f} s  {line}", markup=False, soft_wrap=True)


def table(rows: Sequence[Row], members: Sequence[str]) -> Group:
    """All rounds, one column for each member, and below what the last of them waits for."""
    made = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in ("Round", "Stage", *members, "s"):
        made.add_column(heading)
    for row in rows:
        states = dict(row.members)
        seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
        cells = [_coloured(states.get(name, "")) for name in members]
        made.add_row(row.name.split(" ")[0], _coloured(row.stage), *cells, seconds)
    notes = [f"round {row.name}: {row.note}" for row in rows if row.note]
    return Group(made, *(Text(note, style="dim") for note in notes))


def plain(row: Row) -> str:
    """A row as one line, without what changes every second."""
    parts = [row.stage, _members(row), row.note]
    return f"round {row.name}: " + "; ".join(part for part in parts if part)


def _members(row: Row) -> str:
    """Who is where; members in the same state together."""
    by_state: dict[str, list[str]] = {}
    for name, state in row.members:
        by_state.setdefault(state, []).append(name)
    by_state.pop(NOT_ASKED, None)
    if len(by_state) == 1 and len(row.members) == len(next(iter(by_state.values()))):
        return f"all {next(iter(by_state))}"
    return "; ".join(f"{state} {', '.join(names)}" for state, names in by_state.items())


def accuracies(found: dict[str, float], rows: int) -> Table:
    """How good each model is on the test rows of all hospitals."""
    made = Table()
    made.add_column("Model")
    made.add_column(f"Accuracy on {rows} test rows", justify="right")
    for name, accuracy in found.items():
        made.add_row(name, f"{accuracy:.3f}", style="bold green" if name.startswith("federated") else "")
    return made


def _coloured(state: str) -> str:
    word = state.split(" ", 1)[0].rstrip(":")
    colour = "red" if word in _BAD or word.endswith(("Failed", "NotReached")) else _COLOURS.get(word)
    return f"[{colour}]{escape(state)}[/]" if colour else escape(state)
