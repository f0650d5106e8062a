"""`fedsnap`, also as `kubectl fedsnap`: what people do with snapshots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedsnap.cli import pull


@dataclass(frozen=True, slots=True)
class _Command:
    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


_COMMANDS = {"pull": _Command("decrypt a published snapshot into a safetensors file", pull.add_arguments, pull.run)}


def parser() -> argparse.ArgumentParser:
    """The command line: one command and its options."""
    top = argparse.ArgumentParser(prog="fedsnap", description="Work with the snapshots of a federation.")
    commands = top.add_subparsers(dest="command", required=True, metavar="|".join(_COMMANDS))
    for name, command in _COMMANDS.items():
        description = f"{command.purpose[0].upper()}{command.purpose[1:]}."
        command.add_arguments(commands.add_parser(name, help=command.purpose, description=description))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = parser().parse_args(arguments)
    return _COMMANDS[args.command].run(args)


if __name__ == "__main__":
    sys.exit(main())
