"""Rows of the benchmark table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str
    measured: str


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a Markdown table."""
    print("| what | measured |\n|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.measured} |")


def spread(seconds: Sequence[float]) -> str:
    """Median and maximum of some durations."""
    ordered = sorted(seconds)
    return f"p50 {_text(ordered[len(ordered) // 2])}, all {_text(ordered[-1])}"


def _text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
