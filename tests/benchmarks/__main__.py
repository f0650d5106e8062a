"""`make bench`: one table, on this machine, in this run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import bursts, masking, overhead
from benchmarks.table import Row, show

_PARTS = {"bursts": bursts.measure, "masking": masking.measure, "overhead": overhead.measure}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="only these")
    parser.add_argument("--sizes", default="1,200,1000", help="rounds created at once, for bursts")
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.sizes.split(",")]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fedsnap-bench-") as directory:
        for part in options.parts or _PARTS:
            print(f"measuring {part} …", flush=True)
            rows += _PARTS[part](Path(directory) / part, sizes)
    print(
        f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}\n"
    )
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
